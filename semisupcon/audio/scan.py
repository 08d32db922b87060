"""Check all files of a table before training, and cache the results.

An unreadable file could otherwise stop a run after days of training. The scan decodes the header,
the last samples (missing in a truncated file) and the beginning up to the first audible samples
(missing in a silent file). In float files it checks the values of all samples. The results are
cached by path, size and modification time.
"""

import logging
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from semisupcon.audio.decoding import AudioFile
from semisupcon.audio.opening import open_audio
from semisupcon.audio.quiet import without_decoder_notes
from semisupcon.errors import AudioError, UserError
from semisupcon.files import atomic_path
from semisupcon.paths import cache_folder, system_path
from semisupcon.random import stable_hash

log = logging.getLogger(__name__)
COLUMNS = ["frames", "sample_rate", "channels", "problem"]
_TAIL = 4096
_ANY_VALUE = ("FLOAT", "DOUBLE")
_MANY = 2000  # a progress bar is shown for more files


class FileFacts(NamedTuple):
    """Result of checking one file.

    ``frames`` is the number of decodable samples per channel, ``sample_rate`` is in Hz. ``problem``
    is the reason why the file cannot be used, "" for a usable file.
    """

    frames: int
    sample_rate: int
    channels: int
    problem: str


def examine(path: str) -> FileFacts:
    """Check one file. Problems of the file are returned and do not raise errors."""
    frames = rate = channels = 0
    try:
        with open_audio(path) as file:
            frames, rate, channels = file.frames, file.samplerate, file.channels
            if file.subtype not in _ANY_VALUE:
                frames = _decodable(file)
            file.seek(0)
            for _ in file.blocks():
                if not file.silence and file.subtype not in _ANY_VALUE:
                    break
            return FileFacts(frames, rate, channels, file.silence)
    except AudioError as error:
        return FileFacts(frames, rate, channels, error.problem)


def _decodable(file: AudioFile) -> int:
    """Return the number of decodable samples per channel.

    A few missing samples at the end are tolerated. More raise an AudioError.
    """
    tail = min(file.frames, _TAIL)
    file.seek(file.frames - tail)
    return file.frames - tail + len(file.read(tail))


def scan(paths: Sequence[str]) -> pd.DataFrame:
    """Check files and return a table of the results; unchanged files are looked up in the cache.

    Args:
        paths: absolute paths.

    Returns:
        A table in the order of ``paths`` with the columns of `FileFacts`.
    """
    with ThreadPoolExecutor(_threads()) as pool:
        stamps = list(pool.map(_stamp, paths))
    common = os.path.commonpath([os.path.dirname(p) for p in paths]) if len(paths) else ""
    return scan_items(paths, stamps, common, examine)


def scan_items(
    names: Sequence[str],
    stamps: Sequence[str],
    where: str,
    examine: Callable[[str], FileFacts],
) -> pd.DataFrame:
    """Check items by a function, and look up unchanged ones in the cache.

    Args:
        names: unique names of the items, such as paths.
        stamps: texts that change if the content of an item changes.
        where: name of the whole set; each set has a cache file of its own.
        examine: function that checks the item with a name. It runs in threads.

    Returns:
        A table in the order of ``names`` with the columns of `FileFacts`.
    """
    if len(names) == 0:
        return pd.DataFrame({"frames": [], "sample_rate": [], "channels": [], "problem": []})
    now = pd.DataFrame({"path": list(names), "stamp": list(stamps)})
    store = cache_folder() / f"scan-v2-{stable_hash(where):016x}.parquet"
    known = _load(store)
    fresh = now.drop_duplicates().merge(known, how="left", on=["path", "stamp"])
    unknown = fresh["problem"].isna()
    if unknown.any():
        todo = fresh.loc[unknown, "path"].tolist()
        with ThreadPoolExecutor(_threads()) as pool:
            fresh.loc[unknown, COLUMNS] = pd.DataFrame(
                _examine_all(todo, examine, pool),
                columns=COLUMNS,
                index=fresh.index[unknown],
            )
        _save(pd.concat([known[~known["path"].isin(fresh["path"])], fresh]), store)
    facts = fresh.set_index("path").loc[list(names), COLUMNS].reset_index(drop=True)
    return facts.astype({"frames": np.int64, "sample_rate": np.int64, "channels": np.int64})


def _threads() -> int:
    return min(32, 4 * (os.cpu_count() or 1))


def _examine_all(
    paths: list[str], examine: Callable[[str], FileFacts], pool: ThreadPoolExecutor
) -> list[FileFacts]:
    with without_decoder_notes() as real, os.fdopen(os.dup(real), "w") as terminal:
        hidden = None if len(paths) > _MANY else True
        return list(
            tqdm(
                pool.map(examine, paths),
                total=len(paths),
                desc="Scanning audio",
                unit="file",
                file=terminal,
                disable=hidden,
            )
        )


def _stamp(path: str) -> str:
    try:
        status = os.stat(system_path(path))
    except OSError:
        return "absent"
    return f"{status.st_size}-{status.st_mtime_ns}"


def _load(store: Path) -> pd.DataFrame:
    columns = ["path", "stamp", *COLUMNS]
    try:
        return pd.read_parquet(store)[columns]
    except Exception as error:  # if the cache is damaged, the files are checked again
        if os.path.exists(store):
            log.warning("The scan cache %s cannot be read (%s); scanning again.", store, error)
        return pd.DataFrame({column: pd.Series(dtype=object) for column in columns})


def _save(table: pd.DataFrame, store: Path) -> None:
    try:
        with atomic_path(store) as partial:
            table.astype(
                {"frames": np.int64, "sample_rate": np.int64, "channels": np.int64},
            ).to_parquet(partial)
    except UserError as error:
        log.warning(
            "%s The cache is not saved, so the next run scans the audio again. SEMISUPCON_CACHE "
            "sets another folder for it.",
            error,
        )


def usable(names: Sequence[str], facts: pd.DataFrame, max_bad: float, where: str) -> np.ndarray:
    """Return a mask ``[n]`` (bool) of the usable files, and log the other files.

    Args:
        names: names of the n files, for messages.
        facts: the result of `scan`.
        max_bad: maximum share of unusable files, 0 to 1. One unusable file is always allowed.
        where: folder of the files, for messages.

    Raises:
        UserError: if more files are unusable. The message has their number and the first five.
    """
    bad = (facts["problem"] != "").to_numpy()
    if not bad.any():
        return ~bad
    listed = [
        f"{name} ({problem})"
        for name, problem in zip(np.asarray(names)[bad], facts["problem"][bad], strict=True)
    ]
    first = "; ".join(listed[:5]) + ("; ..." if len(listed) > 5 else "")
    told = f"{len(listed)} of {len(bad)} audio files cannot be used: {first}"
    if len(listed) > max(1, math.floor(max_bad * len(bad))):
        raise UserError(
            f"{told}\nIn: {where}\nReplace or remove them, or allow a greater share than "
            f"{max_bad:g} with data.max_bad.",
        )
    log.warning("%s (in %s). They are left out.", told, where)
    for line in listed[5:]:
        log.info("Left out: %s", line)
    return ~bad
