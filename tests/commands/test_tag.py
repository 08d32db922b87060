"""`tag`: from a table that labels some files to predictions for all others, and what to label next."""

import csv
import json
import re

import numpy as np
import pandas as pd
import pytest
import soundfile

from semisupcon.__main__ import main
from semisupcon.files import plain_cell
from semisupcon.labelling import stream
from semisupcon.probing.methods.head import load_head

NAMES = ("=low", "mid", "high")


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    """36 noisy tones of three pitches in a folder, and a file that is no audio."""
    folder = tmp_path_factory.mktemp("tones") / "in"
    (folder / "sub").mkdir(parents=True)
    draw = np.random.default_rng(0)
    for i in range(36):
        t = np.arange(int(8000 * draw.uniform(0.2, 0.4))) / 8000
        tone = 0.3 * np.sin(2 * np.pi * 300 * 2 ** (i % 3) * t)
        name = f"sub/{i:02d}.wav" if i % 2 else f"{i:02d}.wav"
        soundfile.write(folder / name, tone + 0.05 * draw.standard_normal(len(t)), 8000)
    (folder / "zz.wav").write_text("no audio")
    return folder


def name_of(i):
    return f"sub/{i:02d}.wav" if i % 2 else f"{i:02d}.wav"


def write(file, rows, header=("path", "label")):
    with open(file, "w", newline="") as out:
        csv.writer(out).writerows([header, *rows])
    return file


@pytest.fixture
def labels(tmp_path):
    """Labels of 15 files, and a row without a label."""
    rows = [(name_of(i), NAMES[i % 3]) for i in range(15)]
    return write(tmp_path / "labels.csv", [*rows, (name_of(20), "")])


@pytest.fixture
def tag(audio, small, labels, tmp_path):
    def run(*words, out="tags.csv", table=labels, checkpoint=small):
        given = ["--audio", str(audio), "--labels", str(table), "--checkpoint", str(checkpoint)]
        return main(["tag", *given, "--out", str(tmp_path / out), *map(str, words)])

    return run


def test_all_other_files_get_a_label(tag, audio, small, tmp_path, capsys):
    assert tag("--save_head", tmp_path / "head.safetensors") == 0
    printed = capsys.readouterr()
    assert "Cross-validated on 15 labelled clips, 5 folds:" in printed.out
    assert re.search(r"accuracy 0\.\d+|accuracy 1\.000 \(95 % interval", printed.out)
    assert "21 files labelled from 15 labelled ones" in printed.out
    assert "zz.wav: not audio, but text" in printed.err
    found = pd.read_csv(tmp_path / "tags.csv")
    others = sorted(str(audio / name_of(i)) for i in range(15, 36))
    assert found.file.tolist() == others
    numbers = [int(file[-6:-4]) for file in found.file]
    right = [plain_cell(x) == NAMES[i % 3] for x, i in zip(found.label, numbers, strict=True)]
    assert np.mean(right) > 0.6

    words = ["--checkpoint", str(small), "--head", str(tmp_path / "head.safetensors")]
    assert main(["predict", str(audio), *words, "--out", str(tmp_path / "again.csv")]) == 0
    again = pd.read_csv(tmp_path / "again.csv")
    assert len(again) == 36
    same = again[again.file.isin(others)].reset_index(drop=True)
    assert same.file.equals(found.file)
    assert same.label.equals(found.label)
    assert np.allclose(same.probability, found.probability, atol=1e-6)
    _, about = load_head(tmp_path / "head.safetensors")
    assert about["classes"] == sorted(NAMES)
    assert 0.05 <= about["temperature"] <= 20


def test_the_order_of_the_table_changes_nothing_and_suggestions_are_new(tag, tmp_path, capsys):
    rows = [(name_of(i), NAMES[i % 3]) for i in range(15)]
    other = write(tmp_path / "other.csv", rows[::-1])
    suggestions = tmp_path / "next.csv"
    assert tag("--suggest", 6, "--suggestions", suggestions, out="a.csv") == 0
    found = pd.read_csv(suggestions)
    assert list(found.columns) == ["file", "label", "probability", "uncertainty", "distance"]
    assert len(set(found.file)) == 6
    predicted = pd.read_csv(tmp_path / "a.csv").set_index("file")
    assert set(found.file) <= set(predicted.index)  # never a labelled file
    assert np.allclose(predicted.loc[found.file].probability, found.probability, atol=1e-5)
    capsys.readouterr()
    assert tag("--suggest", 3, table=other, out="b.csv") == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    printed = capsys.readouterr().out
    assert "Files most worth labelling, the best first (3):" in printed
    assert [line.strip() for line in printed.splitlines() if line.startswith("  /")] == (
        found.file[:3].tolist()
    )


def test_groups_tags_and_values(tag, tmp_path, capsys):
    rows = [
        (name_of(i), ";".join(NAMES[: 1 + i % 3]), 300 * 2 ** (i % 3), f"g{i // 3}")
        for i in range(15)
    ]
    table = write(tmp_path / "more.csv", rows, ("path", "tags", "hertz", "group"))
    more = ("--label_column", "tags", "--kind", "multilabel")
    assert tag(*more, table=table, out="tags.parquet") == 0
    assert "5 folds of whole groups" in capsys.readouterr().out
    found = pd.read_parquet(tmp_path / "tags.parquet")
    assert set(found.label) <= set(NAMES)
    assert 0 < len(found) < 63
    words = ("--label_column", "hertz", "--kind", "regression", "--path_column", "path")
    assert tag(*words, table=table, out="values.csv", checkpoint="mfcc") == 0
    printed = capsys.readouterr().out
    assert "R2 0." in printed
    assert "median error of hertz" in printed
    values = pd.read_csv(tmp_path / "values.csv")
    assert list(values.columns) == ["file", "start", "end", "label", "value"]
    truth = [300 * 2 ** (int(file[-6:-4]) % 3) for file in values.file]
    assert np.corrcoef(values.value, truth)[0, 1] > 0.9


@pytest.mark.parametrize("written", ["{}/", "{}/../in", "./{}"])
def test_the_folder_may_be_written_in_any_way(tag, audio, tmp_path, monkeypatch, written):
    monkeypatch.chdir(audio.parent)
    rows = [
        (str(audio / name_of(i)) if i < 3 else f"./{name_of(i)}", f"c{i % 2}") for i in range(6)
    ]
    table = write(tmp_path / "paths.csv", rows)
    assert tag("--audio", written.format("in"), table=table) == 0
    found = pd.read_csv(tmp_path / "tags.csv")
    assert sorted(int(file[-6:-4]) for file in found.file) == list(range(6, 36))


def test_an_interrupted_command_continues(tag, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stream, "BATCHES_A_PART", {"cpu": 1})
    assert tag("--batch_size", 4, out="whole.csv") == 0
    original = stream.Reading._load

    def breaks(self, item):
        if item[0] == 25:
            raise KeyboardInterrupt
        return original(self, item)

    monkeypatch.setattr(stream.Reading, "_load", breaks)
    assert tag("--batch_size", 4) == 130
    assert not (tmp_path / "tags.csv").exists()
    found = (tmp_path / "tags.csv.unfinished").glob("rows-*.json")
    assert sum(len(json.loads(file.read_text())["sizes"]) for file in found) > 0
    monkeypatch.setattr(stream.Reading, "_load", original)
    capsys.readouterr()
    assert tag("--batch_size", 4) == 0
    assert "of 37 files are done" in capsys.readouterr().err
    assert (tmp_path / "tags.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_tables_and_options_that_do_not_fit(tag, audio, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stream.Reading, "_load", lambda *_: pytest.fail("audio was read"))
    all_files = [(name_of(i), NAMES[i % 3]) for i in range(36)]
    (tmp_path / "mine.csv").write_text("mine")
    cases = [
        (write(tmp_path / "1.csv", [(name_of(0), "a")]), (), "Only 1 readable clip is labelled"),
        (write(tmp_path / "2.csv", [(name_of(i), "a") for i in range(3)]), (), "same label"),
        (write(tmp_path / "3.csv", [(name_of(i), "") for i in (0, 1)]), (), "No row of"),
        (write(tmp_path / "4.csv", [("no.wav", "a"), ("nix.wav", "b")]), (), "not found"),
        (write(tmp_path / "5.csv", [(name_of(0), "a")], ("file", "label")), (), "path"),
        (tmp_path / "absent.csv", (), "absent.csv"),
        (None, ("--label_column", "genre"), "genre"),
        (None, ("--suggest", "-1"), "--suggest must be"),
        (None, ("--suggestions", tmp_path / "x.csv"), "--suggest must be"),
        (None, ("--threshold", "0.5"), "one label per file"),
        (None, ("--save_head", tmp_path / "tags.csv"), "must be different files"),
        (None, ("--save_head", tmp_path / "mine.csv"), "exists already"),
        (None, ("--kind", "binary"), "A binary label has two values"),
        (None, ("--audio", tmp_path / "mine.csv"), "--audio must be a folder"),
    ]
    for table, more, told in cases:
        words = more if table is None else ("--labels", table, *more)
        assert tag(*words) == 2, told
        assert told in (err := capsys.readouterr().err), (told, err)
        assert len(err.strip().splitlines()) <= 3
    every = write(tmp_path / "all.csv", [*all_files, ("zz.wav", "mid")])
    assert tag(table=every) == 2
    assert "All 37 files in" in capsys.readouterr().err
    assert tag(out="tags.txt") == 2
    assert "Audacity labels belong to one recording, and 22" in capsys.readouterr().err
    assert not (tmp_path / "tags.csv").exists()
    assert (tmp_path / "mine.csv").read_text() == "mine"


def test_a_labelled_file_that_cannot_be_read_is_left_out(tag, audio, tmp_path, capsys):
    rows = [(name_of(i), NAMES[i % 3]) for i in range(15)]
    table = write(tmp_path / "broken.csv", [*rows, ("zz.wav", "mid")])
    assert tag(table=table, out="broken_out.csv") == 0
    printed = capsys.readouterr()
    assert "zz.wav: not audio" in printed.err
    assert "Cross-validated on 15 labelled clips" in printed.out
    assert "21 files labelled from 15" in printed.out
