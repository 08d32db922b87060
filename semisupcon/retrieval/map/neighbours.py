"""The nearest neighbours of every clip by cosine similarity, exactly, in blocks."""

import numpy as np

BLOCK_BYTES = 64 << 20  # of similarities


def nearest(vectors: np.ndarray, count: int, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest neighbours of all rows.

    Args:
        vectors: ``[n, D]`` float32 of unit length.
        count: neighbours of each row.
        spans: ``[n, 2]`` first row and end of the rows that are no neighbours of each row, such as
            the row itself.

    Returns:
        Rows ``[n, k]`` int64 and similarities ``[n, k]`` float32, most similar first; k is at most
        ``count``. A row without enough neighbours has itself instead, with similarity -1.
    """
    import torch

    count = min(count, len(vectors) - 1)
    values = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))
    block = max(1, BLOCK_BYTES // (4 * len(vectors)))
    rows = np.zeros((len(vectors), count), np.int64)
    similarities = np.zeros((len(vectors), count), np.float32)
    for start in range(0, len(vectors), block):
        found = values[start : start + block] @ values.T
        for i, (first, last) in enumerate(spans[start : start + block]):
            found[i, first:last] = -torch.inf
        best = found.topk(count, dim=1)
        rows[start : start + block] = best.indices.numpy()
        similarities[start : start + block] = best.values.numpy()
    missing = ~np.isfinite(similarities)
    rows[missing] = np.nonzero(missing)[0]
    similarities[missing] = -1
    return rows, similarities.clip(-1, 1)
