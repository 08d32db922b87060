"""Approximate search in large indices with faiss: vectors are grouped around centres (IVF; Jégou et
al. 2011), kept in one byte a value, and only the groups nearest to a query are compared.

The best candidates are compared again with the exact vectors, so that similarities are exact and
only hits can be missed.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semisupcon.errors import UserError
from semisupcon.retrieval.exact import most_similar

if TYPE_CHECKING:
    from semisupcon.retrieval.index import Index

FROM_ROWS = 1_000_000  # larger indices get an approximate index if faiss is installed
PROBED, AGAIN = 128, 20  # groups per query; candidates per hit that are compared exactly
TRAINING, ITERATIONS = 40, 10  # vectors per centre, rounds of k-means
BLOCK = 1 << 16


def groups_for(rows: int) -> int:
    """Number of groups for a number of vectors: 2 sqrt(n), with at least 40 vectors each."""
    return max(1, min(round(2 * math.sqrt(rows)), rows // 40))


def build(vectors: np.ndarray, path: Path) -> None:
    """Group vectors ``[n, D]`` of unit length and write the groups to a file.

    Raises:
        UserError: if faiss is not installed.
    """
    faiss = package()
    count = groups_for(len(vectors))
    graph = faiss.index_factory(vectors.shape[1], f"IVF{count},SQ8", faiss.METRIC_INNER_PRODUCT)
    graph.cp.seed, graph.cp.niter = 0, ITERATIONS
    rows = np.unique(
        np.linspace(0, len(vectors) - 1, min(len(vectors), TRAINING * count)).astype(np.int64)
    )
    graph.train(np.ascontiguousarray(vectors[rows]))
    for start in range(0, len(vectors), BLOCK):
        graph.add(np.ascontiguousarray(vectors[start : start + BLOCK]))
    faiss.write_index(graph, str(path))


class Graph:
    """An approximate index that was read.

    Args:
        index: the index it belongs to.
        path: its file.

    Raises:
        UserError: if faiss is not installed, or the file does not belong to the index.
    """

    def __init__(self, index: "Index", path: Path):
        faiss = package()
        self._vectors = index.vectors
        try:
            self._graph: Any = faiss.read_index(str(path))
        except RuntimeError as error:
            raise UserError(f"{path} cannot be read by faiss.\nGive --method exact.") from error
        if (self._graph.ntotal, self._graph.d) != self._vectors.shape:
            raise UserError(f"{path} does not belong to its index.\nGive --method exact.")

    def most_similar(
        self, query: np.ndarray, top: int, leave_out: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `semisupcon.retrieval.exact.most_similar`, but may miss rows."""
        self._graph.nprobe = PROBED
        left_out = np.zeros(0, np.int64) if leave_out is None else leave_out
        wanted = min(len(self._vectors), AGAIN * top + len(left_out))
        _, found = self._graph.search(np.ascontiguousarray(query, np.float32)[None], wanted)
        rows = np.setdiff1d(found[0][(found[0] >= 0) & (found[0] < len(self._vectors))], left_out)
        best, similarities = most_similar(self._vectors[rows], query, top)
        return rows[best], similarities


def package() -> Any:
    """The module faiss.

    Raises:
        UserError: if it is not installed.
    """
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise UserError(
            "Approximate search needs a package: pip install faiss-cpu (or semisupcon[search]), or "
            "give --method exact."
        ) from error
    return faiss
