"""Check all files of a table before training, and cache the results.

An unreadable file could otherwise stop a run after days of training; `semisupcon.audio.examining`
checks one. The results are cached by path, size and modification time.
"""

import io
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from semisupcon.audio.examining import FileFacts, examine
from semisupcon.audio.quiet import without_decoder_notes
from semisupcon.errors import UserError
from semisupcon.files import atomic_path
from semisupcon.paths import cache_folder, system_path
from semisupcon.random import stable_hash

log = logging.getLogger(__name__)
T = TypeVar("T")
COLUMNS = ["frames", "sample_rate", "channels", "problem"]
_MANY = 2000  # a progress bar is shown for more files
_AT_ONCE = 16  # files that a thread checks one after the other
_SAVE_EVERY = 30.0  # seconds


def scan(paths: Sequence[str]) -> pd.DataFrame:
    """Check files and return a table of the results; unchanged files are looked up in the cache.

    Args:
        paths: absolute paths.

    Returns:
        A table in the order of ``paths`` with the columns of `FileFacts`.
    """
    parts = _parts(paths, 1024)
    first, waits = _timed(_stamps, parts[0] if parts else [])
    if waits:
        with ThreadPoolExecutor(_threads(waits)) as pool:
            others = list(pool.map(_stamps, parts[1:]))
    else:
        others = [_stamps(part) for part in parts[1:]]  # threads would only wait for each other
    stamps = [stamp for part in (first, *others) for stamp in part]
    # All paths begin as the first and the last in alphabetical order do.
    ends = [os.path.dirname(of(paths)) for of in (min, max)] if len(paths) else [""]
    common = os.path.commonpath(ends)
    return scan_items(paths, stamps, common, examine)


def scan_items(
    names: Sequence[str],
    stamps: Sequence[str],
    where: str,
    examine: Callable[[str], FileFacts],
) -> pd.DataFrame:
    """Check items by a function, and look up unchanged ones in the cache.

    The cache is written every half minute, so that a scan that is interrupted goes on from there.

    Args:
        names: names of the items, such as paths. Equal names are the same item.
        stamps: texts that change if the content of an item changes.
        where: name of the whole set; each set has a cache file of its own.
        examine: function that checks the item with a name. It runs in threads.

    Returns:
        A table in the order of ``names`` with the columns of `FileFacts`.
    """
    if len(names) == 0:
        return pd.DataFrame({"frames": [], "sample_rate": [], "channels": [], "problem": []})
    now = pd.DataFrame({"path": list(names), "stamp": list(stamps)}, dtype=str)
    store = cache_folder() / f"scan-v2-{stable_hash(where):016x}.parquet"
    known = _load(store)
    places = _places(now, known)
    todo = np.flatnonzero(places < 0)
    if not len(todo):
        return known[COLUMNS].take(places).reset_index(drop=True)
    # Rows of changed items, and items that are listed twice, are kept once.
    todo = todo[~now["path"].iloc[todo].duplicated().to_numpy()]
    kept = known[~known["path"].isin(now["path"].iloc[todo])]
    done: list[FileFacts] = []

    def write() -> pd.DataFrame:
        rows = now.iloc[todo[: len(done)]].reset_index(drop=True)
        table = pd.concat([kept, pd.concat([rows, _table(done)], axis=1)], ignore_index=True)
        _save(table, store)
        return table

    saved = time.monotonic()
    try:
        for part in _examined(now["path"].iloc[todo].tolist(), examine):
            done += part
            if time.monotonic() - saved > _SAVE_EVERY:
                write()
                saved = time.monotonic()
    except BaseException:
        write()
        raise
    table = write()
    return table[COLUMNS].take(_places(now, table)).reset_index(drop=True)


def _places(now: pd.DataFrame, known: pd.DataFrame) -> np.ndarray:
    """Return the row of each item in a table of results; -1 for an unknown or changed item."""
    if len(now) <= len(known) and now["path"].equals(known["path"].iloc[: len(now)]):
        places = np.arange(len(now))  # the usual case: the items of the last scan
    else:
        index = pd.Index(known["path"])
        if not index.is_unique:  # not written by `_save`
            return np.full(len(now), -1)
        places = index.get_indexer(now["path"])
    if len(known):
        same = (known["stamp"].take(places).array == now["stamp"].array) & (places >= 0)
        places = np.where(np.asarray(same, bool), places, -1)
    return places


def _parts(items: Sequence[str], size: int) -> list[Sequence[str]]:
    """Cut a sequence into parts. A future for every item would take longer than most items."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _timed(work: Callable[[Sequence[str]], T], part: Sequence[str]) -> tuple[T, bool]:
    """Return the result of some work, and whether it mostly waited for the disk or a network."""
    begin, busy = time.perf_counter(), time.thread_time()
    result = work(part)
    passed = time.perf_counter() - begin
    return result, passed > 0.01 and passed > 3 * (time.thread_time() - busy)


def _threads(waits: bool) -> int:
    cores = os.cpu_count() or 1
    return min(32, 4 * cores) if waits else cores


def _examined(
    paths: list[str], examine: Callable[[str], FileFacts]
) -> Iterator[Sequence[FileFacts]]:
    """Check items, and yield the results in parts, in order.

    The first part is timed. If it mostly waited, as on network storage, more threads are used than
    there are cores.
    """

    def look(part: Sequence[str]) -> list[FileFacts]:
        return [examine(path) for path in part]

    parts = _parts(paths, _AT_ONCE)
    with (
        without_decoder_notes() as real,
        os.fdopen(os.dup(real), "w") as terminal,
        tqdm(
            total=len(paths),
            desc="Scanning audio",
            unit="file",
            file=terminal,
            disable=None if len(paths) > _MANY else True,
        ) as bar,
    ):
        found, waits = _timed(look, parts[0])
        yield found
        bar.update(len(found))
        with ThreadPoolExecutor(_threads(waits)) as pool:
            futures = [pool.submit(look, part) for part in parts[1:]]
            try:
                for future in futures:
                    yield (found := future.result())
                    bar.update(len(found))
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _stamps(paths: Sequence[str]) -> list[str]:
    return [_stamp(path) for path in paths]


def _stamp(path: str) -> str:
    try:
        status = os.stat(system_path(path))
    except OSError:
        return "absent"
    return f"{status.st_size}-{status.st_mtime_ns}"


def _table(facts: Sequence[FileFacts]) -> pd.DataFrame:
    """Return a table with the columns of `FileFacts`."""
    frames, rates, channels, problems = zip(*facts, strict=True) if facts else ((),) * 4
    numbers = (np.array(values, np.int64) for values in (frames, rates, channels))
    columns = dict(zip(COLUMNS, (*numbers, pd.array(problems, dtype="str")), strict=True))
    return pd.DataFrame(columns)


def _load(store: Path) -> pd.DataFrame:
    columns = ["path", "stamp", *COLUMNS]
    try:
        # Another process may replace the file between two reads of a parquet reader.
        found = pd.read_parquet(io.BytesIO(store.read_bytes()))[columns].astype({"problem": str})
        return found.astype({"frames": np.int64, "sample_rate": np.int64, "channels": np.int64})
    except Exception as error:  # if the cache is damaged, the files are checked again
        if os.path.exists(store):
            log.warning("The scan cache %s cannot be read (%s); scanning again.", store, error)
        texts = pd.DataFrame({"path": [], "stamp": []}, dtype=str)
        return pd.concat([texts, _table([])], axis=1)


def _save(table: pd.DataFrame, store: Path) -> None:
    try:
        with atomic_path(store) as partial:
            table.to_parquet(partial)
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
