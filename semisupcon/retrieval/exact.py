"""The most similar rows of a memory-mapped array, exactly, in blocks."""

import numpy as np

BLOCK_BYTES = 1 << 29  # of vectors that are compared at a time, in one product on all cores


def most_similar(
    vectors: np.ndarray, query: np.ndarray, top: int, leave_out: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows with the largest inner product with a query.

    Args:
        vectors: ``[n, D]`` float32, for instance a memory map; cosine similarity for unit length.
        query: ``[D]``.
        top: number of rows.
        leave_out: ``[m]`` rows that are not returned.

    Returns:
        Rows ``[k]`` int64 and similarities ``[k]`` float32, in falling order; equal similarities by
        row. k is ``top``, or fewer if there are fewer rows.
    """
    query = np.ascontiguousarray(query, np.float32)
    left_out = np.zeros(0, np.int64) if leave_out is None else np.sort(leave_out)
    block = max(1, BLOCK_BYTES // (4 * vectors.shape[1]))
    rows, similarities = np.zeros(0, np.int64), np.zeros(0, np.float32)
    for start in range(0, len(vectors), block):
        found = np.dot(np.asarray(vectors[start : start + block]), query)
        low, high = np.searchsorted(left_out, [start, start + len(found)])
        found[left_out[low:high] - start] = -np.inf
        best = _largest(found, top)
        rows = np.concatenate([rows, start + best])
        similarities = np.concatenate([similarities, found[best]])
        order = np.lexsort((rows, -similarities))[:top]
        rows, similarities = rows[order], similarities[order]
    kept = similarities > -np.inf
    return rows[kept], similarities[kept]


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Positions of the largest values; of equal ones, those that come first."""
    if len(values) <= count:
        return np.arange(len(values))
    # Values above a bound from a sample: far fewer, so that selecting among them is quick.
    step = max(1, len(values) // 4096)
    sample = np.sort(values[::step])
    bound = sample[-min(len(sample), count)]
    candidates = np.flatnonzero(values >= bound)
    order = np.lexsort((candidates, -values[candidates]))[:count]
    return candidates[order]
