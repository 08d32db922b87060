"""Read and write files of ``torch.save`` safely.

Files are written atomically, read without executing code, and verified by the checksums of their
records.
"""

import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from semisupcon.errors import CheckpointError
from semisupcon.files import atomic_open

_BLOCK = 1 << 20
# Exceptions that torch raises for unreadable files.
UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    MemoryError,
    RecursionError,
    AssertionError,
    ImportError,
    OverflowError,
    NotImplementedError,
    struct.error,
)


def save_atomically(content: Any, path: str | Path) -> None:
    """Write a file with ``torch.save`` atomically.

    If the process crashes or the disk is full, an existing file with this name is unchanged.

    Raises:
        DiskError: if the disk is full or read-only.
    """
    with atomic_open(path, "wb", needed=_bytes_of(content)) as file:
        torch.save(content, file)


def _bytes_of(content: Any) -> int:
    """Return the size in bytes of all tensors of a checkpoint."""
    if isinstance(content, torch.Tensor):
        return content.nbytes
    parts = (
        content.values()
        if isinstance(content, dict)
        else content
        if isinstance(content, list | tuple)
        else ()
    )
    return sum(map(_bytes_of, parts))


def read_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read the content of a ``.ckpt`` file, which may contain only tensors and plain types.

    Args:
        path: path of the file.
        map_location: device of the tensors, as in `torch.load`.

    Raises:
        CheckpointError: if the file is missing, truncated or damaged, or contains objects that only
            code could build.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"No checkpoint at {path}.")
    if _is_zip(path):
        if _is_archive(path):
            raise CheckpointError(f"{path} is a zip archive; unpack it first.")
        if problem := damaged_record(path):
            raise CheckpointError(
                f"{path} is not a checkpoint, or it is truncated or damaged ({problem})."
            )
    try:
        content = torch.load(path, map_location=map_location, weights_only=True)
    except UNREADABLE as error:
        said = str(error).lower()
        # Torch reports classes and calls as "unsupported". If the message also has "operand", the
        # cause may be an invalid byte instead.
        if "unsupported" in said and ("operand" not in said or _is_pickled(path)):
            raise CheckpointError(
                f"{path} has other objects than tensors and plain values; it was refused and no "
                "code was run."
            ) from error
        reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        raise CheckpointError(
            f"{path} is not a checkpoint, or it is truncated or damaged{reason}."
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__} instead of a model.")
    return content


def _is_archive(path: Path) -> bool:
    """Return whether a zip file was not written by ``torch.save``."""
    try:
        with zipfile.ZipFile(path) as archive:
            return not any(name.endswith("/data.pkl") for name in archive.namelist())
    except Exception:  # `zipfile` raises many types of errors for a damaged archive.
        return False


def _is_pickled(path: Path) -> bool:
    """Return whether the first bytes of a file are those of ``torch.save`` or ``pickle``."""
    with path.open("rb") as file:
        return file.read(1) == b"\x80" or _is_zip(path)


def _is_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # The file refers to further parts of a multi-part archive.
        return True


def damaged_record(path: str | Path) -> str | None:
    """Verify the checksums of a file of ``torch.save``; return the problem, or None for a valid
    file.

    Torch itself does not verify the checksums. A file whose checksums are all 0 was written without
    checksums and is not checked.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            records = [record for record in archive.infolist() if record.file_size]
            names = archive.namelist()
            wrong = [record.filename for record in records if not _is_sound(archive, record)]
    except Exception as error:  # `zipfile` raises many types of errors for a damaged archive.
        return str(error) or type(error).__name__
    if len(set(names)) < len(names):
        return "two records have the same name"
    has_checksums = any(record.CRC for record in records)
    return f"the checksum of {wrong[0]} is wrong" if wrong and has_checksums else None


def _is_sound(archive: zipfile.ZipFile, record: zipfile.ZipInfo) -> bool:
    if record.compress_type == zipfile.ZIP_STORED and record.compress_size != record.file_size:
        raise ValueError(f"the size of {record.filename} is wrong")
    try:
        with archive.open(record) as file:
            while file.read(_BLOCK):
                pass
    except zipfile.BadZipFile as error:
        if "CRC" in str(error):
            return False
        raise
    except (zlib.error, EOFError):
        return False
    return True
