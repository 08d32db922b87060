"""Read the variables of a TensorFlow 1 checkpoint (format V2) without TensorFlow.

The ``.index`` file is an uncompressed sorted table as in LevelDB: blocks of entries with shared key
prefixes, an index block, and a footer of 48 bytes. Each value is a protocol buffer with the type
and shape of a variable, and its offset and size in the file ``.data-00000-of-00001``. That file has
the values as little-endian floats.
"""

import struct
from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from semisupcon.errors import CheckpointError

FOOTER, FLOAT = 48, 1


def read_variables(index: Path) -> dict[str, Tensor]:
    """Read all float32 variables by name, except those of the optimizer.

    Args:
        index: the ``.index`` file. The data file must be in the same folder.

    Raises:
        CheckpointError: if a file is missing or damaged.
    """
    name = index.name.removesuffix(".index") + ".data-00000-of-00001"
    try:
        table, data = index.read_bytes(), index.with_name(name).read_bytes()
        return dict(_variables(table, data))
    except OSError as error:
        raise CheckpointError(f"Cannot read {index} and {name}: {error.strerror}.") from error
    except (IndexError, KeyError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise CheckpointError(f"{index} or {name} is damaged.") from error


def _variables(table: bytes, data: bytes) -> Iterator[tuple[str, Tensor]]:
    for key, value in _entries_of(table):
        name, fields = key.decode(), _fields(value)
        if not name or "Adam" in name or name.endswith("_power") or fields.get(1) != [FLOAT]:
            continue
        dimensions = _fields(fields[2][0]).get(2, [])
        shape = [_fields(dimension).get(1, [0])[0] for dimension in dimensions]
        start, size = fields.get(4, [0])[0], fields[5][0]
        if size != 4 * prod(shape) or start + size > len(data):
            raise ValueError("an entry does not fit the data file")
        values = np.frombuffer(data, "<f4", size // 4, start).reshape(shape)
        yield name, torch.from_numpy(values.astype(np.float32))


def _entries_of(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of all data blocks of a table."""
    footer, place = table[-FOOTER:], 0
    # The footer begins with the offset and size of the meta index, and then of the index.
    handles = []
    for _ in range(4):
        value, place = _number(footer, place)
        handles.append(value)
    for _, handle in _entries(table, handles[2], handles[3]):
        offset, place = _number(handle, 0)
        yield from _entries(table, offset, _number(handle, place)[0])


def _entries(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a block of a table.

    After the entries, a block has restart offsets and their number, which are not needed.
    """
    block = table[offset : offset + size]
    if table[offset + size] != 0:
        raise ValueError("the table is compressed")
    end = len(block) - 4 - 4 * struct.unpack("<I", block[-4:])[0]
    place, key = 0, b""
    while place < end:
        shared, place = _number(block, place)
        rest, place = _number(block, place)
        length, place = _number(block, place)
        key = key[:shared] + block[place : place + rest]
        place += rest + length
        yield key, block[place - length : place]


def _fields(message: bytes) -> dict[int, list]:
    """Return the fields of a protocol buffer by number, as integers or bytes."""
    found: dict[int, list] = {}
    place = 0
    while place < len(message):
        tag, place = _number(message, place)
        kind = tag & 7
        if kind == 0:
            value, place = _number(message, place)
            found.setdefault(tag >> 3, []).append(value)
            continue
        size = {1: 8, 5: 4}.get(kind)
        if kind == 2:
            size, place = _number(message, place)
        if size is None:
            raise ValueError("an unknown kind of field")
        found.setdefault(tag >> 3, []).append(message[place : place + size])
        place += size
    return found


def _number(content: bytes, place: int) -> tuple[int, int]:
    """Read an integer in groups of seven bits (varint).

    Returns the integer and the position after it.
    """
    value = shift = 0
    while True:
        byte = content[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
