"""Digests that detect changed or truncated files.

semisupcon stores a digest in the files that it writes, and verifies it when it reads them.

JSON files store the digest of their content under ``digest``. Files without this entry (version
0.1) are read without a check.
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
    """Return the BLAKE2b digest of concatenated bytes and file contents, as 32 hexadecimal digits.

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
    """Return the digest of plain values (as JSON with sorted keys), followed by bytes or files."""
    return digest_of(json.dumps(content, sort_keys=True).encode(), *parts)


def digest_of_arrays(content: Any, arrays: Mapping[str, np.ndarray]) -> str:
    """Return the digest of plain values and of the names, types, shapes and values of arrays."""
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
        """Add bytes to the hash."""


def add_weights(digest: Hash, module: "nn.Module") -> None:
    """Add the names, types, shapes and values of a module's parameters and persistent buffers to a
    hash.
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
    """Return the content of a JSON file with an added ``digest`` entry."""
    plain = {
        name: value for name, value in json.loads(json.dumps(content)).items() if name != DIGEST
    }
    return plain | {DIGEST: digest_of_json(plain)}


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON file that contains a dictionary; verify its digest and remove it from the result.

    Raises:
        ValueError: if the file is not valid JSON, not a dictionary, or does not match its digest.
            The message gives the reason.
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
    """Return whether a valid JSON file has a digest; files of version 0.1 have none."""
    return DIGEST in json.loads(Path(path).read_text(encoding="utf-8"))
