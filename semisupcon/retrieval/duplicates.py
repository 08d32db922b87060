"""Near-identical pairs of rows, exactly over all pairs, in blocks."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

BLOCK = 2048
KEPT = 100_000  # pairs that wait to be reduced to the best


class Pair(NamedTuple):
    """Two rows, the first below the second, and their similarity."""

    first: int
    second: int
    similarity: float


def near_identical(
    vectors: np.ndarray,
    threshold: float,
    top: int,
    groups: np.ndarray | None = None,
    done: Callable[[int], None] = lambda rows: None,
) -> tuple[list[Pair], int]:
    """Find the pairs of rows whose inner product reaches a threshold.

    Args:
        vectors: ``[n, D]`` float32 of unit length, for instance a memory map.
        threshold: least similarity.
        top: number of pairs that are returned, the most similar first.
        groups: ``[n]`` integers; rows of one group are no pairs.
        done: called with the number of rows compared with all rows after them.

    Returns:
        The most similar pairs, and the number of all pairs that reach the threshold.
    """
    kept = np.zeros((0, 3))
    total, least = 0, threshold
    for start in range(0, len(vectors), BLOCK):
        rows = np.asarray(vectors[start : start + BLOCK])
        for other in range(start, len(vectors), BLOCK):
            found = rows @ np.asarray(vectors[other : other + BLOCK]).T
            first, second = np.nonzero(found >= threshold)
            similarity = found[first, second]
            first, second = first + start, second + other
            pairs = first < second
            if groups is not None:
                pairs &= groups[first] != groups[second]
            total += int(pairs.sum())
            pairs &= similarity >= least
            kept = np.concatenate(
                [kept, np.stack([first[pairs], second[pairs], similarity[pairs]], axis=1)]
            )
            if len(kept) > max(KEPT, 2 * top):
                kept = _best(kept, top)
                least = max(least, kept[-1, 2])
        done(len(rows))
    kept = _best(kept, top)
    return [Pair(int(a), int(b), float(s)) for a, b, s in kept], total


def _best(pairs: np.ndarray, top: int) -> np.ndarray:
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0], -pairs[:, 2]))[:top]]
