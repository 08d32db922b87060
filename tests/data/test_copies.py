"""One recording twice: links, several formats of one name, the same bytes under another name.

Tried through pack, pretraining's data and data check.
"""

import logging
import os
import shutil

import numpy as np
import pytest
import soundfile as sf

from semisupcon.__main__ import main
from semisupcon.data.datamodule import AudioDataModule
from semisupcon.datasets.class_folders import class_folders

RATE = 8000


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("SEMISUPCON_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def songs(tmp_path):
    folder = tmp_path / "songs"
    for i in range(12):
        write(folder / f"{i:02}.wav", i)
    return folder


def write(path, seed, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, 0.3 * np.random.default_rng(seed).uniform(-1, 1, RATE // 2), RATE, **kwargs)


def in_formats(songs):
    for path in sorted(songs.glob("*.wav")):
        for suffix in ("flac", "ogg", "mp3"):
            sf.write(path.with_suffix(f".{suffix}"), *sf.read(path))


def linked_folder(songs):
    shutil.copytree(songs, songs.parent / ".other")
    (songs / "again").symlink_to(songs.parent / ".other", target_is_directory=True)


def linked_files(songs):
    for path in sorted(songs.glob("*.wav")):
        (songs / f"link to {path.name}").symlink_to(path)
        os.link(path, songs / f"hard {path.name}")


def backup(songs):
    shutil.copytree(songs, songs / "backup")
    for path in (songs / "backup").glob("*.wav"):
        path.rename(path.with_name(f"copy of {path.name}"))


def beside_in_another_format(songs):
    """``songs/...`` stays, and ``songs/mp3/...`` holds the same."""
    (songs / "mp3").mkdir()
    for path in sorted(songs.glob("*.wav")):
        sf.write(songs / "mp3" / f"{path.stem}.mp3", *sf.read(path))


KINDS = [beside_in_another_format, in_formats, linked_folder, linked_files, backup]


@pytest.mark.parametrize("repeat", KINDS)
def test_a_folder_is_trained_and_validated_on_as_if_each_recording_were_there_once(
    songs, repeat, caplog
):
    def drawn(**options):
        data = AudioDataModule(
            data_dir=str(songs),
            target_sample_rate=RATE,
            target_length=0.1,
            val_split=0.25,
            **options,
        )
        data.setup()
        return data.drawn.table[["name", "split"]].values.tolist()

    once = drawn()
    repeat(songs)
    assert drawn() == once
    assert "copies of others and left out" in caplog.text


@pytest.mark.parametrize("repeat", KINDS)
def test_pack_and_class_folders_hold_each_recording_once(songs, repeat, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    repeat(songs)
    assert (
        main(
            [
                "pack",
                "--data.data_dir",
                str(songs),
                "--data.target_sample_rate",
                str(RATE),
                "--out",
                str(tmp_path / "packed"),
            ]
        )
        == 0
    )
    assert "12 clips" in caplog.text
    clips = class_folders(tmp_path)
    assert len(clips) == 12
    assert len({name.rsplit("/", 1)[-1] for name in clips.paths}) == 12


def test_a_broken_file_does_not_take_the_place_of_its_copy(songs, tmp_path):
    in_formats(songs)
    (songs / "03.wav").write_text("no audio")
    paths = class_folders(tmp_path).paths
    assert {"songs/03.wav", "songs/03.flac", "songs/04.wav"} <= set(paths)
    assert len(paths) == 13
    data = AudioDataModule(
        data_dir=str(songs), target_sample_rate=RATE, target_length=0.1, max_bad=0.1
    )
    data.setup()
    assert {"03.flac", "04.wav"} <= set(data.drawn.table["name"])
    assert len(data.drawn) == 12


def labelled(root, songs, split):
    """A table of the first four songs, which lie in a folder of its own."""
    rows = []
    for i in range(4):
        write(root / f"clip {i}.wav", i)
        rows.append(f"clip {i}.wav,{'ab'[i % 2]},{split[i]}")
    (root / "clips.csv").write_text("\n".join(["path,label,split", *rows]))
    return {"sl_task": "csv", "sl_kwargs": {"root": str(root)}, "data_dir": str(songs)}


def test_copies_of_validation_and_test_clips_of_a_table_are_not_trained_on(songs, tmp_path):
    options = labelled(tmp_path / "table", songs, ["train", "train", "val", "test"])
    data = AudioDataModule(**options, target_sample_rate=RATE, target_length=0.1)
    data.setup()
    table = data.drawn.table
    assert set(table["name"]) == {f"{i:02}.wav" for i in range(4, 12)} | {
        f"clip {i}.wav" for i in range(3)
    }
    assert set(table.loc[table["name"] == "clip 2.wav", "split"]) == {"val"}


def test_what_a_table_lists_twice_stays_and_is_told(songs, tmp_path, caplog):
    root = tmp_path / "table"
    labelled(root, songs, ["train", "train", "val", "test"])
    shutil.copy(root / "clip 0.wav", root / "clip 2.wav")
    data = AudioDataModule(
        sl_task="csv",
        sl_kwargs={"root": str(root)},
        data_dir=str(root),
        target_sample_rate=RATE,
        target_length=0.1,
    )
    data.setup()
    assert "the table lists 1 recordings more than once; data check names them" in caplog.text
    assert {"clip 0.wav", "clip 2.wav"} <= set(data.drawn.table["name"])


def test_a_recording_in_two_classes_stays_in_both_and_check_names_it(songs, tmp_path, capsys):
    shutil.copytree(songs, tmp_path / "others")
    assert len(class_folders(tmp_path)) == 24
    assert (
        main(
            [
                "data",
                "check",
                "class_folders",
                "--data_dir",
                str(tmp_path),
                "--fractions",
                "{train: 0.5, test: 0.5}",
            ]
        )
        == 1
    )
    assert "Same audio in two splits:" in capsys.readouterr().out


def test_equal_names_in_other_folders_and_equal_lengths_are_no_copies(tmp_path):
    for album in range(3):
        for track in range(3):
            write(
                tmp_path / f"album {album}" / f"{track}.{('wav', 'flac')[track % 2]}",
                10 * album + track,
            )
    data = AudioDataModule(data_dir=str(tmp_path), target_sample_rate=RATE, target_length=0.1)
    data.setup()
    assert len(data.drawn) == 9
