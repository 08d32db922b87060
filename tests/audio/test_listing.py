"""One lister: what lies in a folder, whatever links, names and suffixes it has."""

import logging
import os
import re
import subprocess
from pathlib import Path

import pytest

from semisupcon.audio import listing
from semisupcon.audio.listing import audio_files, list_audio, tell
from semisupcon.audio.reading import read
from semisupcon.errors import UserError
from semisupcon.paths import AUDIO_SUFFIXES, system_path, text_of


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_links_are_followed_once(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    touch(root, "b/1.wav", "b/c/2.wav")
    touch(other, "3.wav", "deep/4.wav")
    touch(tmp_path, "beside.wav")
    (root / "a").symlink_to("b")  # sorts before the folder itself
    (root / "b/again").symlink_to("..")
    (root / "b/c/above").symlink_to(tmp_path)
    (root / "x").symlink_to(other)
    (root / "y").symlink_to(other / "deep")
    (other / "back").symlink_to(root)
    (root / "self").symlink_to("self")
    (root / "5.wav").symlink_to(other / "3.wav")
    (root / "gone.wav").symlink_to("nowhere")
    found = list_audio(root)
    assert found.files == ["5.wav", "b/1.wav", "b/c/2.wav", "gone.wav", "x/3.wav", "x/deep/4.wav"]
    assert sorted(found.repeated) == ["a", "b/again", "b/c/above", "x/back", "y"]
    assert "did not follow 5 links" in found.notes()[0]


def test_suffixes_of_any_case_and_hidden_files(tmp_path):
    names = [f"{i}{suffix.upper() if i % 2 else suffix}" for i, suffix in enumerate(AUDIO_SUFFIXES)]
    touch(
        tmp_path,
        *names,
        "._1.wav",
        ".2.mp3",
        ".hidden/3.wav",
        ".DS_Store",
        "notes.txt",
        "cover.jpg",
        "no_suffix",
        "folder.wav/in.wav",
    )
    found = list_audio(tmp_path)
    assert found.files == sorted([*names, "folder.wav/in.wav"])
    assert found.hidden == 3
    assert found.warnings() == []


def test_what_cannot_be_decoded_is_counted_with_the_command_that_converts_it(tmp_path, caplog):
    touch(tmp_path, "a b.m4a", "2.M4A", "3.webm", "there.m4a", "there.flac")
    os.mkfifo(tmp_path / "pipe.wav")
    with caplog.at_level(logging.INFO):
        tell(list_audio(tmp_path))
        tell(list_audio(tmp_path))
    formats, special = [record.message for record in caplog.records]
    assert "(2 .m4a, 1 .webm)" in formats
    assert formats.endswith(f"ffmpeg -i {tmp_path}/2.M4A {tmp_path}/2.flac")
    assert "1 pipe, socket or device (pipe.wav)" in special
    for name in ("2.M4A", "3.webm"):
        (tmp_path / name).unlink()
    assert f"'{tmp_path}/a b.m4a' '{tmp_path}/a b.flac'" in list_audio(tmp_path).warnings()[0]
    (tmp_path / "there.flac").unlink()
    with pytest.raises(UserError, match=r"no audio[\s\S]*Convert each: ffmpeg") as error:
        audio_files([tmp_path])
    assert str(error.value).count("\n") == 2


def test_the_printed_command_and_that_of_the_docs_convert(tmp_path, monkeypatch):
    """With a stand-in for ffmpeg, which copies."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ffmpeg").write_text('#!/bin/sh\ntest "$1" = -i && cp "$2" "$3"\n')
    (programs / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    touch(tmp_path / "music", "it's.m4a", "sub/b c.m4a")
    (warning,) = list_audio(tmp_path / "music").warnings()
    subprocess.run(warning.split("Convert each: ")[1], shell=True, check=True)
    assert list_audio(tmp_path / "music").files == ["it's.flac"]
    page = (Path(__file__).resolve().parents[2] / "docs" / "odd_files.md").read_text()
    subprocess.run(re.search("```\n(.*)\n```", page)[1], shell=True, check=True, cwd=tmp_path)
    assert list_audio(tmp_path / "music").files == ["it's.flac", "sub/b c.flac"]
    assert list_audio(tmp_path / "music").warnings() == []


def test_the_docs_name_all_suffixes():
    page = (Path(__file__).resolve().parents[2] / "docs" / "odd_files.md").read_text()
    assert ", ".join(suffix[1:] for suffix in AUDIO_SUFFIXES) in " ".join(page.split())


def test_a_folder_that_may_not_be_read_is_passed_over(tmp_path, monkeypatch):
    touch(tmp_path, "1.wav", "lost+found/2.wav")
    scandir = os.scandir

    def refusing(path):
        if os.fsdecode(path).rstrip("/").endswith("lost+found"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(listing.os, "scandir", refusing)
    found = list_audio(tmp_path)
    assert (found.files, found.closed) == (["1.wav"], ["lost+found"])
    assert "passed over 1 folder (lost+found)" in found.warnings()[0]
    with pytest.raises(UserError, match="Permission denied"):
        list_audio(tmp_path / "lost+found")


def test_names_that_are_not_utf_8(tmp_path, write):
    made = write("made.wav")
    for name in (b"caf\xe9.wav", b"d\xfcr/\x80\xff.wav"):
        place = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.link(made, place)
    made.rename(tmp_path / "\uefe9.wav")  # a letter that stands for a byte, in a name that is UTF-8
    found = list_audio(tmp_path).files
    assert found == ["caf\uefe9.wav", "d\ueffcr/\uef80\uefff.wav", "\uefe9.wav"]
    for name in found:
        name.encode()
        assert len(read(tmp_path / name)) == 4000
    assert text_of(system_path(tmp_path / found[0])) == str(tmp_path / found[0])


def test_files_are_taken_by_name_whatever_they_are_called(tmp_path):
    touch(tmp_path, "sub/1.wav", "x.raw")
    files, listings = audio_files([tmp_path / "x.raw", tmp_path, tmp_path / "sub" / "1.wav"])
    assert files == [str(tmp_path / "x.raw"), str(tmp_path / "sub" / "1.wav")]
    assert len(listings) == 1
    with pytest.raises(UserError, match="No such file or folder"):
        audio_files([tmp_path / "absent"])
