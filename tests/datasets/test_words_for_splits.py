"""What dev, eval and their like mean beside other words, in tables and in fractions; through
``data check`` where a person sees it."""

import itertools

import numpy as np
import pytest
import soundfile

from semisupcon.__main__ import main
from semisupcon.datasets import load_annotations
from semisupcon.datasets.parsing.split_words import WORDS, fractions_by_split, meaning
from semisupcon.errors import AnnotationError, ConfigError


@pytest.mark.parametrize(
    ("words", "splits"),
    [
        ("train dev test", "train val test"),
        ("train test dev", "train test val"),
        ("training devel testing", "train val test"),
        ("train dev eval", "train val test"),
        ("train valid eval", "train val test"),
        ("train validation evaluation", "train val test"),
        ("train val test", "train val test"),
        ("dev eval", "train test"),
        ("dev test", "train test"),
        ("development validation evaluation", "train val test"),
        ("dev valid test", "train val test"),
        ("train eval", "train test"),
        ("train dev", "train val"),
        ("train eval test", "train val test"),
        ("train val dev", "train val test"),
        ("Train DEV Test", "train val test"),
        ("train val valid test", "train val val test"),
        ("dev", "train"),
        ("eval val", "test val"),
    ],
)
def test_a_word_means_what_the_others_leave(words, splits):
    words = words.split()
    assert [meaning(words)[word] for word in words] == splits.split()


@pytest.mark.parametrize(
    "words",
    [
        "train val test dev",
        "train dev eval test",
        "train valid test eval",
        "train val test development",
    ],
)
def test_a_word_for_which_no_split_is_left_is_refused(words):
    with pytest.raises(ConfigError, match="may be any split"):
        meaning(words.split())


def test_the_order_of_words_does_not_matter_and_dev_is_never_trained_on_beside_train():
    for words in itertools.combinations(WORDS, 3):
        found = []
        for order in itertools.permutations(words):
            try:
                found.append(meaning(order))
            except ConfigError:
                found.append(None)
        assert all(one == found[0] for one in found), words
        if found[0] and {"train", "training"} & set(words):
            assert not [
                w for w in words if found[0][w] == "train" and w not in ("train", "training")
            ], words


def tones(root, names, table):
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(
            root / name, 0.1 * np.random.default_rng([i, *name.encode()]).standard_normal(800), 8000
        )
    (root / "labels.csv").write_text(table)


def test_dev_is_validation_and_one_line_says_so(shared, capsys, caplog):
    root = shared("awkward/dev_set")
    caplog.set_level("INFO")
    assert main(["data", "check", "csv", "--data_dir", str(root)]) == 0
    assert "'dev' is validation" in caplog.text
    assert [
        line.split()[:2] for line in capsys.readouterr().out.splitlines() if line.startswith("val")
    ] == [["val", "4"]]


def test_ambiguous_words_of_a_table_name_the_column_and_the_file(tmp_path, capsys):
    names = [f"{i}.wav" for i in range(4)]
    tones(
        tmp_path,
        names,
        "path,label,part\n"
        + "".join(
            f"{n},x,{w}\n" for n, w in zip(names, ("train", "val", "test", "dev"), strict=True)
        ),
    )
    assert main(["data", "check", "csv", "--data_dir", str(tmp_path), "--split", "part"]) == 2
    error = capsys.readouterr().err
    assert "Column 'part': 'dev' beside train, val, test may be any split" in error
    assert str(tmp_path / "labels.csv") in error
    assert len(error.splitlines()) <= 3


def test_a_column_of_train_val_test_says_nothing(tmp_path, caplog):
    tones(tmp_path, ["0.wav"], "path,label,split\n0.wav,x,Train\n")
    caplog.set_level("INFO")
    load_annotations("csv", tmp_path)
    assert "Splits" not in caplog.text


def test_an_empty_split_is_named(tmp_path):
    tones(tmp_path, ["0.wav", "1.wav"], "path,label,split\n0.wav,x,train\n1.wav,x,\n")
    with pytest.raises(AnnotationError, match=r"(?s)Column 'split' is empty.*line 3"):
        load_annotations("csv", tmp_path)


@pytest.mark.parametrize(
    "words",
    ["{train: 0.5, valid: 0.25, test: 0.25}", "{training: 0.5, dev: 0.25, evaluation: 0.25}"],
)
def test_fractions_take_the_usual_names(tmp_path, capsys, words):
    for i in range(8):
        tones(tmp_path, [f"{label}/{i}.wav" for label in ("a", "b")], "")
    (tmp_path / "labels.csv").unlink()
    assert main(
        ["data", "check", "class_folders", "--data_dir", str(tmp_path), "--fractions", words]
    ) in (0, 1)
    counts = {
        line.split()[0]: line.split()[1]
        for line in capsys.readouterr().out.splitlines()
        if line[:4].strip() in ("trai", "val", "test")
    }
    assert counts == {"train": "8", "val": "4", "test": "4"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"train": 0.8, "vall": 0.2}, "'vall' is not a split. Did you mean 'val'"),
        ({"train": 0.8, "valid": 0.1, "val": 0.1}, "two of train, valid, val mean one split"),
        ({"train": True, "val": 0.1}, "train takes a number"),
        ({"train": "most"}, "train takes a number"),
        ([0.8, 0.2], "fractions is a mapping"),
    ],
)
def test_fractions_that_cannot_be_are_sentences(given, said):
    with pytest.raises(ConfigError, match=said):
        fractions_by_split(given)
