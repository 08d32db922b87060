"""Identify the content of a file that is not decodable audio, by its first bytes."""

import os
import stat
from pathlib import Path

_BEGINNINGS = (
    (b"version https://git-lfs", "a Git LFS pointer, its content was not downloaded"),
    (b"fLaC", "FLAC that is damaged"),
    (b"wvpk", "WavPack"),
    (b"MAC ", "Monkey's Audio"),
    (b"TTA1", "True Audio"),
    (b"MPCK", "Musepack"),
    (b"MP+", "Musepack"),
    (b"DSD ", "DSD"),
    (b"FRM8", "DSD"),
    (b"#!AMR", "AMR"),
    (b".RMF", "RealAudio"),
    (b".ra\xfd", "RealAudio"),
    (b"\x0b\x77", "AC-3"),
    (b"\x30\x26\xb2\x75", "Windows Media"),
    (b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (b"MThd", "MIDI, which holds notes and no audio"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a rar archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
)
CONVERTIBLE = (
    *("MPEG-4 (AAC or ALAC)", "AAC", "WavPack", "Monkey's Audio", "True Audio", "Musepack"),
    *("DSD", "AMR", "RealAudio", "AC-3", "Windows Media", "Matroska or WebM"),
    *("FLAC in Ogg", "Speex in Ogg"),
)


def content_of(path: str | bytes | Path) -> str:
    """Return a description of the content of a file, such as "a web page (HTML)"; "" if unknown.

    Raises:
        OSError: if the file cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(1024)
    if head[:3] == b"ID3" and len(head) >= 10:
        return _after_id3(path, head)
    return _named(head)


def _named(head: bytes) -> str:
    for beginning, name in _BEGINNINGS:
        if head.startswith(beginning):
            return name
    if head[4:8] == b"ftyp":
        return "MPEG-4 (AAC or ALAC)"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "AAC"
    if head[:4] == b"OggS":
        inside = head[28:64]
        return (
            "FLAC in Ogg"
            if b"FLAC" in inside
            else "Speex in Ogg"
            if b"Speex" in inside
            else "Ogg that is damaged or holds no audio"
        )
    if not head.strip(b"\0"):
        return "zeros only" if head else "empty"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")) or b"<html" in text:
        return "a web page (HTML)"
    if text.startswith((b"<?xml", b"<")):
        return "XML"
    if text[:1] in (b"{", b"[") and _is_text(head):
        return "JSON"
    return "text" if _is_text(head) else ""


def _is_text(head: bytes) -> bool:
    try:
        text = head[:1000].decode()
    except UnicodeDecodeError as error:
        text = head[: error.start].decode() if error.start > 990 else "\0"
    return all(character.isprintable() or character in "\t\r\n" for character in text)


def _after_id3(path: str | bytes | Path, head: bytes) -> str:
    size = sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    with open(path, "rb") as file:
        file.seek(10 + size)
        rest = file.read(1024)
    return _named(rest) if rest else "a tag without audio"


def why_no_file(path: str | bytes | Path) -> str:
    """Return the reason why a path is not a regular file, such as "a folder"; "" for a regular
    file.

    Raises:
        OSError: if the folder of the path may not be searched.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return "a link to a file that is not there" if os.path.islink(path) else "not there"
    except NotADirectoryError:
        return "not there"
    if stat.S_ISDIR(mode):
        return "a folder"
    return "" if stat.S_ISREG(mode) else "a pipe, socket or device, not a file"
