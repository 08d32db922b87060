"""Insert the missing length into files whose writer was killed or wrote into a pipe.

libsndfile (1.2.2) finds no audio in wav, rf64 and au files with a stated length of 0. It rejects
caf files of unknown length, and cannot seek in FLAC files of unknown length.
"""

import os
import struct
from pathlib import Path

from semisupcon.audio.containers import Head, data_chunk
from semisupcon.audio.streams import Piece

# The first code is for a fixed block size (frames are numbered), the second for a variable block
# size (samples are numbered).
_FLAC_SYNC = (b"\xff\xf8", b"\xff\xf9")
_FLAC_BLOCKS = {
    1: 192,
    **{i: 576 << (i - 2) for i in range(2, 6)},
    **{i: 256 << (i - 8) for i in range(8, 16)},
}
_FLAC_LOOK = 1 << 18  # bytes at the end of a file in which the last frame is first searched
_UNKNOWN = (0, 0xFFFFFFFF)  # lengths that a writer into a pipe leaves


def with_length(path: str | bytes | Path, head: Head) -> list[Piece] | None:
    """Return a file with a missing length as pieces, with the true length inserted.

    The result is None if the file states its length, or has another format than wav, rf64, au, caf
    or FLAC.

    Args:
        path: the file.
        head: its beginning.
    """
    size, begin = head.size, head.data
    patch = None
    if begin[:4] in (b"RIFF", b"RF64", b"BW64") and begin[8:12] == b"WAVE":
        patch = _wav(head.with_chunk(path, b"data"), size)
    elif begin[:4] == b".snd" and len(begin) >= 24:
        start, held = struct.unpack(">II", begin[4:12])
        patch = (8, struct.pack(">I", 0xFFFFFFFF)) if held == 0 and start < size else None
    elif begin[:4] == b"caff":
        patch = _caf(head.with_chunk(path, b"data"), size)
    elif (
        begin[:4] == b"fLaC"
        and len(begin) >= 42
        and not int.from_bytes(begin[21:26], "big") & 0xF_FFFF_FFFF
    ):
        total = flac_samples(path, size, begin)
        patch = (
            (18, (int.from_bytes(begin[18:26], "big") | total).to_bytes(8, "big"))
            if total
            else None
        )
    if patch is None:
        return None
    at, data = patch
    return [(0, at), data, (at + len(data), size)]


def _wav(head: bytes, size: int) -> tuple[int, bytes] | None:
    """Return position and bytes of the length to insert, if the stated length is 0 or unknown."""
    at, sizes = 12, 0
    while at + 8 <= len(head):
        name, length = struct.unpack_from("<4sI", head, at)
        if (
            name == b"ds64"
            and len(head) >= at + 24
            and not int.from_bytes(head[at + 16 : at + 24], "little")
        ):
            sizes = at + 16
        if name == b"data":
            left = size - at - 8
            if sizes and left > 0:
                return sizes, struct.pack("<Q", left)
            # If the name of a chunk follows, the data chunk is really empty.
            ends = length == 0 and left > 0 and not head[at + 8 : at + 12].isalpha()
            return (
                (at + 4, struct.pack("<I", min(left, 0xFFFFFFFE)))
                if ends and head[:4] == b"RIFF"
                else None
            )
        at += 8 + length + length % 2
    return None


def _caf(head: bytes, size: int) -> tuple[int, bytes] | None:
    at = 8
    while at + 12 <= len(head):
        name, length = struct.unpack_from(">4sq", head, at)
        if name == b"data":
            left = size - at - 12
            return (at + 4, struct.pack(">q", left)) if length in (-1, 0) and left > 4 else None
        if length < 0:
            return None
        at += 12 + length
    return None


def data_of_wav(path: str | bytes | Path) -> tuple[int, int] | None:
    """Return the byte range ``(start, stop)`` of the data chunk of a wav file; None without one."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        found = data_chunk(file)
    if found is None:
        return None
    begin, length = found
    return begin, size if length in _UNKNOWN else min(size, begin + length)


def flac_samples(path: str | bytes | Path, size: int, head: bytes) -> int:
    """Return the number of samples per channel of a FLAC file, from its last complete frame.

    The result is 0 if no frame is found. A frame header is recognised by its checksum (CRC-8), and
    confirmed by the checksum of the whole frame (CRC-16).
    """
    fixed = int.from_bytes(head[8:10], "big")
    look = _FLAC_LOOK
    while True:
        with open(path, "rb") as file:
            file.seek(max(42, size - look))
            end = file.read()
        starts = []
        for sync in _FLAC_SYNC:
            at = end.find(sync)
            while at >= 0:
                if found := _flac_frame(end, at, fixed):
                    starts.append((at, found))
                at = end.find(sync, at + 1)
        starts.sort()
        ends = [at for at, _ in starts[1:]] + [len(end)]
        for number, (at, samples) in reversed(list(enumerate(starts))):
            # Bytes inside a frame can look like a header, so try several ends of the frame.
            if any(_crc(end[at:stop], 0x8005, 16) == 0 for stop in ends[number : number + 3]):
                return samples
        if look >= min(size, 1 << 24):
            return 0
        look *= 8


def _flac_frame(data: bytes, at: int, fixed: int) -> int:
    """Return the index of the sample after the frame at byte ``at``; 0 without a frame there."""
    if len(data) < at + 16:
        return 0
    lead, code = data[at + 4], data[at + 2] >> 4
    # Number of further bytes of the frame number, which is coded as in UTF-8.
    extra = 0 if lead < 0x80 else 8 - (lead ^ 0xFF).bit_length() - 1
    if code == 0 or extra < 0 or (lead >= 0x80 and not 1 <= extra <= 6):
        return 0
    number = lead if lead < 0x80 else lead & (0x3F >> extra)
    for byte in data[at + 5 : at + 5 + extra]:
        number = number << 6 | byte & 0x3F
    end, block = at + 5 + extra, _FLAC_BLOCKS.get(code, 0)
    if code in (6, 7):
        block = int.from_bytes(data[end : end + code - 5], "big") + 1
        end += code - 5
    end += {12: 1, 13: 2, 14: 2}.get(data[at + 2] & 15, 0)
    if len(data) <= end or _crc(data[at:end], 0x07, 8) != data[end]:
        return 0
    return (number if data[at + 1] & 1 else number * fixed) + block


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    """Return the CRC of bytes, most significant bit first, with initial value 0."""
    top, mask, value = 1 << (bits - 1), (1 << bits) - 1, 0
    table = _tables.get(polynomial)
    if table is None:
        table = []
        for byte in range(256):
            x = byte << (bits - 8)
            for _ in range(8):
                x = (x << 1 ^ polynomial if x & top else x << 1) & mask
            table.append(x)
        _tables[polynomial] = table
    for byte in data:
        value = (value << 8 & mask) ^ table[value >> (bits - 8) ^ byte]
    return value


_tables: dict[int, list[int]] = {}
