"""Find copies of a recording and choose one file of each recording.

Copies are links, files of the same name in several formats, and files with equal bytes. Only one
copy is used. Otherwise a copy of a validation clip could be used for training, and copies would be
negatives of each other. ``semisupcon data check`` also finds copies that have another name and were
encoded, cut or resampled (`semisupcon.audio.fingerprints`).
"""

import os
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b, file_digest

import numpy as np

from semisupcon.datasets.parsing.names import folded, place_of, stem
from semisupcon.paths import AUDIO_SUFFIXES, system_path

_SAMPLE = 4096  # bytes from the middle of files, compared before whole files


def copies(paths: Sequence[str]) -> np.ndarray:
    """Find out which files are copies of the same recording.

    Args:
        paths: n absolute paths. Missing and unreadable files are compared only by name.

    Returns:
        ``[n]`` int, the index of the first file with the same recording as each file.
    """
    first = np.arange(len(paths))

    def join(groups: Iterable[list[int]]) -> None:
        for group in groups:
            roots = {_root(first, i) for i in group}
            for root in roots:
                first[root] = min(roots)

    with ThreadPoolExecutor(min(32, 4 * (os.cpu_count() or 1))) as pool:
        facts = list(pool.map(_identity, paths))
        join(
            _groups(
                enumerate(
                    fact[:2] if fact else path for fact, path in zip(facts, paths, strict=True)
                ),
            ),
        )
        join(_groups((i, os.path.splitext(path)[0]) for i, path in enumerate(paths)))
        join(
            _of_other_formats(group, paths)
            for group in _groups((i, _name(path)) for i, path in enumerate(paths))
        )
        alike: list[tuple[int, Hashable]]
        alike = [(i, fact[2]) for i, fact in enumerate(facts) if fact and fact[2] and first[i] == i]
        for look in (_middle, _digest):
            alike = [(i, fact) for group in _groups(alike, keep_fact=True) for i, fact in group]
            looks = pool.map(look, [paths[i] for i, _ in alike])
            alike = [
                (i, (fact, seen)) for (i, fact), seen in zip(alike, looks, strict=True) if seen
            ]
        join(_groups(alike))
    return np.array([_root(first, i) for i in range(len(paths))], dtype=np.int64)


def one_of_each(
    paths: Sequence[str],
    names: Sequence[str],
    rank: Sequence[int] | None = None,
    apart: Sequence[Hashable] | None = None,
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Choose one file of each recording.

    Args:
        paths: n absolute paths.
        names: paths relative to the root of the data set. The choice depends on them, and thus not
            on the location of the data set.
        rank: number for each file; among copies, the file with the lowest number is chosen. Ties
            are resolved by the order of formats in `AUDIO_SUFFIXES`, the number of folders, and the
            name.
        apart: value for each file, such as its class. Files with different values do not count as
            copies.

    Returns:
        A mask ``[n]`` (bool) of the chosen files, and pairs (index of a left-out file, index of the
        chosen copy).
    """
    best = [
        (rank[i] if rank is not None else 0, _format(name), name.count("/"), name, i)
        for i, name in enumerate(names)
    ]
    kept: dict[Hashable, int] = {}
    groups = list(
        zip(
            copies(paths).tolist(),
            apart if apart is not None else [None] * len(paths),
            strict=True,
        )
    )
    for i, group in enumerate(groups):
        if group not in kept or best[i] < best[kept[group]]:
            kept[group] = i
    left_out = [(i, kept[group]) for i, group in enumerate(groups) if kept[group] != i]
    used = np.ones(len(paths), bool)
    used[[i for i, _ in left_out]] = False
    return used, left_out


def told(left_out: Sequence[tuple[int, int]], names: Sequence[str], most: int = 3) -> str:
    """Return a sentence that lists left-out copies."""
    shown = "; ".join(f"{names[i]} of {names[j]}" for i, j in left_out[:most]) + (
        "; ..." if len(left_out) > most else ""
    )
    return f"{len(left_out)} file{'s are copies' if len(left_out) > 1 else ' is a copy'} of others and left out ({shown})."


def _root(first: np.ndarray, i: int) -> int:
    while first[i] != i:
        i = int(first[i])
    return i


def _groups(items: Iterable[tuple[int, Hashable]], keep_fact: bool = False) -> list[list]:
    """Return groups of two or more indices with equal values."""
    by_fact: dict[Hashable, list] = defaultdict(list)
    for i, fact in items:
        by_fact[fact].append((i, fact) if keep_fact else i)
    return [group for group in by_fact.values() if len(group) > 1]


def _name(path: str) -> tuple[tuple[str, ...], str]:
    """Return folder and name of a file for comparison, without words that describe its format.

    Such words are, for example, ``AudioWAV`` or ``mp3`` in the names of folders.
    """
    return place_of(os.path.dirname(path)), folded(stem(path))


def _of_other_formats(group: list[int], paths: Sequence[str]) -> list[int]:
    """Return the group if all its files have different formats, otherwise an empty list.

    ``mp3/a.mp3`` and ``wav/a.wav`` are a group, ``A.wav`` and ``a.wav`` are not.
    """
    return group if len({_format(paths[i]) for i in group}) == len(group) else []


def _format(path: str) -> int:
    suffix = os.path.splitext(path)[1].lower()
    return AUDIO_SUFFIXES.index(suffix) if suffix in AUDIO_SUFFIXES else len(AUDIO_SUFFIXES)


def _identity(path: str) -> tuple[int, int, int] | None:
    """Return device, inode and size of a file; None if it does not exist."""
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
