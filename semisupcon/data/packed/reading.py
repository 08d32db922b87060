"""Read packed audio: clips stored as 16-bit samples, which need no decoding.

A packed folder has four kinds of files. Shards (``audio-NNNNN.pcm``) are concatenated clips as
little-endian int16 mono samples. ``clips.parquet`` has position, split, checksum and source file of
each clip. ``targets.npy`` has the targets. The header ``packed.json`` is written at the end, so a
folder without it is incomplete. The folder is self-contained: training does not need the source
files. Source files that exist are compared with their packed state.

Header, index and shard sizes are checked whenever a set is opened. Shards and source files count as
unchanged if their size and modification time are unchanged. Shards are read completely when a
machine opens them for the first time or when they have changed. ``verify`` reads all shards and
source files.
"""

import json
import logging
import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from semisupcon.data.packed.checks import check_sources, damaged, read_header, read_index
from semisupcon.datasets.base import LabelledClips
from semisupcon.digests import read_json, with_digest
from semisupcon.errors import ConfigError, UserError
from semisupcon.files import write_text
from semisupcon.paths import cache_folder

log = logging.getLogger(__name__)


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f"audio-{number:05d}.pcm"


class Packed:
    """A packed folder. Opening it checks its files.

    Args:
        folder: folder that `pack` has written.
        verify: whether to read all shards and all available source files, even if their sizes and
            modification times are unchanged.

    Attributes:
        where: name of the folder, for messages.
        sample_rate: sample rate of the packed audio in Hz.
        sources: tasks and folders that were packed, by the names of their options in the data
            module.
        clips: the clips, with the additional columns ``shard`` and ``offset`` (in samples).
            ``frames`` and ``sample_rate`` are those of the packed audio.
        sources_at_hand: number of available and unchanged source files.

    Raises:
        DatasetNotFoundError: if the folder has no complete packed set.
        UserError: if the set is damaged or has another version, or if source files have changed.
    """

    def __init__(self, folder: str | Path, verify: bool = False):
        self.folder, self.where, self.verify = Path(folder), str(folder), verify
        self.header = read_header(self.folder)
        self.sample_rate: int = self.header["sample_rate"]
        self.sources: dict[str, Any] = self.header["sources"]
        files, targets = read_index(self.folder, self.header)
        self._check_shards(files)
        self.sources_at_hand = check_sources(self.folder, files, self.header["version"], verify)
        classes, kind = self.header["classes"], self.header["kind"]
        root, name = str(self.folder), self.sources["sl_task"] or ""
        try:
            self.clips = LabelledClips(files, targets, classes, kind, root=root, name=name)
        except ValueError as error:
            raise damaged(self.folder, str(error)) from error

    def _check_shards(self, files: pd.DataFrame) -> None:
        """Verify the checksum of every clip, unless this machine has verified the same shards
        before.

        Shards are the same if their size and modification time are unchanged.
        """
        states = []
        for number, samples in enumerate(self.header["shards"]):
            path = self.folder / shard_name(number)
            size = path.stat().st_size if path.exists() else 0
            if size != 2 * samples:
                raise damaged(self.folder, f"{path.name} has {size} bytes instead of {2 * samples}")
            states.append((path.name, size, path.stat().st_mtime_ns))
        seen = cache_folder() / f"packed-{self.header['fingerprint']}.json"
        present = json.loads(json.dumps({"folder": str(self.folder.resolve()), "shards": states}))
        try:
            known = read_json(seen) if seen.exists() else None
        except (OSError, ValueError) as error:
            log.warning(
                "The cache %s cannot be used, %s. The packed audio is checked again.",
                seen,
                error,
            )
            known = None
        if known == present and not self.verify:
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
            bar = tqdm(
                pool.map(bad_in, groups),
                total=len(groups),
                desc="Checking packed audio",
                unit="shard",
                disable=None,
            )
            bad = [name for names in bar for name in names]
        if bad:
            raise damaged(
                self.folder,
                f"{len(bad)} clips are not what was packed, the first is {bad[0]}",
            )
        try:
            write_text(seen, json.dumps(with_digest(present)))
        except UserError as error:
            log.warning(
                "%s The cache is not saved, so the next run checks the packed audio again. "
                "SEMISUPCON_CACHE sets another folder for it.",
                error,
            )

    def check_request(
        self,
        sl_task: str | None,
        ssl_task: str | None,
        sample_rate: int | None,
    ) -> LabelledClips:
        """Check that a packed set has the data that a run needs, and return its clips.

        If ``sl_task`` is None, the labels are removed.

        Raises:
            ConfigError: if the run needs another task or another sample rate.
        """
        for name, asked in (("sl_task", sl_task), ("ssl_task", ssl_task)):
            if asked is not None and asked != self.sources[name]:
                raise ConfigError(
                    f"data.{name} is '{asked}', but the packed set was made with "
                    f"{self.sources[name] or 'none'}.\nIn: {self.where}\n"
                    "Pack again with this configuration, or leave out data.packed."
                )
        if sample_rate != self.sample_rate:
            raise ConfigError(
                f"The packed set is at {self.sample_rate} Hz, the run needs {sample_rate} Hz.\nIn: "
                f"{self.where}\n"
                f"Pack again with --data.target_sample_rate {sample_rate}."
            )
        if sl_task is not None or self.sources["sl_task"] is None:
            return self.clips
        return self.clips.without_labels().assign(labelled=False, in_pool=True)


class PackedAudio:
    """Reads the samples of the clips in a table from memory-mapped shards.

    Args:
        folder: packed folder.
        rows: table with the columns ``shard``, ``offset``, ``frames`` and ``name``.
    """

    dtype = torch.int16

    def __init__(self, folder: str | Path, rows: pd.DataFrame):
        self.folder = Path(folder)
        self.shard, self.offset = (
            rows["shard"].to_numpy(np.int64),
            rows["offset"].to_numpy(np.int64),
        )
        self.names = np.array([os.fsencode(name) for name in rows["name"]])
        self.maps = [_map(self.folder, number) for number in range(int(self.shard.max()) + 1)]

    def spans(self, row: int, spans: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Return int16 samples of spans ``(start, frames)`` of a clip, without copying."""
        samples, offset = self.maps[self.shard[row]], int(self.offset[row])
        return [samples[offset + start : offset + start + frames] for start, frames in spans]

    def name(self, row: int) -> str:
        """Return the name of the clip in a row, for messages."""
        return os.fsdecode(self.names[row])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "maps": len(self.maps)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.maps = [_map(self.folder, number) for number in range(state["maps"])]


def _map(folder: Path, number: int) -> np.ndarray:
    # Convert the map to a plain array, because slicing np.memmap is ten times slower.
    return np.asarray(np.memmap(folder / shard_name(number), dtype="<i2", mode="r"))
