"""Digests of files that semisupcon writes, checked when they are read, to detect changed or
truncated files.

JSON files store the digest of their content under ``digest``. Files without it (version 0.1) are
read without a check.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import nn

DIGEST = "digest"
_BLOCK = 1 << 20


def digest_of(*parts: bytes | memoryview | Path) -> str:
    """BLAKE2b digest of the concatenation of bytes and file contents: 32 hexadecimal digits.

    Raises:
        OSError: if a file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if not isinstance(part, Path):
            digest.update(part)
            continue
        with part.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def digest_of_json(content: Any, *parts: bytes | memoryview | Path) -> str:
    """`digest_of` of plain values, written as JSON with sorted keys, and of further parts."""
    return digest_of(json.dumps(content, sort_keys=True).encode(), *parts)


def digest_of_arrays(content: Any, arrays: Mapping[str, np.ndarray]) -> str:
    """`digest_of_json` of plain values, and of names, types, shapes and values of arrays."""
    about = [[name, str(array.dtype), list(array.shape)] for name, array in sorted(arrays.items())]
    values = [
        np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        for _, array in sorted(arrays.items())
        if array.size
    ]
    return digest_of_json([content, about], *values)


class Hash(Protocol):
    """Any hash object of `hashlib`."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add bytes."""


def add_weights(digest: Hash, module: "nn.Module") -> None:
    """Add the parameters and persistent buffers of a module to a hash: names, types, shapes and
    bytes.
    """
    import torch

    for name, value in module.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(
            value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data
            if value.numel()
            else b""
        )


def with_digest(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a JSON file with its digest."""
    plain = {
        name: value for name, value in json.loads(json.dumps(content)).items() if name != DIGEST
    }
    return plain | {DIGEST: digest_of_json(plain)}


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON file that holds a dictionary; the digest is checked and removed.

    Raises:
        ValueError: if it is not valid JSON, not a dictionary, or does not match its digest; the
            text names the reason.
        OSError: if the file cannot be read.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not valid JSON") from error
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__} instead of a dictionary")
    written = content.pop(DIGEST, None)
    if written is not None and written != digest_of_json(content):
        raise ValueError("its content was changed")
    return content


def has_digest(path: str | Path) -> bool:
    """Whether a JSON file that `read_json` accepts has a digest; files of version 0.1 have none."""
    return DIGEST in json.loads(Path(path).read_text(encoding="utf-8"))
