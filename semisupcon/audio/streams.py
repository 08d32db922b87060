"""A read-only stream that joins parts of a file and other bytes, as input for a decoder."""

import io
import os
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Piece = bytes | int | tuple[int, int]


class Pieces(io.RawIOBase):
    """A read-only stream that concatenates pieces of a file and other bytes.

    Args:
        path: the file.
        pieces: contents of the stream, in order. A piece is bytes, a byte range ``(start, stop)``
            of the file, or a number of zero bytes.

    Raises:
        OSError: if the file cannot be opened.
    """

    def __init__(self, path: str | bytes | Path, pieces: Sequence[Piece]):
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115, closed with the stream
        self._pieces = [piece for piece in pieces if _size(piece) > 0]
        self._begins = [0]
        for piece in self._pieces:
            self._begins.append(self._begins[-1] + _size(piece))
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a byte position and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._begins[-1]}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill a buffer, at most up to the end of the current piece, and return the number of bytes
        read.

        The result is 0 at the end of the stream.
        """
        if self._at >= self._begins[-1]:
            return 0
        target = memoryview(buffer).cast("B")
        number = bisect_right(self._begins, self._at) - 1
        piece, inside = self._pieces[number], self._at - self._begins[number]
        count = min(len(target), self._begins[number + 1] - self._at)
        if isinstance(piece, bytes):
            data = piece[inside : inside + count]
        elif isinstance(piece, int):
            data = bytes(count)
        else:
            self._file.seek(piece[0] + inside)
            data = self._file.read(count)
        target[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        """Close the stream and the file."""
        self._file.close()
        super().close()


def _size(piece: Piece) -> int:
    return (
        piece
        if isinstance(piece, int)
        else len(piece)
        if isinstance(piece, bytes)
        else piece[1] - piece[0]
    )


def stream_of(path: str | bytes | Path, pieces: Sequence[Piece]) -> io.BufferedReader:
    """Return a stream of pieces with a buffer, because libsndfile reads few bytes at once."""
    return io.BufferedReader(Pieces(path, pieces), 1 << 16)
