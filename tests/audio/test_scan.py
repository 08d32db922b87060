"""Bad files are found before training, named, left out, and too many of them refused; good ones of
every format pass."""

import io
import itertools
import logging
import os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from semisupcon.__main__ import main
from semisupcon.audio import scan as scanning
from semisupcon.audio.quiet import without_decoder_notes
from semisupcon.audio.reading import read
from semisupcon.audio.scan import examine, scan, usable
from semisupcon.errors import UserError

GOOD = [
    ("a.wav", {}),
    ("a.wav", {"subtype": "FLOAT", "channels": 2}),
    ("a.wav", {"subtype": "PCM_U8", "sample_rate": 96000}),
    ("a.flac", {"sample_rate": 44100}),
    ("a.ogg", {"sample_rate": 22050}),
    ("a.ogg", {"sample_rate": 48000, "subtype": "OPUS"}),
    ("a.mp3", {"sample_rate": 44100}),
    ("a.mp3", {"sample_rate": 16000, "bitrate_mode": "VARIABLE", "compression_level": 0.7}),
    ("a.aiff", {}),
]


@pytest.mark.parametrize(("name", "options"), GOOD)
def test_good_files_pass(write, name, options):
    path = write(name, samples=40_000, **options)
    assert examine(str(path)) == (
        40_000,
        options.get("sample_rate", 8000),
        options.get("channels", 1),
        "",
    )


@pytest.mark.parametrize(("name", "options"), GOOD)
def test_files_cut_off_are_found(write, name, options):
    path = write(name, samples=40_000, **options)
    os.truncate(path, path.stat().st_size * 2 // 3)
    assert "truncated" in examine(str(path)).problem


def bad_files(write, tmp_path):
    write("zero.wav").write_bytes(b"")
    write("header.wav").write_bytes((tmp_path / "header.wav").read_bytes()[:44])
    write("text.mp3", format="wav").write_text("no audio at all " * 50)
    write("one.wav", samples=1)
    sf.write(tmp_path / "silent.flac", np.zeros(9000), 8000)
    sf.write(
        tmp_path / "nan.wav", np.where(np.arange(9000) == 7000, np.nan, 0.1), 8000, subtype="FLOAT"
    )
    return {
        "zero.wav": "empty",
        "header.wav": "",
        "text.mp3": "not audio",
        "one.wav": "1 samples",
        "silent.flac": "silence",
        "nan.wav": "NaN samples",
    }


def test_every_kind_of_bad_file_is_found(write, tmp_path):
    expected = bad_files(write, tmp_path) | {"absent.wav": "not there"}
    facts = scan([str(tmp_path / name) for name in expected])
    for problem, words in zip(facts["problem"], expected.values(), strict=True):
        assert problem
        assert words in problem


def test_the_decoder_is_quiet_and_others_are_heard(write, capfd):
    paths = [
        str(
            write(
                f"{i}.mp3",
                samples=60_000,
                sample_rate=22050,
                bitrate_mode="CONSTANT",
                compression_level=0.5,
            )
        )
        for i in range(5)
    ]
    for path in paths:
        examine(path)
    assert "libmpg123" in capfd.readouterr().err
    scan(paths)
    with without_decoder_notes():
        os.write(
            2,
            b"a word\n[src/libmpg123/layer3.c:INT123_do_layer3():1774] error: part2_3_length\nand another",
        )
    os.write(2, b", and afterwards")
    assert capfd.readouterr().err == "a word\nand another, and afterwards"


def test_audio_that_is_only_partly_silent_is_good(tmp_path):
    x = np.zeros(500_000)
    x[400_000:] = 0.1
    sf.write(tmp_path / "a.wav", x, 8000)
    assert examine(str(tmp_path / "a.wav")).problem == ""


def test_a_guessed_mp3_length_is_corrected(write):
    path = write(
        "a.mp3", samples=100_000, sample_rate=22050, bitrate_mode="VARIABLE", compression_level=0.3
    )
    data = path.read_bytes()
    first = data.index(b"Xing")
    path.write_bytes(
        data[data.index(data[:2], first) :]
    )  # without the frame that counts the others
    assert abs(sf.info(path).frames - 100_000) > 10_000
    facts = examine(str(path))
    assert facts.problem == ""
    assert 100_000 <= facts.frames == len(read(path)) <= 100_000 + 3 * 1152


def test_a_wav_of_unknown_length_is_good(write):
    path = write("a.wav", samples=4000)
    data = bytearray(path.read_bytes())
    data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert examine(str(path)).problem == ""


def test_the_cache_answers_until_a_file_changes(write, monkeypatch):
    paths = [str(write(f"{i}.wav", samples=1000 + i)) for i in range(4)]
    looked_at = []
    monkeypatch.setattr(scanning, "examine", lambda path: looked_at.append(path) or examine(path))
    first = scan(paths)
    assert sorted(looked_at) == sorted(paths)
    assert scan(paths[::-1])["frames"].tolist() == first["frames"].tolist()[::-1]
    assert len(looked_at) == 4
    write("2.wav", samples=555)
    assert scan([paths[2], paths[2], paths[0]])["frames"].tolist() == [555, 555, 1000]
    assert looked_at[4:] == [paths[2]]


def test_a_damaged_cache_is_made_again(write, cache, caplog):
    path = str(write("a.wav", samples=1000))
    scan([path])
    for store in cache.glob("scan-*.parquet"):
        store.write_bytes(b"no parquet")
    with caplog.at_level(logging.WARNING):
        assert scan([path])["frames"].tolist() == [1000]
    assert "scan cache" in caplog.text


def test_bad_files_within_the_share_are_left_out_and_named(write, caplog):
    names = [f"{i}.wav" for i in range(10)]
    paths = [str(write(name, samples=1000)) for name in names]
    write("3.wav").write_text("text")
    with caplog.at_level(logging.WARNING):
        mask = usable(names, scan(paths), max_bad=0.01, where="folder")
    assert mask.tolist() == [name != "3.wav" for name in names]
    assert "1 of 10" in caplog.text
    assert "3.wav (not audio" in caplog.text
    write("4.wav").write_text("text")
    with pytest.raises(UserError, match=r"2 of 10 .*3.wav .*4.wav") as error:
        usable(names, scan(paths), max_bad=0.01, where="folder")
    assert str(error.value).count("\n") == 2
    assert usable(names, scan(paths), max_bad=0.2, where="folder").sum() == 8


def test_at_most_five_are_named():
    import pandas as pd

    with pytest.raises(UserError) as error:
        usable(
            [f"{i}.wav" for i in range(9)],
            pd.DataFrame({"problem": ["silence only"] * 9}),
            0.5,
            "folder",
        )
    assert str(error.value).count("silence only") == 5


def test_a_cache_with_a_file_twice_is_made_again(write, cache):
    path = str(write("a.wav", samples=1000))
    before = set(cache.glob("scan-*.parquet"))
    scan([path])
    (store,) = set(cache.glob("scan-*.parquet")) - before
    rows = pd.read_parquet(store).assign(frames=7)
    pd.concat([rows, rows]).to_parquet(store)
    assert scan([path, path])["frames"].tolist() == [1000, 1000]
    assert len(pd.read_parquet(store)) == 1


def test_an_interrupted_scan_goes_on(write, tmp_path, monkeypatch):
    """Ctrl-C in the middle of the scan of `semisupcon pretrain`: the next run checks the rest."""
    for i in range(80):
        write(f"{i:02d}.wav", samples=4000)
    looked_at, most = [], [40]

    def look(path):
        looked_at.append(path)
        if len(looked_at) > most[0]:
            raise KeyboardInterrupt
        return examine(path)

    monkeypatch.setattr(scanning, "examine", look)
    monkeypatch.setattr(scanning, "_threads", lambda waits: 1)
    data, runs = ("--data.data_dir", str(tmp_path)), tmp_path / "runs"
    tiny = ("--model.encoder.widths", "[4,8]", "--data.target_length", "0.1", "--draw_every", "0")
    words = ["pretrain", "--config", "pretrain_ssl", "--config", "small/pretrain_ssl", *data, *tiny]
    words += ["--ckpt_path", str(runs), "--trainer.max_steps", "1", "--data.batch_size", "4"]
    words += ["--trainer.limit_val_batches", "0", "--probe.tasks", "[]", "--monitor", "null"]
    assert main(words) == 130
    kept = 40 // scanning._AT_ONCE * scanning._AT_ONCE
    assert kept
    looked_at.clear()
    most[0] = 1000
    assert main(words) == 0
    assert len(looked_at) == 80 - kept


def test_the_scan_is_saved_while_it_goes_on(write, cache, monkeypatch):
    """SIGKILL leaves what was saved last."""
    monkeypatch.setattr(scanning, "_SAVE_EVERY", 0.0)
    paths = [str(write(f"{i:02d}.wav", samples=1000)) for i in range(40)]
    before, sizes = set(cache.glob("scan-*.parquet")), []

    def look(path):
        for store in set(cache.glob("scan-*.parquet")) - before:
            sizes.append(len(pd.read_parquet(io.BytesIO(store.read_bytes()))))
        return examine(path)

    monkeypatch.setattr(scanning, "examine", look)
    monkeypatch.setattr(scanning, "_threads", lambda waits: 1)
    scan(paths)
    assert any(0 < size < 40 for size in sizes)


@pytest.mark.parametrize("channels", [1, 2])
def test_sound_after_a_long_silence_is_good(tmp_path, channels):
    """Silence is left by a block that is longer than the first one."""
    audio = np.zeros((300_000, channels), np.float32)
    audio[290_000:] = 0.1 * np.sin(np.arange(10_000) / 5)[:, None]
    sf.write(tmp_path / "a.flac", audio, 8000)
    assert examine(str(tmp_path / "a.flac")) == (300_000, 8000, channels, "")


def test_opposite_channels_that_begin_with_a_click_are_bad(tmp_path):
    wave = 0.1 * np.sin(np.arange(80_000) / 5).astype(np.float32)
    audio = np.stack([wave, -wave], axis=1)
    audio[0] = 1e-3
    sf.write(tmp_path / "a.flac", audio, 8000)
    assert "opposite phase" in examine(str(tmp_path / "a.flac")).problem


@pytest.mark.parametrize("waits", [True, False])
def test_storage_that_waits_gets_more_threads(write, monkeypatch, waits):
    asked, cores = [], os.cpu_count() or 1
    real = scanning._threads
    monkeypatch.setattr(scanning, "_threads", lambda slow: asked.append(real(slow)) or real(slow))
    # A clock by which each look at the time is a second later; the processor is busy or not.
    passed = itertools.count(1)
    clocks = {name: lambda: float(next(passed)) for name in ("perf_counter", "monotonic")}
    busy = (lambda: 0.0) if waits else clocks["perf_counter"]
    monkeypatch.setattr(scanning, "time", SimpleNamespace(**clocks, thread_time=busy))
    paths = [str(write(f"{i:02d}.wav", samples=1000)) for i in range(40)]
    scanning.scan_items(paths, ["new"] * 40, str(waits), examine)
    assert asked == [min(32, 4 * cores) if waits else cores]
