"""Find the chained streams of an Ogg file (RFC 3533, section 4), as in recordings of web radio.

libsndfile (1.2.2) decodes only the first stream of such a file.
"""

import os
from pathlib import Path

_BEGINS = 2  # flag in the header of the first page of a stream


def links(path: str | bytes | Path) -> list[tuple[int, int]]:
    """Return the byte ranges ``(start, stop)`` of the chained streams of an Ogg file."""
    size = os.path.getsize(path)
    starts, at, in_headers = [], 0, False
    with open(path, "rb") as file:
        while at + 27 <= size:
            file.seek(at)
            head = file.read(27 + 255)  # one read per page, because the file is buffered
            if head[:4] != b"OggS":
                break
            begins = bool(head[5] & _BEGINS)
            # Streams whose first pages follow each other are multiplexed and form one link of the
            # chain.
            if begins and not in_headers:
                starts.append(at)
            in_headers = begins
            at += 27 + head[26] + sum(head[27 : 27 + head[26]])
    return list(zip(starts, [*starts[1:], min(at, size)], strict=True))
