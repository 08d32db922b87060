"""`LabelledClips`: parts that do not fit are refused, and what is derived from it keeps its rows
together."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semisupcon.datasets import Annotations, LabelledClips, load_annotations

TABLE = pd.DataFrame(
    {
        "path": ["a.wav", "b/b.wav", "/far/c.wav"],
        "split": ["train", "test", "train"],
        "source": ["x", "x", "y"],
    }
)
TARGETS = np.array([[1, 0], [np.nan, np.nan], [0, 0]])
CLIPS = LabelledClips(
    TABLE, TARGETS, ["one", "two"], "multilabel", "mAP", root="/data", name="task", fold=2
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": TABLE.drop(columns="split")}, r"lacks the columns \['split'\]"),
        ({"table": TABLE.assign(split="dev")}, r"found \['dev'\]"),
        ({"targets": TARGETS[:2]}, r"targets of shape \(2, 2\) for 3 clips and 2 classes"),
        ({"kind": "tags"}, "got 'tags'"),
        ({"kind": None}, "got None"),
    ],
)
def test_parts_that_do_not_fit(change, message):
    with pytest.raises(ValueError, match=message):
        LabelledClips(
            **{
                "table": TABLE,
                "targets": TARGETS,
                "classes": ("one", "two"),
                "kind": "multilabel",
                **change,
            }
        )


def test_attributes():
    assert (len(CLIPS), CLIPS.targets.dtype, CLIPS.classes) == (3, np.float32, ("one", "two"))
    assert CLIPS.paths == ("a.wav", "b/b.wav", "/far/c.wav")
    assert CLIPS.files == (Path("/data/a.wav"), Path("/data/b/b.wav"), Path("/far/c.wav"))
    assert CLIPS.split.tolist() == ["train", "test", "train"]
    assert CLIPS.labelled.tolist() == [True, False, True]
    assert CLIPS.rows("train").tolist() == [0, 2]
    assert CLIPS.rows("train", source="y").tolist() == [2]
    assert CLIPS.rows("val").tolist() == []


@pytest.mark.parametrize("rows", [[2, 0], np.array([2, 0]), []])
def test_select_by_position(rows):
    some = CLIPS.select(rows)
    assert some.paths == tuple(CLIPS.paths[i] for i in rows)
    np.testing.assert_array_equal(some.targets, CLIPS.targets[[*rows]])
    assert some.table.index.tolist() == list(range(len(rows)))
    assert (some.root, some.name, some.fold, some.metric) == ("/data", "task", 2, "mAP")


def test_select_by_mask():
    assert CLIPS.select(CLIPS.labelled).paths == ("a.wav", "/far/c.wav")


def test_other_columns_and_no_labels():
    moved = CLIPS.assign(path=["x.wav", "y.wav", "z.wav"])
    assert (moved.paths, CLIPS.paths[0]) == (("x.wav", "y.wav", "z.wav"), "a.wav")
    bare = CLIPS.without_labels()
    assert (bare.targets.shape, bare.classes, bare.kind, bare.paths) == (
        (3, 0),
        (),
        None,
        CLIPS.paths,
    )


def test_the_old_name():
    old = Annotations(TABLE, TARGETS, ("one", "two"), kind="multilabel", metric="mAP")
    assert (type(old), old.metric, old.root) == (LabelledClips, "mAP", "")


@pytest.mark.parametrize(("kind", "metric"), [("multilabel", "roc_auc"), ("regression", "r2")])
def test_without_a_metric_it_is_that_of_the_label_kind(kind, metric):
    assert LabelledClips(TABLE, TARGETS, ("one", "two"), kind).metric == metric


def test_the_synthetic_set_says_where_it_lies():
    assert all(file.is_file() for file in load_annotations("synthetic_tags", None).files)
