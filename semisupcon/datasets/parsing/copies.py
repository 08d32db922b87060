"""Files that are the same recording twice: links to one file, one name in several formats, the same bytes under another name.

Of such files one is used. Else the copy of a validation clip could be trained on, and copies would be each other's negatives. Copies that
were encoded, cut or resampled anew under another name are found by ``data check`` (`semisupcon.audio.fingerprints`).
"""

import os
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b, file_digest

import numpy as np

from semisupcon.datasets.parsing.names import folded, place_of, stem
from semisupcon.files import AUDIO_SUFFIXES, system_path

_SAMPLE = 4096  # bytes from the middle of a file, compared before the whole


def copies(paths: Sequence[str]) -> np.ndarray:
    """Which files are the same recording.

    Args:
        paths: n absolute paths. Files that are not there, or may not be read, are compared by name only.

    Returns:
        ``[n]`` int: for each file the position of the first that is the same recording, its own where there is none before it.
    """
    first = np.arange(len(paths))

    def join(groups: Iterable[list[int]]) -> None:
        for group in groups:
            roots = {_root(first, i) for i in group}
            for root in roots:
                first[root] = min(roots)

    with ThreadPoolExecutor(min(32, 4 * (os.cpu_count() or 1))) as pool:
        facts = list(pool.map(_identity, paths))
        join(_groups(enumerate(fact[:2] if fact else path for fact, path in zip(facts, paths, strict=True))))
        join(_groups((i, os.path.splitext(path)[0]) for i, path in enumerate(paths)))
        join(_of_other_formats(group, paths) for group in _groups((i, _name(path)) for i, path in enumerate(paths)))
        alike: list[tuple[int, Hashable]]
        alike = [(i, fact[2]) for i, fact in enumerate(facts) if fact and fact[2] and first[i] == i]
        for look in (_middle, _digest):
            alike = [(i, fact) for group in _groups(alike, keep_fact=True) for i, fact in group]
            looks = pool.map(look, [paths[i] for i, _ in alike])
            alike = [(i, (fact, seen)) for (i, fact), seen in zip(alike, looks, strict=True) if seen]
        join(_groups(alike))
    return np.array([_root(first, i) for i in range(len(paths))], dtype=np.int64)


def one_of_each(
    paths: Sequence[str], names: Sequence[str], rank: Sequence[int] | None = None, apart: Sequence[Hashable] | None = None
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Which of the files to use, so that each recording is used once.

    Args:
        paths: n absolute paths.
        names: their paths relative to the data set, so that the choice does not depend on where it lies.
        rank: of copies the file of the least rank is used; then the first format of `AUDIO_SUFFIXES`, the fewest folders, the first name.
        apart: files that differ in this (their class) are no copies of each other.

    Returns:
        ``[n]`` bool, and for each file not used its position and that of the file that is used in its place.
    """
    best = [(rank[i] if rank is not None else 0, _format(name), name.count("/"), name, i) for i, name in enumerate(names)]
    kept: dict[Hashable, int] = {}
    groups = list(zip(copies(paths).tolist(), apart if apart is not None else [None] * len(paths), strict=True))
    for i, group in enumerate(groups):
        if group not in kept or best[i] < best[kept[group]]:
            kept[group] = i
    left_out = [(i, kept[group]) for i, group in enumerate(groups) if kept[group] != i]
    used = np.ones(len(paths), bool)
    used[[i for i, _ in left_out]] = False
    return used, left_out


def told(left_out: Sequence[tuple[int, int]], names: Sequence[str], most: int = 3) -> str:
    """The sentence about files that are copies."""
    shown = "; ".join(f"{names[i]} of {names[j]}" for i, j in left_out[:most]) + ("; ..." if len(left_out) > most else "")
    return f"{len(left_out)} file{'s are copies' if len(left_out) > 1 else ' is a copy'} of others and left out ({shown})."


def _root(first: np.ndarray, i: int) -> int:
    while first[i] != i:
        i = int(first[i])
    return i


def _groups(items: Iterable[tuple[int, Hashable]], keep_fact: bool = False) -> list[list]:
    """The positions that share a fact, two or more."""
    by_fact: dict[Hashable, list] = defaultdict(list)
    for i, fact in items:
        by_fact[fact].append((i, fact) if keep_fact else i)
    return [group for group in by_fact.values() if len(group) > 1]


def _name(path: str) -> tuple[tuple[str, ...], str]:
    """The place and the name of a file without what says a format, as `semisupcon.datasets.parsing.finding` compares them."""
    return place_of(os.path.dirname(path)), folded(stem(path))


def _of_other_formats(group: list[int], paths: Sequence[str]) -> list[int]:
    """The group, where no two of its files have the same format: ``mp3/a.mp3`` and ``wav/a.wav``, but not ``A.wav`` and ``a.wav``."""
    return group if len({_format(paths[i]) for i in group}) == len(group) else []


def _format(path: str) -> int:
    suffix = os.path.splitext(path)[1].lower()
    return AUDIO_SUFFIXES.index(suffix) if suffix in AUDIO_SUFFIXES else len(AUDIO_SUFFIXES)


def _identity(path: str) -> tuple[int, int, int] | None:
    """Device, inode and size."""
    try:
        status = os.stat(system_path(path))
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size


def _middle(path: str) -> bytes:
    try:
        with open(system_path(path), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size // 2 - _SAMPLE // 2))
            return blake2b(file.read(_SAMPLE), digest_size=16).digest()
    except OSError:
        return b""


def _digest(path: str) -> bytes:
    try:
        with open(system_path(path), "rb") as file:
            return file_digest(file, lambda: blake2b(digest_size=16)).digest()
    except OSError:
        return b""
