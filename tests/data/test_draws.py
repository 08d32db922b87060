"""The combinations of sl_task, ssl_task and data_dir: what is labelled, what is the pool, and that
held-out clips are never trained on."""

import logging
import os
import random
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semisupcon.data import draws, sources
from semisupcon.data.draws import divide
from semisupcon.data.sources import gather
from semisupcon.datasets import Annotations
from semisupcon.datasets.synthesis import render
from semisupcon.errors import ConfigError, DatasetNotFoundError, UserError


def listed(root):
    """A task by import path: ``list.csv`` with path, split, label (empty: unlabelled) and, where
    there is one, group."""
    table = pd.read_csv(root / "list.csv", keep_default_na=False, dtype=str)
    targets = np.full((len(table), 2), np.nan, np.float32)
    for i, label in enumerate(table["label"]):
        if label:
            targets[i] = np.eye(2)[int(label)]
    return Annotations(table.drop(columns="label"), targets, ("no", "yes"), "multiclass")


def listed_otherwise(root):
    """The same clips with the splits of ``other.csv``."""
    table = pd.read_csv(root / "other.csv", dtype=str)
    return Annotations(table, np.ones((len(table), 1), np.float32), ("all",), "binary")


DRAWN = ("val_split", "supervised_data_p", "fully_supervised", "seed")


def draw_clips(*tasks, **options):
    return divide(
        gather(*tasks, **{k: v for k, v in options.items() if k not in DRAWN}),
        **{k: v for k, v in options.items() if k in DRAWN},
    )


TASK, OTHER = f"{__name__}.listed", f"{__name__}.listed_otherwise"


@pytest.fixture
def folder(write, tmp_path):
    """20 training clips in ``a`` (16 labelled), 3 of validation, 4 of test; 5 files in ``more``
    that no list names, 2 beside the test clips."""
    rows = [(f"a/{i:02d}.wav", "train", "" if i % 5 == 0 else str(i % 2)) for i in range(20)]
    rows += [(f"v/{i}.wav", "val", str(i % 2)) for i in range(3)] + [
        (f"t/{i}.wav", "test", str(i % 2)) for i in range(4)
    ]
    for path, _, _ in rows:
        write(path, samples=400)
    for i in range(5):
        write(f"more/m{i}.wav", samples=400)
    write("t/beside.wav", samples=400)
    write("t/deep/beside.wav", samples=400)
    pd.DataFrame(rows, columns=["path", "split", "label"]).to_csv(
        tmp_path / "list.csv", index=False
    )
    return tmp_path


def names(drawn, split=None, source=None):
    rows = drawn.table
    mask = (rows["split"] == (split or rows["split"])) & (
        rows["source"] == (source or rows["source"])
    )
    return sorted(rows["name"][mask])


def in_folder(folder, *patterns):
    return sorted(str(p.relative_to(folder)) for pattern in patterns for p in folder.glob(pattern))


def test_a_task_over_its_own_folder(folder):
    drawn = draw_clips(TASK, data_dir=folder, val_split=0.2)
    assert names(drawn, "train", "labelled") == [f"a/{i:02d}.wav" for i in range(20) if i % 5]
    assert names(drawn, "val", "labelled") == ["v/0.wav", "v/1.wav", "v/2.wav"]
    unlisted = in_folder(folder, "more/*.wav")
    assert len(names(drawn, "val", "unlabelled")) == 1
    assert sorted(
        names(drawn, "val", "unlabelled") + names(drawn, "train", "unlabelled")
    ) == sorted([*unlisted, *[f"a/{i:02d}.wav" for i in (0, 5, 10, 15)]])
    assert not any(name.startswith("t/") for name in names(drawn))


def test_the_pool_named_as_the_task_itself(folder):
    drawn = draw_clips(TASK, TASK, data_dir=folder, supervised_data_p=0.5)
    assert len(names(drawn, "train", "labelled")) == 8
    assert sorted(names(drawn, "train")) == in_folder(folder, "a/*.wav")
    assert names(drawn, "val", "unlabelled") == []


def test_a_task_with_a_root_and_no_folder_is_its_own_pool(folder):
    drawn = draw_clips(TASK, sl_kwargs={"root": str(folder)}, supervised_data_p=0.25)
    assert len(names(drawn, "train", "labelled")) == 4
    assert sorted(names(drawn, "train")) == in_folder(folder, "a/*.wav")


def test_another_folder_as_the_pool(folder, write, tmp_path_factory):
    pool = tmp_path_factory.mktemp("pool")
    for i in range(5):
        (pool / "a").mkdir(exist_ok=True)
        shutil.copy(folder / f"more/m{i}.wav", pool / f"a/{i:02d}.wav")
    drawn = draw_clips(
        TASK,
        data_dir=str(pool) + os.sep,
        sl_kwargs={"root": str(folder)},
        val_split=0,
        supervised_data_p=0.5,
    )
    assert (
        len(names(drawn, "train", "labelled")) == 8
    )  # labels taken away leave no unlabelled clips: the pool is the folder
    assert names(drawn, "train", "unlabelled") == in_folder(pool, "a/*.wav")
    # Files of two roots with the same relative path are two clips.
    assert drawn.table["clip"].is_unique


def test_another_task_as_the_pool_and_its_held_out_clips(folder):
    paths = in_folder(folder, "a/*.wav", "more/*.wav", "t/?.wav")
    split = [
        "test" if name == "a/01.wav" else "val" if name in ("a/02.wav", "more/m0.wav") else "train"
        for name in paths
    ]
    pd.DataFrame({"path": paths, "split": split}).to_csv(folder / "other.csv", index=False)
    drawn = draw_clips(TASK, OTHER, data_dir=folder, supervised_data_p=0.0)
    trained = names(drawn, "train")
    assert not any(name.startswith("t/") for name in trained)  # test clips of the labelled task
    assert not {"a/01.wav", "a/02.wav", "more/m0.wav"} & set(trained)  # held out by the pool's task
    assert names(drawn, "train", "labelled") == []
    assert names(drawn, "val", "unlabelled") == ["more/m0.wav"]
    labelled = draw_clips(TASK, OTHER, data_dir=folder)
    assert "a/01.wav" not in names(labelled)
    assert "a/02.wav" in names(labelled, "train", "labelled")


def test_a_pool_without_labels(folder):
    for options in ({"data_dir": folder}, {"ssl_task": TASK, "data_dir": folder}):
        drawn = draw_clips(**options)
        assert drawn.targets.shape == (len(drawn.table), 0)
        assert (drawn.table["source"] == "unlabelled").all()
        assert (drawn.classes, drawn.kind) == ((), None)
    assert not any(name.startswith("t/") for name in names(drawn))  # of a named task
    assert names(drawn, "val") == ["v/0.wav", "v/1.wav", "v/2.wav"]


def test_fully_supervised_uses_labelled_clips_only(folder):
    drawn = draw_clips(TASK, data_dir=folder, fully_supervised=True, supervised_data_p=0.1)
    assert len(names(drawn, "train", "labelled")) == 16
    assert names(drawn, source="unlabelled") == []


def test_when_all_are_labelled_the_same_clips_serve_without(folder, caplog):
    table = pd.read_csv(folder / "list.csv", dtype=str)
    table[table["label"].notna()].to_csv(folder / "list.csv", index=False)
    with caplog.at_level(logging.INFO):
        drawn = draw_clips(TASK, TASK, data_dir=folder)
    assert names(drawn, "train", "labelled") == names(drawn, "train", "unlabelled")
    assert np.isnan(drawn.targets[drawn.rows("train", source="unlabelled")]).all()
    assert "with hidden labels" in caplog.text


def test_the_embedded_set_by_default(tmp_path, monkeypatch, caplog):
    small = render(tmp_path / "set", clips=60, seconds=0.5, progress=False)
    monkeypatch.setattr(sources, "render", lambda: small)
    with caplog.at_level(logging.INFO):
        pool = draw_clips()
    assert "embedded synthetic set" in caplog.text
    labels = pd.read_csv(small / "labels.csv").set_index("path")["split"]
    assert names(pool, "train") == sorted(labels.index[labels == "train"])
    assert names(pool, "val") == sorted(labels.index[labels == "val"])
    tagged = draw_clips("synthetic_tags", supervised_data_p=0.1)
    assert len(names(tagged, "train", "labelled")) == round(0.1 * (labels == "train").sum())
    assert sorted(names(tagged, "train")) == names(pool, "train")
    assert (
        len(names(draw_clips("synthetic_instrument", data_dir=small), "train", "labelled"))
        == (labels == "train").sum()
    )


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(p=st.floats(0, 1), q=st.floats(0, 1), val_split=st.floats(0, 0.9), seed=st.integers(0, 9))
def test_labels_are_kept_exactly_nested_and_in_training_only(folder, p, q, val_split, seed):
    p, q = sorted((p, q))
    fewer, more = (
        draw_clips(TASK, TASK, data_dir=folder, supervised_data_p=x, val_split=val_split, seed=seed)
        for x in (p, q)
    )
    few, many = set(names(fewer, "train", "labelled")), set(names(more, "train", "labelled"))
    assert few <= many
    for share, kept in ((p, few), (q, many)):
        assert len(kept) == (max(1, int(16 * share + 0.5)) if share else 0)
    assert names(fewer, "val", "labelled") == names(more, "val", "labelled")


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(val_split=st.floats(0, 0.95), seed=st.integers(0, 99))
def test_splits_of_a_folder_are_disjoint_exact_and_independent_of_its_order(
    folder, val_split, seed
):
    drawn = draw_clips(data_dir=folder, val_split=val_split, seed=seed)
    training, validation = names(drawn, "train"), names(drawn, "val")
    assert not set(training) & set(validation)
    assert sorted(training + validation) == in_folder(folder, "**/*.wav")
    assert len(validation) == (max(1, int(34 * val_split + 0.5)) if val_split else 0)
    real = os.scandir

    class Shuffled:
        def __init__(self, path):
            self.entries = list(real(path))
            random.Random(seed).shuffle(self.entries)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", Shuffled)
        other = draw_clips(data_dir=folder, val_split=val_split, seed=seed)
    pd.testing.assert_frame_equal(drawn.table, other.table)


def test_groups_stay_together_where_the_split_is_ours(folder):
    table = pd.read_csv(folder / "list.csv", keep_default_na=False, dtype=str)
    table = table[table["split"] == "train"].assign(group=[f"singer {i % 7}" for i in range(20)])
    table.to_csv(folder / "list.csv", index=False)
    rows = draw_clips(TASK, TASK, data_dir=folder, val_split=0.3).table
    assert rows.groupby("group")["split"].nunique().max() == 1
    assert 2 <= (rows["split"] == "val").sum() <= 6


def test_another_seed_draws_others(folder):
    first, second = (
        draw_clips(TASK, TASK, data_dir=folder, supervised_data_p=0.5, seed=s) for s in (0, 1)
    )
    assert names(first, "train", "labelled") != names(second, "train", "labelled")


def test_hidden_files_and_other_kinds_are_ignored(write, tmp_path):
    for name in ("b.wav", "sub/a.FLAC", ".hidden/c.wav", "._b.wav"):
        write(name, samples=400, format="WAV" if name.endswith("wav") else "FLAC")
    (tmp_path / "notes.txt").write_text("no audio")
    assert names(draw_clips(data_dir=str(tmp_path) + "/", val_split=0)) == ["b.wav", "sub/a.FLAC"]


def test_bad_files_change_nothing_for_the_others(folder, caplog):
    options = {"data_dir": folder, "supervised_data_p": 0.5, "val_split": 0.3}
    without = draw_clips(TASK, **options)
    (folder / "more/bad.wav").write_text("text")
    with_bad = draw_clips(TASK, **options)
    pd.testing.assert_frame_equal(without.table, with_bad.table)
    assert "1 of 29 audio files cannot be used: more/bad.wav" in caplog.text
    (folder / "more/worse.wav").write_text("text")
    with pytest.raises(UserError, match=r"2 of 30 audio files cannot be used: more/bad.wav"):
        draw_clips(TASK, **options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sl_task": "synthetic_tag"}, ConfigError, "Did you mean 'synthetic_tags'"),
        (
            {"sl_task": TASK},
            ConfigError,
            "needs a folder: give data.data_dir, or root in data.sl_kwargs",
        ),
        (
            {"ssl_task": TASK, "ssl_kwargs": {"root": "/nowhere/at/all"}},
            DatasetNotFoundError,
            "/nowhere/at/all",
        ),
        ({"data_dir": "/nowhere/at/all"}, DatasetNotFoundError, "/nowhere/at/all"),
    ],
)
def test_mistakes_are_answered_in_three_lines(options, error, message):
    with pytest.raises(error, match=message) as caught:
        draw_clips(**options)
    assert str(caught.value).count("\n") <= 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"supervised_data_p": 1.5}, "supervised_data_p must lie between 0 and 1, got 1.5"),
        ({"supervised_data_p": -0.5}, "between 0 and 1"),
        ({"val_split": 1.0}, "val_split must be at least 0 and below 1"),
        ({"fully_supervised": True}, "needs labels"),
    ],
)
def test_draws_that_cannot_be(folder, options, message):
    with pytest.raises(ConfigError, match=message):
        draw_clips(data_dir=folder, **options)


def test_an_empty_folder(tmp_path):
    with pytest.raises(UserError, match="holds no audio"):
        draw_clips(data_dir=tmp_path)


def test_nothing_left_to_train_on(folder):
    table = pd.read_csv(folder / "list.csv", keep_default_na=False, dtype=str)
    table[table["split"] == "test"].to_csv(folder / "list.csv", index=False)
    with pytest.raises(UserError, match="No clips to train on"):
        draw_clips(TASK, TASK, data_dir=folder)
    assert draws.log.name == "semisupcon.data.draws"
