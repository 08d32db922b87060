"""Packed audio: every clip decoded and resampled once, as 16-bit samples on disk that training reads without decoding anything.

A packed folder holds shards (``audio-NNNNN.pcm``: int16, little-endian, mono, clip after clip), ``clips.parquet`` (which clip lies where, its split,
its checksum, and what its source file was), ``targets.npy``, and ``packed.json``, which is written last: a folder without it is not complete.
The folder stands for itself; on the machine that trains, the source files need not be there. Where they are, they are compared.
"""

import json
import logging
import os
import re
import stat
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from semisupcon.datasets.base import LabelledClips
from semisupcon.errors import ConfigError, DatasetNotFoundError, UserError
from semisupcon.files import cache_folder, system_path, write_text

VERSION = 1
HEADER, INDEX, TARGETS = "packed.json", "clips.parquet", "targets.npy"
_ENDS = 1 << 16  # bytes of a source file's beginning and end that tell it apart
log = logging.getLogger(__name__)


class SourceFile(NamedTuple):
    """What tells whether a source file is still the one that was packed: size, time of change (ns), digest of both its ends."""

    size: int
    changed: int
    digest: str


def describe(path: str) -> SourceFile:
    """The present state of a file; raises OSError if it is not there."""
    place = system_path(path)
    status = os.stat(place)
    with open(place, "rb") as file:
        ends = file.read(_ENDS)
        file.seek(max(0, status.st_size - _ENDS))
        ends += file.read()
    return SourceFile(status.st_size, status.st_mtime_ns, blake2b(ends, digest_size=16).hexdigest())


def shard_name(number: int) -> str:
    """File name of a shard."""
    return f"audio-{number:05d}.pcm"


class Packed:
    """A packed folder, checked when it is opened.

    Args:
        folder: what `pack` wrote.

    Attributes:
        where: the folder, for messages.
        sample_rate: Hz.
        sources: the tasks and folders that it was packed from, by their names in the data module.
        clips: its clips, with the columns ``shard`` and ``offset`` (in samples) beside the usual ones; ``frames`` and ``sample_rate`` are those
            of the packed audio.

    Raises:
        DatasetNotFoundError: if there is no complete packed set.
        UserError: if it is damaged, of another version, or its source files have changed since.
    """

    def __init__(self, folder: str | Path):
        self.folder, self.where = Path(folder), str(folder)
        self.header = _read_header(self.folder)
        self.sample_rate: int = self.header["sample_rate"]
        self.sources: dict[str, Any] = self.header["sources"]
        try:
            files = pd.read_parquet(self.folder / INDEX)
            targets = np.load(self.folder / TARGETS)
        except (OSError, ValueError) as error:
            raise _damaged(self.folder, f"its index cannot be read ({str(error).splitlines()[0]})") from error
        if digest_of(self.folder / INDEX, self.folder / TARGETS) != self.header["index_digest"]:
            raise _damaged(self.folder, "its index is not the one that was written")
        self._check_shards(files)
        self._check_sources(files)
        classes, kind = self.header["classes"], self.header["kind"]
        root, name = str(self.folder), self.sources["sl_task"] or ""
        try:
            self.clips = LabelledClips(files, targets, classes, kind, root=root, name=name)
        except ValueError as error:
            raise _damaged(self.folder, str(error)) from error

    def _check_shards(self, files: pd.DataFrame) -> None:
        """Compare the checksum of every clip, once on this machine as long as the shards stay as they are."""
        states = []
        for number, samples in enumerate(self.header["shards"]):
            path = self.folder / shard_name(number)
            size = path.stat().st_size if path.exists() else 0
            if size != 2 * samples:
                raise _damaged(self.folder, f"{path.name} has {size} bytes instead of {2 * samples}")
            states.append((path.name, size, path.stat().st_mtime_ns))
        seen = cache_folder() / f"packed-{self.header['fingerprint']}.json"
        try:
            known = json.loads(seen.read_text())
        except (OSError, ValueError):
            known = None
        present = json.loads(json.dumps({"folder": str(self.folder.resolve()), "shards": states}))
        if known == present:
            return
        maps = [_map(self.folder, number) for number in range(len(self.header["shards"]))]
        groups = list(files.groupby("shard"))

        def bad_in(group: tuple[int, pd.DataFrame]) -> list[str]:
            number, clips = group
            spans = zip(clips["name"], clips["offset"], clips["frames"], clips["crc"], strict=True)
            samples, changed = maps[number], []
            for name, offset, frames, crc in spans:
                if zlib.crc32(samples[offset : offset + frames].data) != crc:
                    changed.append(name)
            return changed

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            bar = tqdm(pool.map(bad_in, groups), total=len(groups), desc="Checking packed audio", unit="shard", disable=None)
            bad = [name for names in bar for name in names]
        if bad:
            raise _damaged(self.folder, f"{len(bad)} clips are not what was packed, the first is {bad[0]}")
        try:
            write_text(seen, json.dumps(present))
        except UserError as error:
            log.warning("%s It is a cache, which SEMISUPCON_CACHE places elsewhere: the next run checks the packed audio again.", error)

    def _check_sources(self, files: pd.DataFrame) -> None:
        """Compare the source files with what they were, where they are at hand."""

        def changed(path: str, size: int, changed_at: int, digest: str) -> bool:
            try:
                status = os.stat(system_path(path))
            except OSError:
                return False
            # The path is what a file says: a pipe or device in its place is not opened.
            if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns) == (size, changed_at):
                return False
            # Another time alone may be a copy's.
            return status.st_size != size or describe(path).digest != digest

        columns = [files[name] for name in ("path", "source_size", "source_changed", "source_digest")]
        with ThreadPoolExecutor(min(32, 4 * (os.cpu_count() or 1))) as pool:
            stale = [name for name, is_stale in zip(files["name"], pool.map(changed, *columns), strict=True) if is_stale]
        if stale:
            first = ", ".join(stale[:5]) + (", ..." if len(stale) > 5 else "")
            raise UserError(f"{len(stale)} source files have changed since they were packed: {first}\nIn: {self.folder}\nPack them again.")

    def check_request(self, sl_task: str | None, ssl_task: str | None, sample_rate: int | None) -> LabelledClips:
        """The clips, as far as a run asks for what was packed; labels are left out where it names no sl_task.

        Raises:
            ConfigError: if it names another task, or needs another sample rate.
        """
        for name, asked in (("sl_task", sl_task), ("ssl_task", ssl_task)):
            if asked is not None and asked != self.sources[name]:
                raise ConfigError(
                    f"data.{name} is '{asked}', but the packed set was made with {self.sources[name] or 'none'}.\nIn: {self.where}\n"
                    "Pack again with this configuration, or leave out data.packed."
                )
        if sample_rate != self.sample_rate:
            raise ConfigError(
                f"The packed set is at {self.sample_rate} Hz, the run needs {sample_rate} Hz.\nIn: {self.where}\n"
                f"Pack again with --data.target_sample_rate {sample_rate}."
            )
        if sl_task is not None or self.sources["sl_task"] is None:
            return self.clips
        return self.clips.without_labels().assign(labelled=False, in_pool=True)


class PackedAudio:
    """Audio of a table's rows from packed shards, mapped into memory.

    Args:
        folder: the packed folder.
        rows: columns ``shard``, ``offset``, ``frames`` and ``name``.
    """

    dtype = torch.int16

    def __init__(self, folder: str | Path, rows: pd.DataFrame):
        self.folder = Path(folder)
        self.shard, self.offset = rows["shard"].to_numpy(np.int64), rows["offset"].to_numpy(np.int64)
        self.names = np.array([os.fsencode(name) for name in rows["name"]])
        self.maps = [_map(self.folder, number) for number in range(int(self.shard.max()) + 1)]

    def spans(self, row: int, spans: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """int16 samples of spans ``(start, frames)``, without a copy."""
        samples, offset = self.maps[self.shard[row]], int(self.offset[row])
        return [samples[offset + start : offset + start + frames] for start, frames in spans]

    def name(self, row: int) -> str:
        """What to call the clip."""
        return os.fsdecode(self.names[row])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "maps": len(self.maps)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.maps = [_map(self.folder, number) for number in range(state["maps"])]


def _map(folder: Path, number: int) -> np.ndarray:
    # A plain array over the map: slices of np.memmap cost ten times as much.
    return np.asarray(np.memmap(folder / shard_name(number), dtype="<i2", mode="r"))


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / HEADER
    if not path.exists():
        what = "The packed set is not complete, its header" if (folder / INDEX).exists() or any(folder.glob("audio-*")) else "A packed set"
        raise DatasetNotFoundError(what, path, "Make it, or go on making it, with: python -m semisupcon pack --config ... --out DIR")
    try:
        header = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise _damaged(folder, f"{HEADER} is no JSON") from error
    if not isinstance(header, dict):
        raise _damaged(folder, f"{HEADER} holds no header but a {type(header).__name__}")
    if header.get("version") != VERSION:
        raise UserError(f"The packed set has version {header.get('version')}, this is version {VERSION}.\nIn: {folder}\nPack it again.")
    # The fingerprint becomes part of a file name in the cache.
    if not isinstance(fingerprint := header.get("fingerprint"), str) or not re.fullmatch("[0-9a-f]{32}", fingerprint):
        raise _damaged(folder, f"its fingerprint is {fingerprint!r}")
    return header


def digest_of(*paths: Path) -> str:
    """A digest of the contents of files, one after the other."""
    digest = blake2b(digest_size=16)
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _damaged(folder: Path, how: str) -> UserError:
    return UserError(f"The packed set is damaged: {how}.\nIn: {folder}\nDelete the folder and pack again.")
