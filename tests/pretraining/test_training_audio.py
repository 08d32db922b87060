"""A run describes its training audio, and a probe says which test clips were in it."""

import csv
import shutil

import numpy as np
import pytest
import soundfile

from semisupcon.commands.export import main as export
from semisupcon.commands.probe import main as probe
from semisupcon.data import heard
from semisupcon.data.heard import RECORD, read_record, write_record
from tests.pretraining.runs import pretrain

SHORT = ("--trainer.max_steps", "1", "--trainer.limit_val_batches", "0", "--monitor", "null")


def melody(seed, seconds=1.5):
    """Random notes in noise; each seed is another recording."""
    draw, audio = np.random.default_rng(seed), []
    for _ in range(12):
        t = np.arange(int(seconds / 12 * 8000)) / 8000
        chord = sum(np.sin(2 * np.pi * f * t) for f in draw.uniform(100, 3000, 3))
        audio.append(draw.uniform(0.05, 0.2) * chord)
    audio = np.concatenate(audio)
    return (0.8 * audio + 0.005 * draw.standard_normal(len(audio))).astype(np.float32)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    root = tmp_path_factory.mktemp("pool")
    for i in range(12):
        soundfile.write(root / f"{i}.wav", melody(i), 8000)
    return root


@pytest.fixture(scope="module")
def run(pool, tmp_path_factory):
    """A run that trains on every clip of the pool."""
    runs = tmp_path_factory.mktemp("runs")
    alone = ("--data.val_split", "0", "--run_name", "r")
    assert pretrain(pool, runs, *SHORT, *alone, recipe="pretrain_ssl") == 0
    return runs / "r"


@pytest.fixture(scope="module")
def task(pool, tmp_path_factory):
    """Six test clips: two files of the pool under other names, one of its recordings as FLAC and
    louder, and three others."""
    root = tmp_path_factory.mktemp("task")
    for i in range(12):
        soundfile.write(root / f"train{i}.wav", melody(100 + i), 8000)
    for i in (0, 1):
        shutil.copy(pool / f"{i}.wav", root / f"test{i}.wav")
    soundfile.write(root / "test2.flac", 0.5 * melody(2), 8000)
    for i in (3, 4, 5):
        soundfile.write(root / f"test{i}.wav", melody(200 + i), 8000)
    lines = [(f"train{i}.wav", "ab"[i % 2], "train" if i < 8 else "val") for i in range(12)]
    lines += [(f"test{i}.{'flac' if i == 2 else 'wav'}", "ab"[i % 2], "test") for i in range(6)]
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split"), *lines])
    return root


def probed(task, out, cache, *checkpoints):
    """By encoder, the row of overlap.csv, and the cell in summary.csv."""
    status = probe(
        [
            "--tasks=[t=csv]",
            f"--data_dirs.t={task}",
            f"--checkpoints=[{','.join(checkpoints)}]",
            *("--methods=knn", f"--out={out}", f"--cache_dir={cache}", "--resamples=50"),
            "--projection=none",
        ]
    )
    assert status == 0
    found = []
    for name in ("overlap.csv", "summary.csv"):
        with (out / name).open(newline="") as file:
            found.append({row["checkpoint"]: row for row in csv.DictReader(file)})
    return found[0], {who: row["in_pretraining"] for who, row in found[1].items()}


def test_copies_of_training_clips_are_counted_by_file_and_by_sound(run, task, tmp_path, caplog):
    overlap, told = probed(task, tmp_path / "out", tmp_path / "cache", str(run), "random", "mfcc")
    assert (overlap["r"]["same_file"], overlap["r"]["same_sound"]) == ("2", "1")
    assert overlap["r"]["described"] == "12 of 12"
    assert told == {"r": "3 of 6", "random": "", "mfcc": ""}
    assert "t: 3 of 6 test clips were in the training audio of r" in caplog.text
    for report in ("report.md", "report.html"):
        assert "3 of 6" in (tmp_path / "out" / report).read_text()


def test_an_export_keeps_it_and_a_lone_checkpoint_is_unknown(run, task, tmp_path, caplog):
    assert export([str(run), "--out", str(tmp_path / "exported")]) == 0
    shutil.copy(run / "last.ckpt", tmp_path / "lone.ckpt")
    (tmp_path / "damaged").mkdir()
    shutil.copy(run / "last.ckpt", tmp_path / "damaged" / "last.ckpt")
    content = bytearray((run / RECORD).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "damaged" / RECORD).write_bytes(content)
    # Equal weights give one result in a folder, so each has its own.
    expected = {"exported": "3 of 6", "lone.ckpt": "unknown", "damaged": "unknown"}
    for name, said in expected.items():
        out = tmp_path / f"out-{name}"
        _, told = probed(task, out, tmp_path / "cache", f"x={tmp_path / name}")
        assert told == {"x": said}
    assert f"{RECORD} cannot be used" in caplog.text


def test_initial_weights_bring_their_audio_and_resuming_writes_nothing_again(
    run, task, tmp_path, caplog
):
    """A run on other clips that starts from the first one has heard both."""
    others = tmp_path / "others"
    others.mkdir()
    for i in range(10):
        soundfile.write(others / f"{i}.wav", melody(300 + i), 8000)
    lone = tmp_path / "lone.ckpt"
    shutil.copy(run / "last.ckpt", lone)
    for name, start in (("second", run / "last.ckpt"), ("third", lone)):
        start = ("--model.init_from", str(start), "--run_name", name, "--data.val_split", "0")
        assert pretrain(others, tmp_path, *SHORT, *start, recipe="pretrain_ssl") == 0
    expected = {"second": ("3 of 6", "22 of 22"), "third": ("at least 0 of 6", "10 of 10")}
    for name, said in expected.items():
        run = str(tmp_path / name)
        overlap, told = probed(task, tmp_path / f"out-{name}", tmp_path / "cache", run)
        assert (told[name], overlap[name]["described"]) == said
    before = (tmp_path / "second" / RECORD).stat().st_mtime_ns
    again = ("--resume_from_checkpoint", str(tmp_path / "second"), "--trainer.max_steps", "2")
    more = (*SHORT[2:], *again, "--data.val_split", "0")
    assert pretrain(others, tmp_path, *more, recipe="pretrain_ssl") == 0
    assert (tmp_path / "second" / RECORD).stat().st_mtime_ns == before


def test_the_cost_is_bounded(run, monkeypatch):
    """Of many clips only some are fingerprinted, always the same ones; files are hashed in part."""
    monkeypatch.setattr(heard, "_BLOCK", 16)
    heard._content.cache_clear()
    file = run / "last.ckpt"
    content, changed = heard.content_of(str(file)), bytearray(file.read_bytes())
    assert content == heard.content_of(str(file))
    changed[-1] ^= 0xFF
    other = run.parent / "other.ckpt"
    other.write_bytes(changed)
    assert heard.content_of(str(other)) != content
    assert heard.content_of(str(run / "absent")) is None
    heard._content.cache_clear()


def test_a_record_of_a_stranger_is_data(run, tmp_path):
    """Arrays of other types and shapes, pickles and other versions are refused."""
    kept = read_record(run / RECORD)
    assert len(kept) == 12
    assert kept.fingerprinted == 12
    write_record(kept, tmp_path / "again.npz")
    again = read_record(tmp_path / "again.npz")
    np.testing.assert_array_equal(again.content, kept.content)
    np.testing.assert_array_equal(again.levels, kept.levels)
    for i, wrong in enumerate(
        (
            heard.Heard(kept.content[:, :4], kept.offsets, kept.levels),
            heard.Heard(kept.content, kept.offsets[::-1], kept.levels),
            heard.Heard(kept.content, kept.offsets, kept.levels.astype(np.float32)),
        )
    ):
        write_record(wrong, tmp_path / f"{i}.npz")
        assert read_record(tmp_path / f"{i}.npz") is None
    np.savez(tmp_path / "pickled.npz", about=np.array([{"a": 1}], dtype=object))
    assert read_record(tmp_path / "pickled.npz") is None
