"""The files of an index, and how they are read and checked.

A folder holds ``index.json`` (encoder, settings, and the names and digests of the other files),
``vectors-ID.npy`` (``[rows, D]`` float32 of unit length, sorted by file) and ``files-ID.csv`` (file,
rows, samples, size, modification time). The ID changes with the content, and ``index.json`` is
replaced last: until then the old index is in place. ``graph-ID.faiss`` is optional; see
`semisupcon.retrieval.approximate`.

An index is data: it names no code, and only files in its own folder.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semisupcon.digests import digest_of, read_json
from semisupcon.embedding import PRECISIONS
from semisupcon.errors import UserError
from semisupcon.files import plain_cell
from semisupcon.labelling.windows import Windows
from semisupcon.paths import inside

INDEX, FORMAT = "index.json", 1
COLUMNS = ("file", "rows", "samples", "size", "modified_ns")


class Entry(NamedTuple):
    """A file of an index: name, number of rows, samples at the encoder's rate, and state on disk."""

    file: str
    rows: int
    samples: int
    size: int
    modified_ns: int


@dataclass
class Index:
    """An index that was read.

    Attributes:
        folder: its folder.
        header: content of ``index.json``.
        entries: its files, sorted by name.
        vectors: ``[rows, D]`` float32 of unit length (or zero), mapped from disk.
    """

    folder: Path
    header: Mapping[str, Any]
    entries: list[Entry]
    vectors: np.ndarray
    _times: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)

    @property
    def encoder(self) -> str:
        """Fingerprint of the encoder."""
        return self.header["encoder"]

    @property
    def windows(self) -> Windows | None:
        """Windows of the rows; None for one row per file."""
        if self.header["per"] == "file":
            return None
        rate = self.header["sample_rate"]
        return Windows(self.header["window_samples"], self.header["hop"], rate)

    @cached_property
    def first_rows(self) -> np.ndarray:
        """First row of each file, ``[files + 1]`` int64; the last is the number of rows."""
        return np.concatenate([[0], np.cumsum([entry.rows for entry in self.entries])]).astype(int)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {entry.file: i for i, entry in enumerate(self.entries)}

    def find(self, file: str, ending: bool = True) -> int | None:
        """Number of the file of this name, or None.

        Args:
            file: name.
            ending: without a file of this name, find the only one whose path ends with it.
        """
        if file in self._position:
            return self._position[file]
        if not ending:
            return None
        found = [i for i, entry in enumerate(self.entries) if entry.file.endswith(f"/{file}")]
        return found[0] if len(found) == 1 else None

    def files_of(self, rows: np.ndarray) -> np.ndarray:
        """Number of the file of each row."""
        return np.searchsorted(self.first_rows, rows, side="right") - 1

    def times(self, file: int) -> tuple[np.ndarray, np.ndarray]:
        """Begin and end of the rows of a file in seconds, ``[rows]`` each."""
        if file not in self._times:
            samples, rate = self.entries[file].samples, self.header["sample_rate"]
            whole = (np.zeros(1), np.array([round(samples / rate, 6)]))
            self._times[file] = whole if self.windows is None else self.windows.times(samples)
        return self._times[file]

    def place(self, row: int) -> tuple[str, float, float]:
        """File, begin and end (seconds) of a row."""
        file = int(self.files_of(np.array([row]))[0])
        starts, ends = self.times(file)
        at = min(row - self.first_rows[file], len(starts) - 1)
        return self.entries[file].file, float(starts[at]), float(ends[at])

    def verify(self) -> None:
        """Compare the vectors with their digest; raises UserError if they were changed."""
        told = self.header["vectors"]
        if digest_of(self.folder / told["file"]) != told["digest"]:
            raise _damaged(self.folder, f"{told['file']} was changed")


def load_index(folder: str | Path) -> Index:
    """Open an index. The vectors stay on disk; the other files are compared with their digests.

    Raises:
        UserError: if the folder holds no index, one of a newer format, or a damaged one.
    """
    folder = Path(folder)
    if not (folder / INDEX).is_file():
        raise UserError(
            f"{folder} holds no index.\nTo make one: semisupcon index AUDIO --checkpoint RUN --out "
            f"{folder}"
        )
    try:
        header = read_json(folder / INDEX)
    except (OSError, ValueError) as error:
        raise _damaged(folder, f"{INDEX}: {error}") from error
    if isinstance(header.get("format"), int) and header["format"] > FORMAT:
        raise UserError(
            f"{folder} is an index of format {header['format']}; this version reads up to "
            f"{FORMAT}. Update semisupcon."
        )
    _check_header(folder, header)
    try:
        entries = _read_entries(folder, header)
        path = inside(folder, header["vectors"]["file"], f"{folder / INDEX}")
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, TypeError, KeyError, EOFError, csv.Error) as error:
        if isinstance(error, UserError):
            raise
        raise _damaged(
            folder, str(error).splitlines()[0] if str(error) else "unreadable"
        ) from error
    shape = (header["rows"], header["dim"])
    if vectors.shape != shape or vectors.dtype != np.dtype("<f4") or not vectors.flags.c_contiguous:
        raise _damaged(folder, f"{path.name} does not hold {shape[0]} x {shape[1]} float32 values")
    found = Index(folder, header, entries, vectors)
    if sum(entry.rows for entry in entries) != len(vectors):
        raise _damaged(folder, "files and vectors do not match")
    if not all(_plausible(entry, found.windows) for entry in entries):
        raise _damaged(folder, "rows and lengths of files do not match")
    return found


def _plausible(entry: Entry, windows: Windows | None) -> bool:
    """Whether the number of rows fits the length of a file, up to the last window."""
    if windows is None:
        return entry.rows == 1
    hops = max(0, entry.samples - windows.length) / (windows.hop * windows.sample_rate)
    return abs(entry.rows - 1 - hops) <= 2


def _read_entries(folder: Path, header: Mapping[str, Any]) -> list[Entry]:
    told = header["files"]
    path = inside(folder, told["file"], f"{folder / INDEX}")
    if digest_of(path) != told["digest"]:
        raise ValueError(f"{path.name} was changed")
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        if tuple(next(rows, ())) != COLUMNS:
            raise ValueError(f"{path.name} has other columns than {', '.join(COLUMNS)}")
        entries = [Entry(plain_cell(name), *map(int, numbers)) for name, *numbers in rows]
    if any(entry.rows < 1 or entry.samples < 1 for entry in entries):
        raise ValueError(f"{path.name} has a file without rows")
    return entries


def _check_header(folder: Path, header: Mapping[str, Any]) -> None:
    per, hop = header.get("per"), header.get("hop")
    numbers = ["rows", "dim", "sample_rate", *["window_samples"] * (per == "window")]
    parts = [header.get(name) for name in ("vectors", "files")]
    checks = [
        header.get("format") == FORMAT,
        per in ("file", "window"),
        isinstance(header.get("encoder"), str),
        header.get("precision") in PRECISIONS,
        isinstance(header.get("task", 0), str | None),
        all(type(header.get(name)) is int and header[name] >= 1 for name in numbers),
        all(isinstance(p, dict) and _is_text(p.get("file"), p.get("digest")) for p in parts),
    ]
    if all(checks) and per == "window":
        checks.append(isinstance(hop, int | float) and hop * header["sample_rate"] >= 1)
    if not all(checks):
        raise _damaged(folder, f"{INDEX} lacks a part, or holds a value of another kind")


def _is_text(*values: object) -> bool:
    return all(isinstance(value, str) for value in values)


def _damaged(folder: Path, problem: str) -> UserError:
    return UserError(
        f"The index is damaged: {problem}.\nIn: {folder}\nMake it anew: semisupcon index ... "
        "--overwrite"
    )
