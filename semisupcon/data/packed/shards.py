"""Write the shards of a packed set in parallel. Complete shards are not written again."""

import json
import logging
import os
import shutil
import zlib
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from semisupcon.audio.blocks import BLOCK, read_blocks
from semisupcon.audio.pcm import to_int16
from semisupcon.data.packed.reading import shard_name
from semisupcon.errors import DiskError
from semisupcon.files import amount_of, atomic_path, write_text

Result = TypeVar("Result")
log = logging.getLogger(__name__)


def write_shards(
    out: Path, files: pd.DataFrame, pool: ThreadPoolExecutor
) -> tuple[np.ndarray, int]:
    """Write all missing shards; return all checksums and the number of clipped samples."""
    crc, clipped = np.zeros(len(files), np.int64), 0
    seconds = files["frames"].sum() / files["sample_rate"].iloc[0]
    with tqdm(
        total=round(float(seconds)), desc="Packing", unit="s", unit_scale=True, disable=None
    ) as bar:
        for _, clips in files.groupby("shard"):
            number = int(clips["shard"].iloc[0])
            path, notes = out / shard_name(number), out / f"{shard_name(number)}.json"
            samples = int(clips["frames"].sum())
            if (results := _notes(out, number, len(clips), samples)) is None:
                rows = clips[
                    ["path", "own_rate", "own_frames", "sample_rate", "frames", "offset"]
                ].itertuples(index=False, name=None)
                written_down = []
                with atomic_path(path) as unfinished:
                    # The threads end before the file is closed, so that no thread writes to a
                    # closed file.
                    with (
                        _reserve(unfinished, samples) as store,
                        closing(_ahead(pool, partial(_write_clip, store), rows)) as written,
                    ):
                        for result, frames in zip(written, clips["frames"], strict=True):
                            written_down.append(result)
                            bar.update(frames / clips["sample_rate"].iloc[0])
                    write_text(notes, json.dumps(written_down))
                results = np.array(written_down, np.int64)
            else:
                bar.update(samples / clips["sample_rate"].iloc[0])
            crc[clips.index] = results[:, 0]
            clipped += int(results[:, 1].sum())
    return crc, clipped


def _notes(out: Path, number: int, clips: int, samples: int) -> np.ndarray | None:
    """Return checksum and number of clipped samples of each clip of a shard, ``[clips, 2]``.

    The result is None if the shard is missing or damaged.
    """
    path, notes = out / shard_name(number), out / f"{shard_name(number)}.json"
    if not (path.exists() and notes.exists()):
        return None
    try:
        found = np.array(json.loads(notes.read_text()))
        sound = (
            found.shape == (clips, 2)
            and found.dtype.kind == "i"
            and (found >= 0).all()
            and path.stat().st_size == 2 * samples
        )
    except (OSError, ValueError, OverflowError, RecursionError):
        sound = False
    if not sound:
        log.warning("%s or its notes are damaged; the shard is written again.", path)
    return found.astype(np.int64) if sound else None


def _reserve(path: Path, samples: int) -> BinaryIO:
    """Create a file for int16 samples and reserve its disk space, to detect a full disk early."""
    file = path.open("w+b")
    try:
        os.posix_fallocate(file.fileno(), 0, 2 * samples)
    except OSError as error:
        file.close()
        free = shutil.disk_usage(path.parent).free
        raise DiskError(
            f"There is no room for the next shard ({error.strerror}): it needs "
            f"{amount_of(2 * samples)}, "
            f"{amount_of(free)} are free.\nIn: {path.parent}\nMake room, and call again."
        ) from error
    return file


def _write_clip(
    store: BinaryIO,
    path: str,
    own_rate: int,
    own_frames: int,
    sample_rate: int,
    frames: int,
    offset: int,
) -> tuple[int, int]:
    """Write one clip block by block; return its checksum and the number of clipped samples.

    Because of rounding, the resampled clip may differ from ``frames`` by one or two samples. It is
    cut or padded with zeros.
    """
    crc = clipped = done = 0

    def put(block: np.ndarray) -> None:
        nonlocal crc, clipped, done
        samples, beyond = to_int16(block[: frames - done])
        data, at = samples.data.cast("B"), 2 * (offset + done)
        while len(data):
            written = os.pwrite(store.fileno(), data, at)
            data, at = data[written:], at + written
        crc, clipped, done = zlib.crc32(samples.data, crc), clipped + beyond, done + len(samples)

    for block in read_blocks(path, sample_rate, own_frames):
        put(block)
    while done < frames:
        put(np.zeros(min(frames - done, BLOCK), np.float32))
    return crc, clipped


def _ahead(
    pool: ThreadPoolExecutor,
    function: Callable[..., Result],
    items: Iterable[tuple],
) -> Generator[Result, None, None]:
    """Yield the results of ``function`` in order, with only a few clips per thread in memory."""
    waiting = []
    try:
        for item in items:
            waiting.append(pool.submit(function, *item))
            if len(waiting) >= 4 * pool._max_workers:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()
    finally:
        for future in waiting:
            future.cancel()
        wait(waiting)
