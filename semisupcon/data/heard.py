"""A record of the audio that a run was trained on: ``pretraining_audio.npz`` in the run folder.

The record consists of fingerprints. It does not contain names, paths or audio.

For each training clip that is a file, the record has a hash of the file. For at most 5000 clips, it
also has an acoustic fingerprint of the middle four seconds, as in ``semisupcon data check``. The
time per file is bounded: three blocks of 4 KiB are hashed and four seconds are decoded.
"""

import hashlib
import json
import logging
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from semisupcon.audio.fingerprints import BANDS, fingerprint
from semisupcon.data.clips import FileAudio, Samples
from semisupcon.datasets.base import LabelledClips
from semisupcon.digests import digest_of_arrays
from semisupcon.errors import UserError, first_line
from semisupcon.files import atomic_open
from semisupcon.hub import RECORD, local
from semisupcon.paths import system_path
from semisupcon.random import derive

MOST = 5000  # maximum number of clips with an acoustic fingerprint
SECONDS = 4
_BLOCK = 1 << 12
_AT_ONCE = 64  # files that a thread reads one after the other
_WORKERS = 4
_VERSION, _MOST_BYTES = 2, 1 << 30  # version 1 hashed larger blocks

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Heard:
    """Fingerprints of n clips.

    Attributes:
        content: ``[n, 16]`` uint8, hash of each file by `content_of`; zeros if it is unknown.
        offsets: ``[n + 1]`` int64. The acoustic fingerprint of clip i is
            ``levels[offsets[i] : offsets[i + 1]]``, which is empty if it is unknown.
        levels: ``[F, 32]`` int8, concatenated acoustic fingerprints of all clips.
        table: hash of the names of the clips, to detect other clips in a resumed run.
        earlier: whether the initial weights were trained on audio that is not in this record.
    """

    content: np.ndarray = field(default_factory=lambda: np.zeros((0, 16), np.uint8))
    offsets: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    levels: np.ndarray = field(default_factory=lambda: np.zeros((0, BANDS), np.int8))
    table: str = ""
    earlier: bool = False

    def __len__(self) -> int:
        return len(self.content)

    @property
    def fingerprints(self) -> list[np.ndarray]:
        """Acoustic fingerprints of all clips; the fingerprint of clip i is ``[F_i, 32]``."""
        return np.split(self.levels, self.offsets[1:-1]) if len(self) else []

    @property
    def fingerprinted(self) -> int:
        """Number of clips with an acoustic fingerprint."""
        return int((np.diff(self.offsets) > 0).sum())

    def joined(self, other: "Heard") -> "Heard":
        """Return a record with the clips of this record and of another one."""
        return Heard(
            np.concatenate([self.content, other.content]),
            np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]]),
            np.concatenate([self.levels, other.levels]),
            other.table,
            self.earlier or other.earlier,
        )


@lru_cache(maxsize=2048)
def _content(path: str, size: int, changed: int) -> bytes:
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with open(system_path(path), "rb") as file:
        for start in sorted({0, max(0, size // 2 - _BLOCK // 2), max(0, size - _BLOCK)}):
            file.seek(start)
            digest.update(file.read(_BLOCK))
    return digest.digest()


def content_of(path: str) -> bytes | None:
    """Return a hash of a file, or None if it cannot be read.

    The hash depends on the size, and on 4 KiB at the beginning, middle and end of the file.
    """
    try:
        status = os.stat(system_path(path))
        return _content(path, status.st_size, status.st_mtime_ns)
    except (OSError, UserError):
        return None


def _middle(audio: Samples, row: int, frames: int, rate: int) -> np.ndarray:
    wanted = min(frames, SECONDS * rate)
    try:
        (heard,) = audio.spans(row, [((frames - wanted) // 2, wanted)])
        return fingerprint(heard, rate)
    except (UserError, OSError):
        return np.zeros((0, BANDS), np.int8)


@lru_cache(maxsize=2048)
def _middle_of_file(path: str, frames: int, rate: int, size: int, changed: int) -> np.ndarray:
    audio = FileAudio(pd.DataFrame({"path": [path], "frames": [frames]}))
    audio.patience = 0.0
    return _middle(audio, 0, frames, rate)


def middle_of(path: str, frames: int, rate: int) -> np.ndarray:
    """Return the acoustic fingerprint ``[F, 32]`` of the middle four seconds of a file.

    It is empty if the file cannot be read.
    """
    try:
        status = os.stat(system_path(path))
    except OSError:
        return np.zeros((0, BANDS), np.int8)
    return _middle_of_file(path, frames, rate, status.st_size, status.st_mtime_ns)


def heard_by(clips: LabelledClips, audio: Samples | None, most: int = MOST) -> Heard:
    """Compute the fingerprints of clips.

    Args:
        clips: clips with the columns ``path``, ``clip``, ``frames`` and ``sample_rate``.
        audio: object that reads the samples of the clips; None computes only hashes of the files.
        most: maximum number of acoustic fingerprints. The choice of clips depends only on their
            names.
    """
    table = clips.table
    paths = table["path"].tolist()
    numbers = torch.from_numpy(table["clip"].to_numpy(np.int64, copy=True))
    order = derive(numbers, "fingerprints").argsort(stable=True).tolist()
    fingerprinted = set(order[:most]) if audio is not None else set()
    frames, rates = (table[name].to_numpy(np.int64) for name in ("frames", "sample_rate"))

    def one(row: int) -> tuple[bytes, np.ndarray]:
        levels = np.zeros((0, BANDS), np.int8)
        if audio is not None and row in fingerprinted:
            about = int(frames[row]), int(rates[row])
            files = isinstance(audio, FileAudio)
            levels = middle_of(paths[row], *about) if files else _middle(audio, row, *about)
        return content_of(paths[row]) or bytes(16), levels

    parts = [range(i, min(i + _AT_ONCE, len(paths))) for i in range(0, len(paths), _AT_ONCE)]
    with ThreadPoolExecutor(min(_WORKERS, os.cpu_count() or 1)) as pool:
        each = pool.map(lambda rows: [one(row) for row in rows], parts)
        found = [result for results in each for result in results]
    lengths = [len(levels) for _, levels in found]
    return Heard(
        np.frombuffer(b"".join(content for content, _ in found), np.uint8).reshape(-1, 16),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([np.zeros((0, BANDS), np.int8), *(levels for _, levels in found)]),
        names_of(clips),
    )


def names_of(clips: LabelledClips) -> str:
    """Return a hash of the names of clips, which does not depend on their order."""
    numbers = np.sort(clips.table["clip"].to_numpy(np.int64))
    return hashlib.blake2b(numbers.tobytes(), digest_size=16).hexdigest()


def write_record(heard: Heard, file: Path) -> None:
    """Write a record of pretraining audio to a file.

    Raises:
        DiskError: if the file cannot be written.
    """
    about = {"version": _VERSION, "table": heard.table, "earlier": heard.earlier}
    arrays = {"content": heard.content, "offsets": heard.offsets, "levels": heard.levels}
    text = json.dumps(about | {"digest": digest_of_arrays(about, arrays)})
    with atomic_open(file, "wb") as partial:
        np.savez_compressed(
            partial,
            about=np.array(text),
            content=heard.content,
            offsets=heard.offsets,
            levels=heard.levels,
        )


def read_record(file: Path) -> Heard | None:
    """Read a record of pretraining audio. Pickled data are not read.

    If the file is damaged or has another version, log a warning and return None.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(part.file_size for part in archive.infolist()) > _MOST_BYTES:
                raise ValueError("it is too large")
        with np.load(file, allow_pickle=False) as stored:
            about: Any = json.loads(str(stored["about"]))
            content, offsets, levels = (stored[n] for n in ("content", "offsets", "levels"))
        arrays = {"content": content, "offsets": offsets, "levels": levels}
        digest = about.pop("digest")
        if about["version"] != _VERSION or digest != digest_of_arrays(about, arrays):
            raise ValueError("it is of another version, or was changed")
        fits = (
            (content.dtype, content.shape[1:]) == (np.uint8, (16,))
            and (levels.dtype, levels.shape[1:]) == (np.int8, (BANDS,))
            and offsets.shape == (len(content) + 1,)
            and (offsets[0], offsets[-1]) == (0, len(levels))
            and (np.diff(offsets) >= 0).all()
        )
        if not fits:
            raise ValueError("its arrays do not fit each other")
        return Heard(content, offsets, levels, str(about["table"]), bool(about["earlier"]))
    except Exception as error:  # A damaged archive raises many types of errors.
        log.warning("%s cannot be used: %s.", file, first_line(error, 120).rstrip("."))
        return None


def find_record(path: str | Path) -> Heard | None:
    """Return the record of pretraining audio that belongs to a model; None if it has none.

    ``path`` is a checkpoint, a run folder or an exported folder, or an address on the hub.
    """
    folder = Path(local(path)).expanduser()
    if not folder.exists():
        return None
    file = (folder if folder.is_dir() else folder.parent) / RECORD
    return read_record(file) if file.is_file() else None
