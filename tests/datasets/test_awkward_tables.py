"""Tables and folders as they are found: names, separators, blank cells, repeated columns, what
functions return."""

import logging
import os
import subprocess
import sys
import unicodedata

import numpy as np
import pandas as pd
import pytest
import soundfile
from tiny_sets import touch

from semisupcon.__main__ import main
from semisupcon.data.draws import divide
from semisupcon.data.sources import gather
from semisupcon.datasets import LabelledClips, load_annotations, unlisted
from semisupcon.datasets.parsing.finding import find_by_stem
from semisupcon.datasets.parsing.names import below, place_of, portable
from semisupcon.errors import AnnotationError, ConfigError, DatasetNotFoundError, UserError


def table(root, text):
    (root / "labels.csv").write_text(text)
    return root


def noise(root, *names):
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, 0.1 * np.random.default_rng(i).standard_normal(400), 8000)


# Copies


def test_equal_names_in_other_folders_are_other_clips(shared, caplog):
    caplog.set_level(logging.INFO)
    found = gather("csv", data_dir=shared("awkward/albums")).table
    assert len(found) == 30
    assert found["in_pool"].sum() == 30
    assert "left out" not in caplog.text


@pytest.mark.parametrize(
    ("listed", "copies", "others"),
    [
        (
            ["a1/t0.wav"],
            ["a1/t0.mp3", "A1/T0.flac", "backup/a1/t0.wav", "mp3/a1/t0.mp3"],
            ["a2/t0.wav", "t0.wav", "a1/cd2/t0.wav"],
        ),
        (["AudioWAV/x.wav"], ["AudioMP3/x.mp3", "wav_16k/x.wav", "x.mp3"], ["other/x.wav"]),
        (
            ["wav/id1/v/1.wav"],
            ["aac/id1/v/1.mp3"],
            ["wav/id2/w/1.wav", "wav/id1/w/1.wav", "wav/id2/v/1.wav"],
        ),
        (["box/cd1/1.wav"], ["box/cd1/1.flac"], ["box/cd2/1.wav", "other/cd1/1.wav"]),
        (["1.wav"], ["1.mp3"], ["a/1.wav", "1089/1.wav"]),
    ],
)
def test_a_copy_agrees_in_its_folder_too(tmp_path, listed, copies, others):
    touch(tmp_path, *listed, *copies, *others)
    clips = LabelledClips(
        pd.DataFrame({"path": listed, "split": "train"}), np.ones((1, 1)), ("x",), "binary"
    )
    assert unlisted(clips, tmp_path) == sorted(others)


def test_what_is_left_out_of_the_pool_is_a_warning_with_names_when_it_is_much(tmp_path, caplog):
    names = [f"wav/{i}.wav" for i in range(8)]
    noise(
        tmp_path,
        *names,
        *(name.replace("wav/", "flac/").replace(".wav", ".flac") for name in names),
        "more/x.wav",
    )
    table(tmp_path, "path,label,split\n" + "".join(f"{name},a,train\n" for name in names))
    assert len(gather("csv", data_dir=tmp_path)) == 9
    (record,) = [record for record in caplog.records if "left out of the pool" in record.message]
    assert record.levelno == logging.WARNING
    assert (
        "8 are copies of listed clips by folder and name (flac/0.flac, flac/1.flac, flac/2.flac, "
        "...)" in record.message
    )


def test_place_of_leaves_out_formats_and_keeps_numbers():
    assert place_of("AudioWAV/id1") == place_of("mp3/id1") == ("id1",)
    assert place_of("FSD50K.dev_audio_16k") == place_of("FSD50K.dev_audio") == ("fsd50k_dev",)
    assert place_of("1089/134686") == ("1089", "134686")
    assert place_of("audio_22050") == ()
    assert place_of("16000") == ("16000",)


# Paths


def test_paths_below_the_root_are_relative_however_written(tmp_path):
    touch(tmp_path / "set", "a/0.wav", "b/c/1.wav", "odd\\name.wav")
    (tmp_path / "link").symlink_to(tmp_path / "set")
    root = tmp_path / "set"
    written = [
        str(root / "a/0.wav"),
        str(tmp_path / "link/b/c/1.wav"),
        "./a//0.wav",
        "a\\0.wav",
        "odd\\name.wav",
        "C:\\x\\set\\b\\c\\1.wav",
    ]
    assert below(root, written) == [
        "a/0.wav",
        "b/c/1.wav",
        "a/0.wav",
        "a/0.wav",
        "odd\\name.wav",
        "b/c/1.wav",
    ]
    assert below(tmp_path / "link", written) == below(root, written)
    assert below(root, ["/gone/set/b/c/1.wav", "/gone/elsewhere/z/0.wav"]) == [
        "b/c/1.wav",
        "/gone/elsewhere/z/0.wav",
    ]


def test_absolute_paths_elsewhere_are_drawn_from_without_their_place():
    names = portable(["/one/place/a/0.wav", "/one/place/b/0.wav", "c/1.WAV"])
    assert (
        names
        == portable(["/another/a/0.wav", "/another/b/0.wav", "c/1.wav"])
        == ["a/0.wav", "b/0.wav", "c/1.wav"]
    )
    assert portable(["/x/0.wav", "0.wav"]) == ["/x/0.wav", "0.wav"]  # Two clips keep two names.


def test_names_in_another_spelling_are_found(tmp_path):
    nfd, nfc = (unicodedata.normalize(form, "café/Déjà.wav") for form in ("NFD", "NFC"))
    touch(tmp_path, nfd, "Upper/ONE.WAV", "Upper/two.wav")
    assert find_by_stem(tmp_path, [nfc, "upper/one.wav", "UPPER/Two.mp3"]) == [
        nfd,
        "Upper/ONE.WAV",
        "Upper/two.wav",
    ]


def test_of_two_formats_in_two_folders_the_listed_one_is_taken(tmp_path):
    touch(tmp_path, "AudioWAV/1.wav", "AudioMP3/1.mp3", "AudioWAV/2.wav", "AudioMP3/2.mp3")
    assert find_by_stem(tmp_path, ["1.mp3", "2"]) == ["AudioMP3/1.mp3", "AudioWAV/2.wav"]


def test_a_name_that_fits_several_files_is_said_to(tmp_path, capsys):
    noise(tmp_path, "a/1.wav", "b/1.wav", "a/2.wav")
    table(tmp_path, "path,label\n1.wav,x\na/2.wav,y\n")
    assert main(["data", "check", "csv", "--data_dir", str(tmp_path)]) == 1
    with pytest.raises(
        DatasetNotFoundError,
        match=r"1 are ambiguous \(1.wav fits a/1.wav and b/1.wav\): write the folders",
    ):
        load_annotations("csv", tmp_path)


# Cells


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("multilabel", 'path,label\n0.wav,a;b\n1.wav,"a,b"\n', r"line 3"),
        (
            "multilabel",
            "path,label\n0.wav,a\n1.wav,b|c\n",
            r"'b\|c' has '\|' where ';' separates labels",
        ),
        (
            "multilabel",
            "path,label\n0.wav,a b\n1.wav,b c\n2.wav,a c\n3.wav,a b c\n",
            "has ' ' where ';'",
        ),
        ("multiclass", "path,label,label\n0.wav,a,b\n", "Two columns are called 'label'"),
        (
            "multiclass",
            "path,label,split,split\n0.wav,a,train,test\n",
            "Two columns are called 'split'",
        ),
        ("multiclass", "path,path,label\n0.wav,1.wav,b\n", "Two columns are called 'path'"),
        ("multiclass", "path,label\n,b\n", "The path in column 'path' is empty"),
        ("multiclass", "path,label\na/../0.wav,b\n./0.wav,b\n", "'0.wav' is listed twice"),
    ],
)
def test_cells_that_cannot_be_are_named(tmp_path, kind, text, said):
    touch(tmp_path, *(f"{i}.wav" for i in range(4)))
    with pytest.raises(AnnotationError, match=said):
        load_annotations("csv", table(tmp_path, text), kind=kind)


def test_labels_with_a_comma_or_a_blank_are_labels(tmp_path):
    touch(tmp_path, *(f"{i}.wav" for i in range(3)))
    table(
        tmp_path,
        'path,label\n0.wav,"Rock, hard;female vocal"\n1.wav,female;vocal\n2.wav,Pop/Rock;vocal\n',
    )
    assert "Rock, hard" in load_annotations("csv", tmp_path, kind="multilabel").classes
    table(tmp_path, 'path,label\n0.wav,"Drums, kit"\n1.wav,"Bass, upright"\n2.wav,\n')
    classes = ["Drums, kit", "Bass, upright"]
    assert load_annotations("csv", tmp_path, kind="multilabel", classes=classes).targets[
        :2
    ].tolist() == [[1, 0], [0, 1]]


def test_separators_that_cannot_be_are_sentences(tmp_path):
    table(tmp_path, "path,label\n0.wav,a\n")
    for options in (
        {"separator": "ab"},
        {"kind": "multilabel", "label_separator": ""},
        {"label": ["label", "label"], "kind": "regression"},
    ):
        with pytest.raises(ConfigError):
            load_annotations("csv", tmp_path, **options)


@pytest.mark.slow
def test_the_label_nan_is_a_word_and_the_order_is_the_same_in_every_process(tmp_path):
    touch(tmp_path, *(f"{i}.wav" for i in range(5)))
    table(tmp_path, "path,label\n0.wav,nan\n1.wav,2\n2.wav,10\n3.wav,inf\n4.wav,007\n")
    assert load_annotations("csv", tmp_path).classes == ("007", "10", "2", "inf", "nan")
    code = f"from semisupcon.datasets import read_annotations as r; print(r('csv', {str(tmp_path)!r}).classes)"
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1",)
    }
    assert said == {f"{('007', '10', '2', 'inf', 'nan')}\n"}
    table(tmp_path, "path,label\n0.wav,9\n1.wav,10\n2.wav,-1\n3.wav,1e3\n4.wav,\n")
    assert load_annotations("csv", tmp_path).classes == ("-1", "9", "10", "1e3")


def test_a_blank_group_is_a_group_of_its_own(tmp_path):
    touch(tmp_path, *(f"{i:02d}.wav" for i in range(40)))
    table(
        tmp_path,
        "path,label,artist\n"
        + "".join(f"{i:02d}.wav,x,{'one' if i < 4 else ''}\n" for i in range(40)),
    )
    clips = load_annotations("csv", tmp_path, group="artist")
    assert {split: len(clips.rows(split)) > 0 for split in ("train", "val", "test")} == {
        "train": True,
        "val": True,
        "test": True,
    }
    assert len(set(clips.split[:4])) == 1
    assert clips.table["group"].isna().sum() == 36


# Functions


def returns(what):
    def function(root):
        return what(root) if callable(what) else what

    return function


FRAME = pd.DataFrame({"path": ["0.wav"], "split": ["train"]})
FUNCTIONS = {
    "pair": (returns((FRAME, {0: "a"})), "returned tuple of 2, not LabelledClips"),
    "nothing": (returns(None), "returned NoneType"),
    "frame": (returns(FRAME), "returned DataFrame"),
    "words": (
        returns(
            lambda root: LabelledClips(FRAME.assign(split="dev"), np.ones((1, 1)), ("a",), "binary")
        ),
        r"found \['dev'\]",
    ),
    "no_table": (
        returns(
            lambda root: LabelledClips([("0.wav", "train")], np.ones((1, 1)), ("a",), "binary")
        ),
        "is a pandas.DataFrame",
    ),
    "idx2class": (
        returns(lambda root: LabelledClips(FRAME, np.ones((1, 1)), {0: "a"}, "binary")),
        "classes is a sequence",
    ),
    "ragged": (
        returns(lambda root: LabelledClips(FRAME, [[1], [1, 2]], ("a",), "binary")),
        "targets are numbers",
    ),
    "indices": (
        returns(lambda root: LabelledClips(FRAME, np.zeros(1), ("a", "b"), "multiclass")),
        r"targets of shape \(1,\)",
    ),
    "large": (
        returns(lambda root: LabelledClips(FRAME, np.array([[3.0, 0]]), ("a", "b"), "multiclass")),
        "lie between 0 and 1",
    ),
    "missing": (
        returns(
            lambda root: LabelledClips(FRAME.assign(path=[None]), np.ones((1, 1)), ("a",), "binary")
        ),
        "row 0 is 'None'",
    ),
    "twice": (
        returns(lambda root: LabelledClips(FRAME, np.ones((1, 2)), ("a", "a"), "multilabel")),
        "two classes are called 'a'",
    ),
    "no_root": (lambda: None, "takes no argument"),
    "number": (3, "is int, not a function"),
}
for name, (function, _) in FUNCTIONS.items():
    globals()[f"wrong_{name}"] = function


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_a_function_returns_is_checked(tmp_path, capsys, name):
    touch(tmp_path, "0.wav")
    assert main(["data", "check", f"{__name__}.wrong_{name}", "--data_dir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) <= 3, error
    assert __import__("re").search(FUNCTIONS[name][1], error), error


def with_paths(root):
    """Paths as `pathlib.Path`, absolute."""
    files = sorted(root.glob("*.wav"))
    return LabelledClips(
        pd.DataFrame({"path": files, "split": "train"}), np.ones((len(files), 1)), [1], "binary"
    )


def test_paths_and_numbers_of_a_function_become_names(tmp_path):
    touch(tmp_path, "0.wav", "1.wav")
    clips = load_annotations(f"{__name__}.with_paths", tmp_path)
    assert clips.paths == ("0.wav", "1.wav")
    assert clips.classes == ("1",)


# A task that labels no training clip


def test_a_task_without_labelled_training_clips_is_refused(tmp_path):
    noise(tmp_path, *(f"{i}.wav" for i in range(6)))
    table(tmp_path, "path,label,split\n0.wav,a,val\n1.wav,b,test\n2.wav,,train\n")
    with pytest.raises(
        UserError,
        match=r"data.sl_task 'csv' labels no training clip; 4 clips would be trained on without labels",
    ):
        divide(gather("csv", data_dir=tmp_path))


def test_speech_commands_of_kaggle_are_read(tmp_path):
    audio = (
        "audio/yes/aa_nohash_0.wav",
        "audio/no/aa_nohash_0.wav",
        "audio/yes/bb_nohash_0.wav",
        "audio/no/cc_nohash_0.wav",
    )
    touch(tmp_path, *audio, "audio/_background_noise_/x.wav")
    (tmp_path / "validation_list.txt").write_text("yes/bb_nohash_0.wav\n")
    (tmp_path / "testing_list.txt").write_text("no/cc_nohash_0.wav\n")
    clips = load_annotations("speech_commands", tmp_path)
    assert dict(zip(clips.paths, clips.split, strict=True)) == dict(
        zip(audio, ("train", "train", "val", "test"), strict=True)
    )


def test_paths_of_a_linked_folder_are_relative_to_its_link(tmp_path):
    """The audio is on another disk, and the table has its place there."""
    touch(tmp_path / "disk", "songs/0.wav")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "audio").symlink_to(tmp_path / "disk")
    written = [str(tmp_path / "disk" / "songs" / "0.wav")]
    assert below(tmp_path / "set", written) == ["audio/songs/0.wav"]
