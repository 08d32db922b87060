"""Clips inside WebDataset shards, Hugging Face folders and data sets of torch are used like files:
the same samples, and the same batches for any number of workers, ranks and resumes."""

import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from semisupcon.audio.contents import Range, as_file, read_content
from semisupcon.audio.reading import probe_file, read_spans
from semisupcon.data.outside.hugging_face import HuggingFaceDataModule
from semisupcon.data.outside.labels import labels_of
from semisupcon.data.outside.shards import samples_in, shards_at
from semisupcon.data.outside.torch_dataset import TorchDataModule
from semisupcon.data.outside.webdataset import WebDatasetDataModule
from semisupcon.errors import AudioError, UserError
from tests.marks import mostly_slow

# The command imports data sets of a user by their path.
sys.path.append(str(Path(__file__).parent))
import outside_sets as sets

OPTIONS = {
    "target_sample_rate": 8000,
    "target_length": 0.2,
    "batch_size": 4,
    "val_split": 0.2,
    "views": 2,
    "num_workers": 0,
}
KINDS = ("shards", "folder", "dataset")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The folders of the shards and of the data set of Hugging Face."""
    pytest.importorskip("datasets")
    root = tmp_path_factory.mktemp("outside")
    sets.write_shards(root / "shards")
    sets.write_folder(root / "folder")
    return root


def module(kind, places, **options):
    options = {**OPTIONS, **options}
    if kind == "shards":
        return WebDatasetDataModule(str(places / "shards"), **options)
    if kind == "folder":
        return HuggingFaceDataModule(str(places / "folder"), **options)
    return TorchDataModule("outside_sets.Tones", rate=1, **options)


def batches(data, start=0, count=4, rank=(0, 1)):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("datamodule", "outside.torch_dataset"):
            patch.setattr(f"semisupcon.data.{name}.rank_of", lambda trainer: rank)
        data.setup()
        loader = data.train_dataloader()
    found = []
    loader.batches_done = lambda: start + len(found)
    while len(found) < count:
        for batch in loader:
            found.append(batch)
            if len(found) == count:
                break
    return found


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_those_of_the_clips(kind, places):
    data = module(kind, places)
    data.setup()
    table, audio = data.drawn.table, data.clips.audio
    assert sorted(table["record"]) == list(range(sets.CLIPS))
    for row, number in enumerate(table["record"]):
        whole = sets.samples(number)
        assert table["frames"][row] == len(whole)
        assert table["sample_rate"][row] == sets.rate_of(number)
        first, second = audio.spans(row, [(0, len(whole)), (100, 50)])
        np.testing.assert_array_equal(first, whole)
        np.testing.assert_array_equal(second, whole[100:150])


@pytest.mark.parametrize("kind", mostly_slow(KINDS, ("folder",)))
def test_any_workers_ranks_and_beginnings_see_the_same_clips(kind, places):
    expected = batches(module(kind, places), count=5)
    assert_equal(batches(module(kind, places, num_workers=2), start=2, count=3), expected[2:])
    halves = [
        batches(module(kind, places, batch_size=2), count=5, rank=(rank, 2)) for rank in (0, 1)
    ]
    joined = [{key: torch.cat([a[key], b[key]]) for key in a} for a, b in zip(*halves, strict=True)]
    assert_equal(joined, expected)
    first_pass = torch.cat([batch["clip"] for batch in expected])[:12]
    assert len(set(first_pass.tolist())) == 12


def test_labels_splits_and_groups(places):
    data = module("folder", places, label="label", group="artist")
    data.setup()
    assert (data.drawn.classes, data.drawn.kind) == (("x", "y", "z"), "multiclass")
    labelled = data.drawn.table["source"] == "labelled"
    expected = data.drawn.table["record"][labelled] % 3
    assert (data.drawn.targets[labelled].argmax(axis=1) == expected).all()
    held = data.drawn.table["split"] == "val"
    assert held.any()
    groups = data.drawn.table["group"]
    assert not set(groups[held]) & set(groups[~held])
    data = module("shards", places, label="cls", val_shards=str(places / "shards/part-002.tar"))
    data.shards = str(places / "shards/part-{000..001}.tar")
    data.setup()
    assert data.drawn.classes == ("0", "1", "2")
    assert set(data.drawn.table["record"][data.drawn.table["split"] == "val"]) == set(range(10, 15))
    for label, kind in (("json.tags", "multilabel"), ("json.level", "regression")):
        data = module("shards", places, label=label)
        data.setup()
        assert data.drawn.kind == kind
    data = module("dataset", places, label=2, classes=["c2", "c1", "c0"])
    data.setup()
    assert data.drawn.classes == ("c2", "c1", "c0")


def test_kinds_of_labels():
    names = ["a", "b", "c"]
    labels = labels_of([3, None, 20], names, "n", "here")
    assert (labels.classes, labels.kind) == (("3", "20"), "multiclass")
    assert np.isnan(labels.targets[1]).all()
    assert labels_of([1, 0, 1], names, "n", "here", ["no", "yes"]).targets.argmax(1).tolist() == [
        1,
        0,
        1,
    ]
    tags = labels_of([["q", "p"], [], None], names, "n", "here")
    assert (tags.classes, tags.targets[1].tolist()) == (("p", "q"), [0, 0])
    levels = labels_of([0.5, float("nan"), torch.tensor(2.5)], names, "level", "here")
    assert (levels.kind, levels.targets[2, 0]) == ("regression", 2.5)
    for wrong, told in (
        ([{}, "a", "b"], "'n' of a is of type dict, not a label"),
        (["a", 0.5, "b"], "'n' of b is regression, but earlier items are multiclass"),
        ([None] * 3, "No item has a label in 'n'"),
    ):
        with pytest.raises(UserError, match=told):
            labels_of(wrong, names, "n", "here")


def test_shards_of_the_webdataset_library(tmp_path):
    """Its writer's archives: keys with folders, extensions with dots, long names."""
    webdataset = pytest.importorskip("webdataset")
    long = "f" * 90 + "/" + "k" * 90
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as writer:
        writer.write({"__key__": "sub/one", "left.flac": sets.encoded(0), "txt": "a"})
        writer.write({"__key__": long, "FLAC": sets.encoded(1), "json": {"x": 1}})
    found = samples_in(str(tmp_path / "a.tar"), 0)
    assert [(s.key, sorted(s.members)) for s in found] == [
        ("sub/one", ["left.flac", "txt"]),
        (long, ["flac", "json"]),
    ]
    data = WebDatasetDataModule(str(tmp_path / "a.tar"), label="txt", **{**OPTIONS, "val_split": 0})
    data.setup()
    np.testing.assert_array_equal(data.clips.audio.spans(0, [(0, 9)])[0], sets.samples(0)[:9])
    for number in (8, 9, 10):
        (tmp_path / f"b-{number:02d}.tar").write_bytes((tmp_path / "a.tar").read_bytes())
    assert [p[-6:] for p in shards_at(f"{tmp_path}/b-{{08..10}}.tar")] == [
        "08.tar",
        "09.tar",
        "10.tar",
    ]
    assert len(shards_at(f"{tmp_path}/b-?8.tar")) == 1


def test_damaged_clips_are_left_out_and_reported(tmp_path, caplog):
    members = [(f"{n}.flac", sets.encoded(n)) for n in range(12)]
    members[3] = ("3.flac", b"no audio at all")
    sets.write_shard(tmp_path / "a.tar", members)
    data = WebDatasetDataModule(str(tmp_path), **OPTIONS)
    with caplog.at_level(logging.WARNING):
        data.setup()
    assert "1 of 12 audio files cannot be used: a.tar/3.flac (not audio, but text)" in caplog.text
    assert 3 not in set(data.drawn.table["record"])


@pytest.mark.parametrize(
    ("bad", "told"), [("nan", "NaN samples"), ("raises", "OSError: the disk is gone")]
)
def test_unusable_items_of_a_dataset_are_left_out(bad, told, caplog):
    data = TorchDataModule("outside_sets.Tones", {"bad": bad}, rate=1, **OPTIONS)
    with caplog.at_level(logging.WARNING):
        data.setup()
    assert f"1 of 15 audio files cannot be used: 00000007 ({told}" in caplog.text


def test_an_item_that_changes_is_an_error(places):
    data = module("dataset", places)
    data.setup()
    data.clips.audio.frames = data.clips.audio.frames + 1
    with pytest.raises(AudioError, match="must return the same item for an index"):
        data.clips.audio.spans(0, [(0, 10)])


def test_files_that_rows_name_must_be_inside(tmp_path, caplog):
    datasets = pytest.importorskip("datasets")
    (tmp_path / "files").mkdir()
    for n in range(4):
        (tmp_path / "files" / f"{n}.flac").write_bytes(sets.encoded(n))
    (tmp_path / "secret.flac").write_bytes(sets.encoded(9))
    named = ["0.flac", "1.flac", "2.flac", str(tmp_path / "secret.flac")]
    rows = [{"bytes": None, "path": name} for name in named]
    struct = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    made = datasets.Dataset.from_dict(
        {"sound": rows}, features=datasets.Features({"sound": struct})
    )
    made.save_to_disk(tmp_path / "set")  # with the type Audio, it would copy the files
    about = json.loads((tmp_path / "set/dataset_info.json").read_text())
    about["features"] = {"sound": {"_type": "Audio"}}
    (tmp_path / "set/dataset_info.json").write_text(json.dumps(about))
    options = {**OPTIONS, "files_in": str(tmp_path / "files"), "max_bad": 0.5}
    data = HuggingFaceDataModule(str(tmp_path / "set"), **options)
    with caplog.at_level(logging.WARNING):
        data.setup()
    assert set(data.drawn.table["record"]) == {0, 1, 2}
    assert "secret.flac', which is not in" in caplog.text
    for row, number in enumerate(data.drawn.table["record"]):
        (audio,) = data.clips.audio.spans(row, [(0, 9)])
        np.testing.assert_array_equal(audio, sets.samples(number)[:9])


def test_an_iterable_dataset_is_used_in_its_order(caplog):
    options = {**OPTIONS, "target_length": 0.7, "batch_size": 2}
    with caplog.at_level(logging.INFO):
        found = batches(TorchDataModule("outside_sets.Sized", **options), count=9)
    assert "used as they arrive, 15 per epoch, without validation" in caplog.text
    heard = [audio for batch in found for audio in batch["audio"][:, 0, 0]]
    for number, audio in enumerate(heard[:18]):  # after 15 items, a second pass
        if number % 15 != 4:  # which is resampled
            np.testing.assert_array_equal(audio.numpy(), sets.samples(number % 15))
    keys = torch.cat([batch["key"].flatten() for batch in found])
    assert len(keys.unique()) == len(keys)
    halves = [
        batches(TorchDataModule("outside_sets.Sized", **options), count=3, rank=(rank, 2))
        for rank in (0, 1)
    ]
    for rank, half in enumerate(halves):
        for step, audio in enumerate(audio for batch in half for audio in batch["audio"][:, 0, 0]):
            if (number := 2 * step + rank) != 4:
                np.testing.assert_array_equal(audio.numpy(), sets.samples(number))
    assert not set(halves[0][0]["clip"].tolist()) & set(halves[1][0]["clip"].tolist())


def test_bad_and_missing_items_of_an_iterable_dataset(caplog):
    data = TorchDataModule("outside_sets.Sized", {"bad": 1}, **OPTIONS)
    with caplog.at_level(logging.WARNING):
        batches(data, count=1)
    assert "item 1 cannot be used: infinite samples. It is left out." in caplog.text
    data = TorchDataModule("outside_sets.Sized", {"count": 1, "bad": 0}, **OPTIONS)
    with pytest.raises(UserError, match="yields no usable items"):
        batches(data, count=1)
    data = TorchDataModule("outside_sets.Stream", {"bad": 1}, epoch_items=8, max_bad=0, **OPTIONS)
    with pytest.raises(UserError, match="2 of 17 items cannot be used"):
        batches(data, count=9)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_contents_are_read_like_files(form, tmp_path):
    """As bytes, and at a place in another file."""
    subtype = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}.get(form, "PCM_16")
    audio = np.random.default_rng(0).normal(size=(30_000, 2)) * 0.1
    soundfile.write(tmp_path / "whole", audio, 22050, format=form, subtype=subtype)
    content = (tmp_path / "whole").read_bytes()
    (tmp_path / "shard").write_bytes(b"before" + content + b"after")
    place = Range(str(tmp_path / "shard"), 6, 6 + len(content))
    spans = [(0, 700), (21_000, 5_000), (9_000, 10)]
    expected, _ = read_spans(tmp_path / "whole", spans)
    length = probe_file(tmp_path / "whole").frames
    assert place.read() == content
    for held in (content, place):
        for known in (length, None):
            for ours, theirs in zip(
                read_content(held, "stamp", "clip", spans, known), expected, strict=True
            ):
                np.testing.assert_array_equal(ours, theirs)


def test_a_damaged_content_is_named(tmp_path):
    content = sets.encoded(2)
    with pytest.raises(AudioError, match="In: clip b") as caught:
        read_content(content[:-2000], "b", "clip b", [(0, len(sets.samples(2)))])
    assert "/proc" not in str(caught.value)
    with as_file(b"abc", "c") as path, open(path, "rb") as file:
        assert file.read() == b"abc"


def test_a_shard_that_goes_away_is_named(places, tmp_path):
    (tmp_path / "a.tar").write_bytes((places / "shards" / "part-000.tar").read_bytes())
    data = WebDatasetDataModule(str(tmp_path), **OPTIONS)
    data.setup()
    (tmp_path / "a.tar").unlink()
    with pytest.raises(AudioError, match=r"a.tar/\d+.flac cannot be read \(No such file"):
        data.clips.audio.spans(0, [(0, 10)])


def test_splits_and_lists_of_a_data_set_of_hugging_face(tmp_path):
    datasets = pytest.importorskip("datasets")
    names = datasets.ClassLabel(names=["low", "high"])

    def part(numbers):
        audio = [{"bytes": sets.encoded(n), "path": None} for n in numbers]
        tags = [[n % 2] if n else [] for n in numbers]
        made = datasets.Dataset.from_dict({"sound": audio, "tags": tags})
        made = made.cast_column("sound", datasets.Audio())
        return made.cast_column("tags", datasets.List(names))

    made = {"train": part(range(6)), "validation": part([6, 7]), "test": part([8])}
    datasets.DatasetDict(made).save_to_disk(tmp_path / "set")
    data = HuggingFaceDataModule(str(tmp_path / "set"), label="tags", **OPTIONS)
    data.setup()
    drawn = data.drawn
    assert (drawn.classes, drawn.kind) == (("low", "high"), "multilabel")
    training = drawn.table["split"] == "train"
    assert set(drawn.table["name"][training]) == {f"train/{n:08d}" for n in range(6)}
    assert set(drawn.table["name"][~training]) == {f"validation/{n:08d}" for n in range(2)}
    labelled = (drawn.table["source"] == "labelled").to_numpy()
    by_name = dict(zip(drawn.table["name"][labelled], drawn.targets[labelled], strict=True))
    assert [by_name[f"train/{n:08d}"].tolist() for n in (0, 1, 2)] == [[0, 0], [0, 1], [1, 0]]
    datasets.DatasetDict({"a": part([0])}).save_to_disk(tmp_path / "other")
    data = HuggingFaceDataModule(str(tmp_path / "other"), **OPTIONS)
    with pytest.raises(UserError, match="has the split 'a'; splits are train"):
        data.setup()
    datasets.DatasetDict({"test": part([0])}).save_to_disk(tmp_path / "tests")
    data = HuggingFaceDataModule(str(tmp_path / "tests"), **OPTIONS)
    with pytest.raises(UserError, match="has no split 'train', only test"):
        data.setup()
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "text")
    data = HuggingFaceDataModule(str(tmp_path / "text"), **OPTIONS)
    with pytest.raises(UserError, match="has no columns of type Audio"):
        data.setup()
    part([0]).select([]).save_to_disk(tmp_path / "empty")
    data = HuggingFaceDataModule(str(tmp_path / "empty"), **OPTIONS)
    with pytest.raises(UserError, match="The data set has no rows to train on"):
        data.setup()


def test_training_clips_come_first():
    from semisupcon.data.outside.hugging_face import _training_splits

    rows = _training_splits("folder", {"dev": 1, "train": 2, "test": 3})
    assert rows == [("train", "train", 2), ("val", "dev", 1)]
