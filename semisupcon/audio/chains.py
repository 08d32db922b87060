"""Ogg streams one after the other in one file (RFC 3533, section 4), as internet radio is recorded: libsndfile (1.2.2) decodes the first."""

import os
from pathlib import Path

_BEGINS = 2  # the flag of a page that begins a stream


def links(path: str | bytes | Path) -> list[tuple[int, int]]:
    """The ranges of bytes ``(start, stop)`` of the streams that follow each other."""
    size = os.path.getsize(path)
    starts, at, in_headers = [], 0, False
    with open(path, "rb") as file:
        while at + 27 <= size:
            file.seek(at)
            head = file.read(27 + 255)  # with the buffer of the file, a page is one read
            if head[:4] != b"OggS":
                break
            begins = bool(head[5] & _BEGINS)
            # Several streams that begin together are played together.
            if begins and not in_headers:
                starts.append(at)
            in_headers = begins
            at += 27 + head[26] + sum(head[27 : 27 + head[26]])
    return list(zip(starts, [*starts[1:], min(at, size)], strict=True))
