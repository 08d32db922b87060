"""The benchmark of embedding's memory, at a tiny size: every part runs, and half a minute of stereo
stays within the bar."""

from benchmarks import embed_memory


def test_every_part_prints_its_result(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(embed_memory, "apart", lambda *case: embed_memory.measure(*case))
    monkeypatch.setattr(embed_memory, "keep_freed_memory", lambda: False)
    sizes = ["--minutes", "0.5", "--clips", "4", "--files", "0", "--rounds", "1", "--no_published"]
    assert embed_memory.main([*sizes, "--folder", str(tmp_path), "--check"]) == 0
    results = [
        line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("RESULT")
    ]
    assert [name for _, name, *_ in results] == [
        *[
            "mb_0.5_minutes_per_file",
            "mb_0.5_minutes_per_second",
            "mb_silence_of_0.0_MB",
            "share_of_encoder",
        ],
    ]
    assert list(tmp_path.iterdir()) == []
