"""Runs on WebDataset shards, a Hugging Face folder and data sets of torch, through the command: a
stopped and resumed run equals the uninterrupted one, and each mistake gets a sentence."""

import logging
import signal
import sys
from pathlib import Path

import pytest

from semisupcon.__main__ import main
from semisupcon.checkpoints import read_checkpoint
from tests.pretraining.runs import TINY, assert_same, stopping

# The command imports data sets of a user by their path.
sys.path.append(str(Path(__file__).resolve().parents[1] / "data"))
import outside_sets as sets

SHORT = [part for name, value in TINY.items() for part in (f"--{name}", str(value))]
SHARDS, FOLDER = ("--data", "WebDatasetDataModule"), ("--data", "HuggingFaceDataModule")
TORCH = ("--data", "TorchDataModule", "--data.dataset")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The shards and the folder, and damaged ones."""
    pytest.importorskip("datasets")
    root = tmp_path_factory.mktemp("outside")
    sets.write_shards(root / "shards")
    sets.write_folder(root / "folder")
    whole = (root / "shards" / "part-000.tar").read_bytes()
    (root / "cut.tar").write_bytes(whole[: len(whole) // 2])
    (root / "unended.tar").write_bytes(whole[: len(whole.rstrip(b"\0")) // 512 * 512 + 512])
    (root / "text.tar").write_text("no archive")
    sets.write_shard(root / "empty.tar", [])
    sets.write_shard(root / "noise.tar", [(f"{n}.wav", b"no audio") for n in range(4)])
    sets.write_shard(root / "images.tar", [("a.jpg", b"x")])
    sets.write_shard(root / "several.tar", [("a.wav", b"x"), ("a.mp3", b"x")])
    (root / "part.tar.gz").write_bytes(b"x")
    return root


def pretrain(runs, *words, recipe="pretrain_ssl"):
    try:
        return main(["pretrain", "--config", recipe, *SHORT, "--ckpt_path", str(runs), *words])
    except SystemExit as end:
        return end.code


def said(capsys, status):
    assert status == 2
    text = capsys.readouterr().err
    assert "Traceback" not in text
    lines = text[text.index("error: ") :].splitlines()
    assert len(lines) <= 3
    return " ".join(lines)


MISTAKES = [
    ((*SHARDS, "--data.shards", "{}/nowhere"), "A shard not found"),
    ((*SHARDS, "--data.shards", "{}/cut.tar"), "cut short, damaged, or no tar archive"),
    ((*SHARDS, "--data.shards", "{}/unended.tar"), "(no end mark after byte"),
    ((*SHARDS, "--data.shards", "{}/text.tar"), "no tar archive (truncated header)"),
    ((*SHARDS, "--data.shards", "{}/empty.tar"), "has an audio suffix. Extensions: none."),
    ((*SHARDS, "--data.shards", "{}/images.tar"), "has an audio suffix. Extensions: jpg."),
    ((*SHARDS, "--data.shards", "{}/noise.tar"), "4 of 4 audio files cannot be used"),
    ((*SHARDS, "--data.shards", "{}/several.tar"), "several audio members: mp3, wav. Choose one"),
    ((*SHARDS, "--data.shards", "{}/part.tar.gz"), "is not an uncompressed .tar file"),
    ((*SHARDS, "--data.shards", "s3://bucket/a.tar"), "is not a local file"),
    ((*SHARDS, "--data.shards", "pipe:cat x"), "is not a local file"),
    ((*SHARDS, "--data.shards", "{}/x-{{3..1}}.tar"), "the range {3..1} is empty"),
    ((*SHARDS, "--data.shards", "{}/shards", "--data.audio", "wav"), "has 'wav'. Extensions: flac"),
    ((*SHARDS, "--data.shards", "{}/shards", "--data.label", "txt"), "No item has a label in"),
    ((*SHARDS, "--data.shards", "{}/shards", "--data.label", "flac"), "is no label ('utf-8' codec"),
    (
        (*SHARDS, "--data.shards", "{}/shards", "--data.label", "json"),
        "is of type dict, not a label",
    ),
    ((*SHARDS, "--data.shards", "{}/shards", "--data.packed", "x"), "add --data.packed null."),
    ((*FOLDER, "--data.folder", "{}/nowhere"), "The folder of the data set not found"),
    ((*FOLDER, "--data.folder", "{}/shards"), "has no state.json"),
    (
        (*FOLDER, "--data.folder", "{}/folder", "--data.audio", "label"),
        "is no column of type Audio",
    ),
    ((*FOLDER, "--data.folder", "{}/folder", "--data.label", "lable"), "Did you mean 'label'?"),
    (FOLDER, "Missing: --data.folder."),
    ((*TORCH, "outside_sets.Tone"), "has no attribute 'Tone'"),
    ((*TORCH, "no_such_module.Tones"), "No module named 'no_such_module'"),
    ((*TORCH, "Tones"), "is the import path of a class or function"),
    ((*TORCH, "outside_sets.no_dataset"), "gives int, which is neither"),
    ((*TORCH, "outside_sets.Tones", "--data.dataset_kwargs.cuont", "3"), "TypeError: "),
    ((*TORCH, "outside_sets.Tones", "--data.dataset_kwargs.count", "0"), "has no items"),
    ((*TORCH, "outside_sets.Tones"), "The sample rate of item 0 is not known"),
    ((*TORCH, "outside_sets.Tones", "--data.rate", "7"), "item 0 is a tuple of 3 parts"),
    ((*TORCH, "outside_sets.Tones", "--data.rate", "2"), "The sample rate of item 0 is 'c0'"),
    (
        (*TORCH, "outside_sets.Tones", "--data.rate", "1", "--data.dataset_kwargs.bad", "shape"),
        "has the shape [2800, 2], not [channels, T]",
    ),
    (
        (*TORCH, "outside_sets.Tones", "--data.rate", "1", "--data.dataset_kwargs.bad", "dtype"),
        "is of type bool",
    ),
    ((*TORCH, "outside_sets.Stream"), "give the number of items of an epoch as data.epoch_items"),
    ((*TORCH, "outside_sets.Sized", "--data.label", "x"), "whose items are used without labels"),
]
QUICK = (1, 28)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        case if number in QUICK else pytest.param(*case, marks=pytest.mark.slow)
        for number, case in enumerate(MISTAKES)
    ],
)
def test_a_mistake_gets_a_sentence(words, answer, places, tmp_path, capsys):
    words = [word.format(places) if "{}" in word else word for word in words]
    assert answer in said(capsys, pretrain(tmp_path / "runs", *words))
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").glob("*/*.ckpt"))


@pytest.mark.slow
def test_a_damaged_folder(places, tmp_path, capsys):
    sets.write_folder(tmp_path / "folder")
    (arrow,) = (tmp_path / "folder").glob("*.arrow")
    arrow.write_bytes(arrow.read_bytes()[:1000])
    told = said(
        capsys, pretrain(tmp_path / "runs", *FOLDER, "--data.folder", str(tmp_path / "folder"))
    )
    assert "The data set cannot be read" in told


def test_a_missing_package_is_named(places, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    words = (*FOLDER, "--data.folder", str(places / "folder"))
    told = said(capsys, pretrain(tmp_path, *words))
    assert "not installed: datasets" in told
    assert "pip install 'datasets>=4'" in told


SOURCES = {
    "shards": (*SHARDS, "--data.shards", "{}/shards"),
    "labelled shards": (*SHARDS, "--data.shards", "{}/shards", "--data.label", "cls"),
    "folder": (*FOLDER, "--data.folder", "{}/folder"),
    "labelled folder": (*FOLDER, "--data.folder", "{}/folder", "--data.label", "label"),
    "dataset": (*TORCH, "outside_sets.Tones", "--data.rate", "1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_a_stopped_and_resumed_run_equals_the_uninterrupted_one(source, places, tmp_path):
    words = [word.format(places) for word in SOURCES[source]]
    if "labelled" in source:
        words += ["--data.sl_task", "null"]
    recipe = "pretrain_smsl" if "labelled" in source else "pretrain_ssl"
    words += ["--data.batch_size", "4", "--trainer.max_steps", "7", "--save_every", "0"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert pretrain(whole, *words, "--run_name", "a", recipe=recipe) == 0
    stop = stopping(4, signal.SIGTERM)
    assert pretrain(parts, *words, "--run_name", "a", *stop, recipe=recipe) == 143
    assert read_checkpoint(parts / "a" / "last.ckpt")["global_step"] == 4
    again = ("--resume_from_checkpoint", "last", "--data.num_workers", "2")
    assert pretrain(parts, *words, *again, recipe=recipe) == 0
    ours, theirs = (read_checkpoint(run / "a" / "last.ckpt") for run in (parts, whole))
    for part in ("state_dict", "optimizer_states", "global_step", "epoch"):
        assert_same(ours[part], theirs[part], part)


@pytest.mark.slow
def test_a_resumed_run_on_an_iterable_dataset_says_that_it_differs(tmp_path, caplog):
    words = (*TORCH, "outside_sets.Sized", "--data.batch_size", "4", "--trainer.max_steps")
    with caplog.at_level(logging.INFO):
        assert pretrain(tmp_path, *words, "3", "--run_name", "a") == 0
        assert "begins at its first item again" not in caplog.text
        assert pretrain(tmp_path, *words, "5", "--resume_from_checkpoint", "last") == 0
    assert "outside_sets.Sized is an IterableDataset, without random access." in caplog.text
    assert read_checkpoint(tmp_path / "a" / "last.ckpt")["global_step"] == 5
