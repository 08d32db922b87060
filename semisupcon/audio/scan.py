"""Check all files of a table before training, and cache the results.

An unreadable file could otherwise stop a run after days of training. The scan decodes the header and
the last samples (missing in a truncated file; the size of a wav file with PCM proves its length), and
looks for a sound, in the end or in the beginning. In float files the values of all samples are
checked. The results are cached by path, size and modification time.
"""

import io
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
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
# Samples of a mono file in which sound is first looked for. With several channels it is a second,
# because opposite phase shows only in more samples.
_FIRST = 4096
_SHORT = 16_384  # samples; in longer files, seeking is faster than decoding
_ANY_VALUE = ("FLOAT", "DOUBLE")
_MANY = 2000  # a progress bar is shown for more files
_AT_ONCE = 16  # files that a thread checks one after the other
_SAVE_EVERY = 30.0  # seconds


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
            if file.subtype in _ANY_VALUE:
                for _ in file.blocks():
                    pass
            else:
                frames = _heard(file)
            return FileFacts(frames, rate, channels, file.silence)
    except AudioError as error:
        return FileFacts(frames, rate, channels, error.problem)


def _heard(file: AudioFile) -> int:
    """Return the number of decodable samples per channel, and listen for a sound."""
    if file.proved:
        _listen(file)
        return file.frames
    # Of several channels, the beginning tells more about opposite phase than a short end.
    begins = file.channels > 1 or file.frames <= _SHORT
    if begins:
        _listen(file)
    frames = _decodable(file)
    if not begins and file.silence:
        file.seek(0)
        _listen(file)
    return frames


def _listen(file: AudioFile) -> None:
    """Read a file from its position until it is audible, in blocks that grow."""
    count = _FIRST if file.channels == 1 else file.samplerate
    while len(file.read(min(count, file.block))) and file.silence:
        count *= 4


def _decodable(file: AudioFile) -> int:
    """Return the number of decodable samples per channel.

    A few missing samples at the end are tolerated. More raise an AudioError.
    """
    end = max(0, file.frames - _TAIL)
    if file.tell() < end:
        file.seek(end)
    while file.tell() < file.frames and len(file.read(_TAIL)):
        pass
    return file.tell()


def scan(paths: Sequence[str]) -> pd.DataFrame:
    """Check files and return a table of the results; unchanged files are looked up in the cache.

    Args:
        paths: absolute paths.

    Returns:
        A table in the order of ``paths`` with the columns of `FileFacts`.
    """
    with ThreadPoolExecutor(_threads()) as pool:
        stamps = [stamp for part in pool.map(_stamps, _parts(paths, 4096)) for stamp in part]
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


def _threads() -> int:
    return min(32, 4 * (os.cpu_count() or 1))


def _examined(
    paths: list[str], examine: Callable[[str], FileFacts]
) -> Iterator[Sequence[FileFacts]]:
    """Check items in threads, and yield the results in parts, in order."""
    with (
        without_decoder_notes() as real,
        os.fdopen(os.dup(real), "w") as terminal,
        ThreadPoolExecutor(_threads()) as pool,
        tqdm(
            total=len(paths),
            desc="Scanning audio",
            unit="file",
            file=terminal,
            disable=None if len(paths) > _MANY else True,
        ) as bar,
    ):
        futures = [
            pool.submit(lambda part: [examine(path) for path in part], part)
            for part in _parts(paths, _AT_ONCE)
        ]
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
