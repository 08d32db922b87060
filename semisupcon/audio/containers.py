"""Detect properties of wav, aiff and ogg files that libsndfile does not report.

These are truncation, and the sample at which the last page of an ogg file begins.
"""

import io
import os
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

_STREAMED = 0x7FFF0000  # a writer that cannot seek back states about 2 or 4 GiB, or 0
_SLACK = 1024  # bytes; some writers count the header as data
_OGG_PAGE = 27 + 255 + 255 * 255


class Head(NamedTuple):
    """The beginning of a file: its size in bytes, and its first bytes."""

    size: int
    data: bytes

    @classmethod
    def read(cls, path: str | bytes | Path, size: int, count: int = 1 << 12) -> "Head":
        """Read the first bytes of a file of a known size.

        Raises:
            OSError: if the file cannot be read.
        """
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            return cls(size, os.read(handle, count))
        finally:
            os.close(handle)

    def with_chunk(self, path: str | bytes | Path, name: bytes) -> bytes:
        """Return the first bytes; more of them if they do not have the name of a chunk."""
        if name in self.data or len(self.data) >= self.size:
            return self.data
        return self.read(path, self.size, 1 << 16).data


def claims_more_than_it_holds(path: str | bytes | Path, head: Head) -> bool:
    """Return whether a wav, aiff or ogg file is shorter than its headers state.

    For ogg, only the last page is checked.

    Args:
        path: the file.
        head: its beginning.
    """
    kind = head.data[:12]
    if kind[:4] == b"RIFF" and kind[8:] == b"WAVE":
        return _wav_is_cut(path, head)
    if kind[:4] == b"FORM" and kind[8:11] == b"AIF":
        return struct.unpack(">I", kind[4:8])[0] + 8 - head.size > _SLACK
    if kind[:4] == b"OggS":
        with open(path, "rb") as file:
            return _ogg_is_cut(file, head.size)
    return False


def _wav_is_cut(path: str | bytes | Path, head: Head) -> bool:
    found = data_chunk(io.BytesIO(head.data))
    if found is None:  # it begins later
        with open(path, "rb") as file:
            found = data_chunk(file)
    if found is None:
        return False
    begin, stated = found
    return 0 < stated < _STREAMED and stated - (head.size - begin) > _SLACK


def data_chunk(file: BinaryIO) -> tuple[int, int] | None:
    """Return the begin and the stated length of the data of a wav file in bytes; None without
    data."""
    file.seek(12)
    while len(header := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", header)
        if name == b"data":
            return file.tell(), length
        file.seek(length + length % 2, os.SEEK_CUR)
    return None


def _ogg_is_cut(file: BinaryIO, size: int) -> bool:
    file.seek(max(0, size - _OGG_PAGE))
    end = file.read()
    at = end.rfind(b"OggS")
    if at < 0 or len(end) < at + 27:
        return True
    return len(end) < at + 27 + end[at + 26] or len(end) < at + _page_length(end, at)


def last_ogg_page(path: str | bytes | Path) -> int:
    """Return the sample at which the last page of an ogg file begins; 0 if unknown."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2 * _OGG_PAGE))
        end = file.read()
    last = end.rfind(b"OggS")
    before = end.rfind(b"OggS", 0, max(last, 0))
    if before < 0 or len(end) < before + 27 or before + _page_length(end, before) != last:
        return 0
    # The position of a page is -1 if no packet ends on it.
    return max(0, struct.unpack_from("<q", end, before + 6)[0])


def _page_length(data: bytes, at: int) -> int:
    segments = data[at + 27 : at + 27 + data[at + 26]]
    return 27 + len(segments) + sum(segments)
