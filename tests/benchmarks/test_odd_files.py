"""The benchmark of odd files runs, and reads what commands say."""

from benchmarks import odd_files
from benchmarks.odd_inputs import ALL


def test_one_input_through_all_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SEMISUPCON_CACHE", str(tmp_path))
    page = tmp_path / "page.md"
    page.write_text("# Title\n\nText.\n\n## Old\n\n| x |\n")
    assert odd_files.main(["--only", "untagged.mp3", "--check", "--out", str(page)]) == 0
    assert "RESULT odd_inputs_of_one_verdict 1 1" in capsys.readouterr().out
    assert page.read_text().startswith("# Title\n\nText.\n\n## Lengths")
    assert "| used | used, 4.1 s |" in page.read_text()


def test_what_commands_say_is_read():
    said = {
        "1 of 9 audio files cannot be used: low/a.wav (silence only) (in /x). They are left out.": "left out: silence only",
        "left out /x/low/a.wav: samples of magnitude 1e+29 (of a kind)": "left out: samples of magnitude 1e+29 (of a kind)",
        "Unreadable: 1\n  low/a.wav (not audio (bad))\nSilent: 0": "left out: not audio (bad)",
        "Unreadable: 0\nClipped: 1\n  low/a.wav (3% of its samples)": "used",
        "Silent: 2\n  low/b.wav\n  low/a.wav\nClipped: 0": "left out: silence only",
        "error: no clips": "used",
    }
    for text, outcome in said.items():
        assert odd_files.outcome("a.wav", 0, text) == outcome
    assert odd_files.outcome("a.wav", 2, "error: no clips\nat all") == "refused: error: no clips"
    assert len(ALL) == len({odd.name for odd in ALL}) > 60
