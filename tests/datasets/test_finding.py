"""Clips are found by stem, whatever their extension and folder; what is absent is counted; what is
held out is not used unlabelled."""

import logging

import numpy as np
import pandas as pd
import pytest
from tiny_sets import touch

from semisupcon.datasets import Annotations, resolve, unlisted
from semisupcon.datasets.parsing.finding import audio_files, find_by_stem, stem
from semisupcon.datasets.parsing.reading import find_file
from semisupcon.errors import DatasetNotFoundError


def listed(paths, splits=None):
    table = pd.DataFrame({"path": paths, "split": splits or ["train"] * len(paths)})
    return Annotations(
        table, np.arange(len(paths), dtype=float)[:, None], ("value",), kind="regression"
    )


def test_only_audio_extensions_are_cut_off():
    names = ("a/100066.LOFI.mp3", "blues.00012.wav", "song v1.2", "d.FLAC", "x")
    assert [stem(name) for name in names] == ["100066.LOFI", "blues.00012", "song v1.2", "d", "x"]


def test_hidden_files_are_no_audio(tmp_path):
    touch(tmp_path, "b/2.WAV", "a/1.mp3", "._a.wav", ".cache/x.wav", "a/notes.txt")
    assert audio_files(tmp_path) == ["a/1.mp3", "b/2.WAV"]


def test_clips_are_found_whatever_their_extension_and_folder(tmp_path):
    touch(tmp_path, "exact.wav", "audio/other.flac", "deep/down/moved.ogg", "LOFI/7.LOFI.wav")
    found = find_by_stem(
        tmp_path, ["exact.wav", "audio/other.mp3", "moved.mp3", "audio/7.LOFI.mp3", "absent.wav"]
    )
    assert found == [
        "exact.wav",
        "audio/other.flac",
        "deep/down/moved.ogg",
        "LOFI/7.LOFI.wav",
        None,
    ]


def test_of_clips_with_one_name_the_folders_decide(tmp_path):
    touch(tmp_path, "flac/id1/x/1.flac", "flac/id1/y/1.flac", "flac/id2/x/1.flac")
    assert find_by_stem(tmp_path, ["wav/id1/x/1.wav", "wav/id2/x/1.wav"]) == [
        "flac/id1/x/1.flac",
        "flac/id2/x/1.flac",
    ]
    # Neither the only file left of that name, nor one of two equally good ones, nor one that
    # another path has, is guessed at.
    assert find_by_stem(tmp_path, ["wav/id3/z/1.wav", "wav/id1/y/1.wav"]) == [
        None,
        "flac/id1/y/1.flac",
    ]
    assert find_by_stem(tmp_path, ["1.wav"]) == [None]
    assert find_by_stem(tmp_path, ["flac/id1/x/1.flac", "x/1.wav"]) == [
        "flac/id1/x/1.flac",
        "flac/id2/x/1.flac",
    ]


def test_no_file_serves_two_clips(tmp_path):
    touch(tmp_path, "new/a/1.flac")
    assert find_by_stem(tmp_path, ["old/a/1.wav", "older/a/1.wav"]) == [None, None]


def test_of_two_formats_side_by_side_one_is_taken(tmp_path):
    touch(tmp_path, "x/1.mp3", "x/1.wav")
    assert find_by_stem(tmp_path, ["y/1.ogg"]) == ["x/1.wav"]


def test_a_path_outside_the_root_stays_as_it_is(tmp_path):
    touch(tmp_path, "elsewhere/1.wav", "root/2.wav")
    outside = str(tmp_path / "elsewhere/1.wav")
    assert find_by_stem(tmp_path / "root", [outside, "2.wav"]) == [outside, "2.wav"]


def test_absent_clips_are_counted_and_dropped_with_their_targets(tmp_path, caplog):
    touch(tmp_path, *(f"{i}.flac" for i in range(19)))
    with caplog.at_level(logging.WARNING):
        resolved = resolve(listed([f"{i}.wav" for i in range(20)]), tmp_path)
    assert resolved.table["path"].tolist() == [f"{i}.flac" for i in range(19)]
    assert resolved.targets[:, 0].tolist() == list(range(19))
    assert "1 of 20 listed clips (19.wav)" in caplog.text


def test_too_many_absent_clips_are_an_error_that_names_the_first_five(tmp_path):
    touch(tmp_path, *(f"{i}.wav" for i in range(10)))
    wanted = listed([f"{i}.wav" for i in range(20)])
    with pytest.raises(
        DatasetNotFoundError,
        match=r"10 of 20 listed clips \(10.wav, 11.wav, 12.wav, 13.wav, 14.wav, \.\.\.\) not found",
    ) as error:
        resolve(wanted, tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "max_missing" in str(error.value)
    assert len(resolve(wanted, tmp_path, max_missing=0.5).table) == 10
    with pytest.raises(DatasetNotFoundError, match="folder not found"):
        resolve(wanted, tmp_path / "nowhere")


def test_unlisted_clips_never_come_from_beside_held_out_ones(tmp_path):
    touch(
        tmp_path,
        "train/1.wav",
        "train/new.wav",
        "val/2.wav",
        "val/new.wav",
        "test/3.wav",
        "test/new.wav",
        "test/below/new2.wav",
        "extra/9.mp3",
    )
    touch(tmp_path, "extra/3.mp3", "mp3/train/1.mp3", "mixed/4.wav", "mixed/5.wav", "mixed/new.wav")
    annotations = listed(
        ["train/1.wav", "val/2.wav", "test/3.wav", "mixed/4.wav", "mixed/5.wav"],
        ["train", "val", "test", "train", "test"],
    )
    # extra/3.mp3 has another folder than test/3.wav, so it is another clip; mp3/train/1.mp3 is a
    # copy of train/1.wav.
    assert unlisted(annotations, tmp_path) == [
        "extra/3.mp3",
        "extra/9.mp3",
        "mixed/new.wav",
        "train/new.wav",
    ]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    for root in (tmp_path / "nowhere", None):
        with pytest.raises(DatasetNotFoundError, match="The data set's folder not found"):
            find_file(root, "labels.csv")
