"""Lists and tables keep their place of origin; labels become targets; the general parsers take any
table."""

import re

import numpy as np
import pandas as pd
import pytest
from tiny_sets import BUILDERS, touch, write

from semisupcon.datasets import (
    load_annotations,
    multi_hot,
    numbers,
    one_hot,
    read_lines,
    read_table,
)
from semisupcon.datasets.parsing.labels import flags
from semisupcon.datasets.parsing.reading import place, read_text
from semisupcon.errors import AnnotationError, ConfigError, DatasetNotFoundError


def test_lists_may_end_in_any_way(tmp_path):
    for text in ("a\nb c\n", "a\nb c", "a\r\nb c\r\n", "\ufeffa\n\n  b c \n"):
        write(tmp_path, "list.txt", text)
        assert read_lines(tmp_path, "list.txt", prefix="x").tolist() == ["x/a", "x/b c"]


def test_rows_know_their_file_and_line(tmp_path):
    write(tmp_path, "list.txt", "a\n\nb\n")
    write(tmp_path, "t.csv", 'name,tag\nx,"one, two"\n\n"y\nz",three\n')
    lines, rows = read_lines(tmp_path, "list.txt"), read_table(tmp_path / "t.csv", ["tag"])
    assert place(lines, 1) == (str(tmp_path / "list.txt"), 3)
    assert rows["name"].tolist() == ["x", "y\nz"]
    assert place(rows[rows["tag"] == "three"], 0) == (
        str(tmp_path / "t.csv"),
        5,
    )  # where the row ends
    both = pd.concat([rows["tag"], lines])
    assert place(both.map(str.upper), 3) == (str(tmp_path / "list.txt"), 3)


def test_an_unknown_label_is_named_with_its_place_and_the_nearest_class(tmp_path):
    write(tmp_path, "list.txt", "blues\njaz\n")
    with pytest.raises(
        AnnotationError,
        match=r"'jaz' is not one of the classes\.\nIn: .*list\.txt, line 2\n.*Did you mean 'jazz'",
    ):
        one_hot(read_lines(tmp_path, "list.txt"), ("blues", "jazz"))
    with pytest.raises(AnnotationError, match="row 1 of the table"):
        one_hot(["blues", "jaz"], ("blues", "jazz"))


def test_labels_become_targets():
    assert np.array_equal(
        one_hot(["b", None, "a"], "ab"), [[0, 1], [np.nan, np.nan], [1, 0]], equal_nan=True
    )
    assert np.array_equal(
        multi_hot([["b", "a"], [], None], "ab"), [[1, 1], [0, 0], [np.nan, np.nan]], equal_nan=True
    )
    assert one_hot(["a"], "ab").dtype == np.float32
    assert np.array_equal(flags(pd.DataFrame({"x": ["0", "1"], "y": ["1", "1"]})), [[0, 1], [1, 1]])


def test_numbers_are_checked(tmp_path):
    write(tmp_path, "t.csv", "x\n1.5\n-2\nnan\n")
    column = read_table(tmp_path / "t.csv")["x"]
    with pytest.raises(
        AnnotationError, match=r"'nan' in column 'x' is not a number\.\nIn: .*t\.csv, line 4"
    ):
        numbers(column)
    with pytest.raises(AnnotationError, match=r"x is -2\.\nIn: .*line 3\nIt must lie in 0\.\.9"):
        numbers(column[:2], 0, 9)
    assert np.array_equal(
        numbers(pd.Series(["1", "", None], name="x")), [1, np.nan, np.nan], equal_nan=True
    )


def test_text_that_is_not_utf8_is_placed(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,caf\xe9\n")
    with pytest.raises(
        AnnotationError, match=r"0xe9 is not UTF-8.*\nIn: .*t\.csv, line 2\nConvert"
    ):
        read_text(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "path,label\na,b\n",
            {"label": "lable"},
            "no column 'lable'.*line 1.*Did you mean 'label'",
        ),
        (
            "path;label\na;b\n",
            {},
            "no column 'path'.*line 1.*separated by semicolons; commas are expected",
        ),
        ("path,label\na,b\nc\n", {}, "1 fields where 2 are expected.*line 3"),
        ("path,label\na,b\nc;d\n", {}, "1 fields where 2.*line 3.*looks separated by semicolons"),
        ("", {}, "has no rows.*t.csv"),
        ("path,label\n", {}, "has no rows"),
        ('path,label\na,"b\n', {}, "Not a table.*line 2"),
        ("path,label\na,b\na,c\n", {}, "'a' is listed twice.*line 3"),
        ("path,label,split\na,b,trian\n", {}, "'trian' is not a split.*line 2.*Splits are train"),
        (
            "path,label\na,x\n",
            {"kind": "regression"},
            "'x' in column 'label' is not a number.*line 2",
        ),
        (
            "path,label,more\na,0,2\n",
            {"kind": "multilabel", "label": ["label", "more"]},
            "more is 2.*line 2.*must lie in 0..1",
        ),
        ("path,label\na,b\nc,d\n", {"classes": ["b"]}, "'d' is not one of the classes.*line 3"),
    ],
)
def test_what_a_table_has_wrong_is_named(text, options, message, tmp_path):
    write(tmp_path, "t.csv", text)
    touch(tmp_path, "a.wav", "c.wav")
    with pytest.raises(AnnotationError) as error:
        load_annotations("csv", tmp_path, **options)
    assert re.search(message, str(error.value), re.DOTALL), str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def test_options_that_do_not_go_together_are_refused(tmp_path):
    write(tmp_path, "t.csv", "path,label,other\na,b,c\nd,e,f\ng,h,i\n")
    for options, message in (
        ({"kind": "binary"}, "A binary label has two values"),
        ({"label": ["label", "other"]}, "multilabel and regression only"),
        ({"kind": "tags"}, "kind is one of"),
        ({"lable": "other"}, "Did you mean 'label'"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_annotations("csv", tmp_path, **options)
    write(tmp_path, "u.csv", "path,label\n")
    with pytest.raises(DatasetNotFoundError, match="2 are there"):
        load_annotations("csv", tmp_path)


def test_a_table_of_any_shape(tmp_path):
    write(
        tmp_path,
        "t.tsv",
        "file\tnotes\tpart\tyear\n1\tpiano; "
        "harp\ttraining\t1900\n2\t\tvalid\t1950\n3\tharp\teval\t1999\n",
    )
    touch(tmp_path, *(f"audio/{i}.ogg" for i in (1, 2, 3)))
    common = {"path": "file", "prefix": "audio", "split": "part"}
    tags = load_annotations("csv", tmp_path, label="notes", kind="multilabel", **common)
    assert tags.classes == ("harp", "piano")
    assert np.array_equal(tags.targets, [[1, 1], [np.nan, np.nan], [1, 0]], equal_nan=True)
    assert tags.table["split"].tolist() == ["train", "val", "test"]
    assert tags.table["path"].tolist() == ["audio/1.ogg", "audio/2.ogg", "audio/3.ogg"]
    years = load_annotations("csv", tmp_path, label="year", kind="regression", **common)
    assert (years.classes, years.targets[:, 0].tolist()) == (("year",), [1900, 1950, 1999])


def test_binary_labels_are_one_column(tmp_path):
    write(tmp_path, "t.csv", "path,voiced\na,yes\nb,no\nc,\n")
    touch(tmp_path, *(f"{name}.wav" for name in "abc"))
    voiced = load_annotations("csv", tmp_path, label="voiced", kind="binary")
    assert (voiced.classes, voiced.kind) == (("voiced",), "binary")
    assert np.array_equal(voiced.targets, [[1], [0], [np.nan]], equal_nan=True)
    ordered = load_annotations(
        "csv", tmp_path, label="voiced", kind="binary", classes=["yes", "no"]
    )
    assert ordered.targets[:2, 0].tolist() == [0, 1]


def test_numeric_classes_are_in_numeric_order(tmp_path):
    write(tmp_path, "t.csv", "path,label\n" + "".join(f"{i},{i}\n" for i in (10, 9, 2)))
    touch(tmp_path, "10.wav", "9.wav", "2.wav")
    assert load_annotations("csv", tmp_path).classes == ("2", "9", "10")


def test_groups_are_kept_whole_where_the_split_is_drawn(tmp_path):
    BUILDERS["csv"](tmp_path)
    for options in ({}, {"folds": 3, "fold": 2}):
        table = load_annotations("csv", tmp_path, group="artist", **options).table
        assert table.groupby("group")["split"].nunique().max() == 1
        assert {"train", "test"} <= set(table["split"])


def test_class_folders_can_split_classes(tmp_path):
    BUILDERS["class_folders"](tmp_path)
    few_shot = load_annotations("class_folders", tmp_path, train="rest", val=["dog"], test=["owl"])
    assert few_shot.table.groupby("split")["label"].unique().map(list).to_dict() == {
        "train": ["cat"],
        "val": ["dog"],
        "test": ["owl"],
    }
    assert set(load_annotations("class_folders", tmp_path, test="rest").table["split"]) == {"test"}
    assert load_annotations("class_folders", tmp_path, ignore=["owl"]).classes == ("cat", "dog")
    folds = [
        load_annotations("class_folders", tmp_path, folds=4, fold=fold).table
        for fold in range(1, 5)
    ]
    assert sorted(
        path for table in folds for path in table.loc[table["split"] == "test", "path"]
    ) == sorted(folds[0]["path"])
    for options, message in (
        ({"test": ["own"]}, "no folder for the test class 'own'. Did you mean 'owl'"),
        ({"train": ["cat"], "test": ["cat", "dog", "owl"]}, "in the lists of both train and test"),
        ({"test": ["cat"]}, "2 classes are in no list"),
        ({"train": "rest", "test": "rest"}, "Only one split"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_annotations("class_folders", tmp_path, **options)


def test_a_function_of_your_own_is_a_task(tmp_path, monkeypatch):
    write(
        tmp_path,
        "their_sets.py",
        "from semisupcon.datasets import load_annotations\n\ndef mine(root, of='csv'):\n    return "
        "load_annotations(of, root)\n",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    BUILDERS["csv"](tmp_path)
    assert load_annotations("their_sets.mine", tmp_path).classes == ("Bass drum", "piano")
    for task, message in (
        ("gtzam", "Did you mean 'gtzan'"),
        ("their_sets.yours", "names no function"),
        ("no.such.module", "names no function"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_annotations(task, tmp_path)
    with pytest.raises(ConfigError, match=r"has no option 'off'\. Did you mean 'of'"):
        load_annotations("their_sets.mine", tmp_path, off="csv")
