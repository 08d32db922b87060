"""A set that is moved, linked, renamed in case, or read by another user gives the same splits and
the same clips, through the command."""

import json
import os
import shutil
import unicodedata

import numpy as np
import pandas as pd
import pytest
import soundfile

from semisupcon.data.datamodule import AudioDataModule
from semisupcon.datasets import load_annotations
from tests.pretraining.runs import pretrain, rows


@pytest.fixture
def original(tmp_path):
    """24 clips with accents and capitals in 3 folders, 16 of them in ``labels.csv`` with absolute
    paths; others in a linked folder."""
    root = tmp_path / "Set"
    rng = np.random.default_rng(0)
    for i in range(24):
        path = root / f"Album {i % 3}" / unicodedata.normalize("NFC", f"Pièce {i // 3}.wav")
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal(3200), 8000)
    (tmp_path / "elsewhere").mkdir()
    for i in range(4):
        soundfile.write(
            tmp_path / "elsewhere" / f"extra{i}.wav", 0.1 * rng.standard_normal(3200), 8000
        )
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    write_table(root)
    return root


def write_table(root, written=os.path.abspath):
    paths = sorted(p for p in root.glob("Album*/*.wav"))[:14] + sorted(
        (root / "linked").glob("extra[01].wav")
    )
    frame = pd.DataFrame(
        {"path": [written(p) for p in paths], "label": [f"c{i % 2}" for i in range(len(paths))]}
    )
    frame.to_csv(root / "labels.csv", index=False)


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Train one step on a folder; gives what was drawn and what was measured."""
    drawn = []
    setup = AudioDataModule.setup

    def and_remember(self, stage=None):
        setup(self, stage)
        drawn.append(self.drawn)

    monkeypatch.setattr(AudioDataModule, "setup", and_remember)

    def run(root, name):
        more = (
            "--data.sl_task",
            "csv",
            "--run_name",
            name,
            "--trainer.max_steps",
            "1",
            "--data.short_clips",
            "circular",
        )
        assert pretrain(root, tmp_path / "runs", *more) == 0
        table = drawn[-1].table
        loss = [row["loss"] for row in rows(tmp_path / "runs" / name) if row["loss"]]
        assert loss
        return sorted(
            zip(table["clip"], table["split"], table["source"], table["listed"], strict=True)
        ), loss

    return run


def moved(root, tmp_path):
    return root.rename(
        tmp_path / "moved" if (tmp_path / "moved").mkdir() else tmp_path / "moved" / "other name"
    )


def linked(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    return tmp_path / "link"


def linked_with_paths_through_the_link(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    write_table(tmp_path / "link")
    return tmp_path / "link"


def with_relative_paths(root, tmp_path):
    write_table(root, lambda p: os.path.relpath(p, root))
    return root


def with_paths_of_windows(root, tmp_path):
    write_table(root, lambda p: "D:\\audio\\Set\\" + os.path.relpath(p, root).replace("/", "\\"))
    return root


def with_paths_from_home(root, tmp_path):
    write_table(root, lambda p: "~/" + os.path.relpath(p, tmp_path))
    return root


def with_real_paths_of_linked_folders(root, tmp_path):
    write_table(root, os.path.realpath)
    return root


def renamed_in_case(root, tmp_path):
    write_table(root, lambda p: os.path.relpath(p, root))
    for name in pd.read_csv(root / "labels.csv")[
        "path"
    ]:  # What no table lists has no other name than its file.
        if not name.startswith("linked"):
            (root / name).rename((root / name).with_name((root / name).name.upper()))
    return root


def with_decomposed_accents(root, tmp_path):
    write_table(root, lambda p: os.path.relpath(p, root))
    for path in root.glob("Album*/*.wav"):
        path.rename(path.with_name(unicodedata.normalize("NFD", path.name)))
    return root


def by_another_user(root, tmp_path):
    """With a cache, a home and a temporary folder of their own; the first user's copy is still
    there."""
    return shutil.copytree(root, tmp_path / "home" / "Set", symlinks=True)


WAYS = (
    moved,
    linked,
    linked_with_paths_through_the_link,
    with_relative_paths,
    with_paths_of_windows,
    with_paths_from_home,
    *(with_real_paths_of_linked_folders, by_another_user, renamed_in_case, with_decomposed_accents),
)


@pytest.mark.slow
def test_the_same_clips_are_drawn_and_trained_on(original, train, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SEMISUPCON_CACHE", str(tmp_path / "cache"))
    before = train(original, "before")
    assert sum(row[3] for row in before[0]) >= 12
    for number, way in enumerate(WAYS):
        copy = shutil.copytree(original, tmp_path / f"copy{number}" / "Set", symlinks=True)
        write_table(copy)
        monkeypatch.setenv("HOME", str(copy.parent))
        if way is by_another_user:
            monkeypatch.setenv("SEMISUPCON_CACHE", str(tmp_path / "home" / "cache"))
        assert train(way(copy, tmp_path / f"copy{number}"), way.__name__) == before, way.__name__


def test_names_differ_in_accents_only_in_folders_of_classes(original, tmp_path):
    other = shutil.copytree(original, tmp_path / "other", symlinks=True)
    for path in other.glob("Album*/*.wav"):
        path.rename(path.with_name(unicodedata.normalize("NFD", path.stem) + ".WAV"))
    found = [
        load_annotations("class_folders", root, ignore=["linked"]) for root in (original, other)
    ]
    splits = [
        {unicodedata.normalize("NFC", p).lower(): s for p, s in zip(c.paths, c.split, strict=True)}
        for c in found
    ]
    assert splits[0] == splits[1]
    assert found[0].classes == found[1].classes


def test_a_task_that_labels_no_training_clip_is_refused(original, tmp_path, capsys):
    frame = pd.read_csv(original / "labels.csv").assign(split=["val", "test"] * 8)
    frame.to_csv(original / "labels.csv", index=False)
    assert (
        pretrain(original, tmp_path / "runs", "--data.sl_task", "csv", "--trainer.max_steps", "1")
        == 2
    )
    error = capsys.readouterr().err
    assert "data.sl_task 'csv' labels no training clip" in error
    assert len([line for line in error.splitlines() if line]) <= 3
    assert not list((tmp_path / "runs").glob("*/*"))


def test_unlabelled_files_of_equal_names_are_trained_on(shared, tmp_path, capsys):
    """Six albums with equal names of tracks, one of them in the table: the other 25 files are the
    pool."""
    more = ("--data.sl_task", "csv", "--run_name", "albums", "--trainer.max_steps", "1")
    assert pretrain(shared("awkward/albums"), tmp_path / "runs", *more) == 0
    figures = json.loads((tmp_path / "runs" / "albums" / "run.json").read_text())["data"]
    assert sum(figures[f"{split}_unlabelled_clips"] for split in ("train", "val")) == 25
    assert sum(figures[f"{split}_labelled_clips"] for split in ("train", "val")) == 5
