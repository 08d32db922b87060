"""Check the header, index and source files of a packed set, which may be untrusted."""

import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from semisupcon.digests import digest_of, has_digest, read_json
from semisupcon.errors import DatasetNotFoundError, UserError
from semisupcon.kinds import KINDS
from semisupcon.paths import system_path

# Version 1 (semisupcon 0.1) stores a digest of both ends of each source file, version 2 a digest of
# the whole file.
VERSION = 2
HEADER, INDEX, TARGETS = "packed.json", "clips.parquet", "targets.npy"
_ENDS = 1 << 16  # bytes hashed at each end of a source file in version 1
# Columns of the index by type of their values: text, integer, boolean, any.
_COLUMNS = {
    "text": ("path", "name", "split", "source_digest"),
    "whole": (
        "clip",
        "shard",
        "offset",
        "frames",
        "sample_rate",
        "crc",
        "source_size",
        "source_changed",
    ),
    "flag": ("in_pool", "labelled", "listed"),
    "any": ("group",),
}


class SourceFile(NamedTuple):
    """State of a source file: size in bytes, modification time in ns, and digest of the content."""

    size: int
    changed: int
    digest: str


def describe(path: str, version: int = VERSION) -> SourceFile:
    """Return the state of a source file, with the digest of a format version.

    Raises an OSError if the file is missing.
    """
    place = system_path(path)
    status = os.stat(place)
    if version >= 2:
        return SourceFile(status.st_size, status.st_mtime_ns, digest_of(Path(os.fsdecode(place))))
    with open(place, "rb") as file:
        ends = file.read(_ENDS)
        file.seek(max(0, status.st_size - _ENDS))
        ends += file.read()
    return SourceFile(status.st_size, status.st_mtime_ns, blake2b(ends, digest_size=16).hexdigest())


def read_header(folder: Path) -> dict[str, Any]:
    """Read the header of a packed set.

    Raises:
        DatasetNotFoundError: if the folder has no header.
        UserError: if the header is damaged or has another version.
    """
    path = folder / HEADER
    if not path.exists():
        what = (
            "The packed set is not complete, its header"
            if (folder / INDEX).exists() or any(folder.glob("audio-*"))
            else "A packed set"
        )
        raise DatasetNotFoundError(
            what,
            path,
            "Make or complete it with: semisupcon pack --config ... --out DIR",
        )
    try:
        header = read_json(path)
    except (OSError, ValueError) as error:
        raise damaged(folder, f"{HEADER} cannot be used, {error}") from error
    version = header.get("version")
    if not isinstance(version, int) or version not in range(1, VERSION + 1):
        raise UserError(
            f"The packed set has version {version}, this is version {VERSION}.\nIn: {folder}\nPack "
            "it again.",
        )
    if version >= 2 and not has_digest(path):
        raise damaged(folder, f"{HEADER} cannot be used, it is not what was written")
    # The fingerprint is used in the name of a cache file, so only hexadecimal digits are allowed.
    if not isinstance(fingerprint := header.get("fingerprint"), str) or not re.fullmatch(
        "[0-9a-f]{32}",
        fingerprint,
    ):
        raise damaged(folder, f"its fingerprint is {fingerprint!r}")
    sources, classes, kind = (header.get(name) for name in ("sources", "classes", "kind"))
    shards, rate = header.get("shards"), header.get("sample_rate")
    sound = {
        "sample_rate": _is_count(rate),
        "shards": isinstance(shards, list) and len(shards) > 0 and all(map(_is_count, shards)),
        "sources": isinstance(sources, dict)
        and all(_is_word(sources.get(n, 0)) for n in ("sl_task", "ssl_task")),
        "classes": isinstance(classes, list) and all(isinstance(name, str) for name in classes),
        "kind": "kind" in header and (kind is None or (isinstance(kind, str) and kind in KINDS)),
        "clips": _is_count(header.get("clips")),
        "hours": isinstance(header.get("hours"), int | float),
    }
    if bad := [name for name, is_sound in sound.items() if not is_sound]:
        raise damaged(folder, f"{HEADER} gives {bad[0]} as {str(header.get(bad[0]))[:60]!r}")
    return header


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 62


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, str)


def read_index(folder: Path, header: dict[str, Any]) -> tuple[pd.DataFrame, np.ndarray]:
    """Read the table of the clips of a packed set, and their targets ``[n, C]``.

    Raises:
        UserError: if the index is damaged, or if it places clips outside the shards.
    """
    try:
        if digest_of(folder / INDEX, folder / TARGETS) != header.get("index_digest"):
            raise damaged(folder, "its index is not the one that was written")
        files = pd.read_parquet(folder / INDEX)
        targets = np.load(folder / TARGETS, allow_pickle=False)
    except UserError:
        raise
    except Exception as error:  # Parquet and NumPy raise many types of errors for invalid files.
        raise damaged(
            folder,
            "its index cannot be read "
            f"({(str(error).splitlines() or [type(error).__name__])[0][:200]})",
        ) from error
    if not isinstance(targets, np.ndarray) or targets.dtype.kind != "f":
        raise damaged(folder, f"{TARGETS} holds no array of numbers")
    if problem := _problem(files, header["shards"]):
        raise damaged(folder, f"{INDEX} {problem}")
    return files, targets


def _problem(files: pd.DataFrame, shards: list[int]) -> str | None:
    is_sound = {
        "text": lambda column: all(
            isinstance(value, str) and "\0" not in value for value in column
        ),
        "whole": lambda column: column.dtype.kind in "iu",
        "flag": lambda column: column.dtype.kind == "b",
        "any": lambda column: True,
    }
    for kind, names in _COLUMNS.items():
        for name in names:
            if name not in files:
                return f"has no column {name}"
            if not is_sound[kind](files[name]):
                return f"has values in the column {name} that are none"
    if files.empty:
        return "lists no clips"
    shard, offset, frames = (
        files[name].to_numpy(np.int64) for name in ("shard", "offset", "frames")
    )
    inside = (shard >= 0) & (shard < len(shards)) & (offset >= 0) & (frames > 0)
    room = np.asarray(shards, dtype=np.int64)[shard.clip(0, len(shards) - 1)]
    inside &= frames <= room - offset.clip(0, room)
    if not inside.all():
        return f"places {files['name'][int(np.flatnonzero(~inside)[0])]} outside the shards"
    return None


def check_sources(folder: Path, files: pd.DataFrame, version: int, verify: bool) -> int:
    """Check that the available source files have not changed since they were packed.

    Files with unchanged size and modification time count as unchanged. With ``verify``, the content
    of all files is compared.

    Returns:
        The number of available and unchanged source files.

    Raises:
        UserError: if files have changed. The message names the first five.
    """

    def state(path: str, size: int, changed_at: int, digest: str) -> str:
        try:
            status = os.stat(system_path(path))
            # The path is untrusted, so do not open a pipe or device.
            if not stat.S_ISREG(status.st_mode):
                return "absent"
            if not verify and (status.st_size, status.st_mtime_ns) == (size, changed_at):
                return "same"
            # A copied file may have another modification time but the same content.
            return (
                "same"
                if status.st_size == size and describe(path, version).digest == digest
                else "changed"
            )
        except (OSError, ValueError):
            return "absent"

    columns = [files[name] for name in ("path", "source_size", "source_changed", "source_digest")]
    with ThreadPoolExecutor(min(32, 4 * (os.cpu_count() or 1))) as pool:
        states = list(pool.map(state, *columns))
    if stale := [
        name for name, found in zip(files["name"], states, strict=True) if found == "changed"
    ]:
        first = ", ".join(stale[:5]) + (", ..." if len(stale) > 5 else "")
        raise UserError(
            f"{len(stale)} source files have changed since they were packed: {first}\nIn: "
            f"{folder}\nPack them again.",
        )
    return states.count("same")


def damaged(folder: Path, how: str) -> UserError:
    """Return the error for a damaged packed set."""
    return UserError(
        f"The packed set is damaged: {how}.\nIn: {folder}\nDelete the folder and pack again.",
    )
