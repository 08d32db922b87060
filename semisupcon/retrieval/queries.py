"""Queries on an index: the mean of examples, and hits by window or by file."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from semisupcon.errors import UserError
from semisupcon.retrieval.exact import most_similar
from semisupcon.retrieval.index import Index

Finder = Callable[[np.ndarray, int, np.ndarray], tuple[np.ndarray, np.ndarray]]


class Hit(NamedTuple):
    """A row similar to a query: cosine similarity, file, begin and end in seconds."""

    similarity: float
    file: str
    start: float
    end: float


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows ``[..., D]`` scaled to unit length as float32; zero rows stay zero."""
    length = np.linalg.norm(rows.astype(np.float64), axis=-1, keepdims=True)
    return (rows / np.where(length > 0, length, 1)).astype(np.float32)


def mean_of(examples: Sequence[np.ndarray]) -> np.ndarray:
    """One query ``[D]`` from examples: the mean of their directions, scaled to unit length.

    Args:
        examples: rows ``[n, D]`` or ``[D]`` of each example; all examples count alike.

    Raises:
        UserError: if the mean is zero.
    """
    means = [unit(np.atleast_2d(rows)).mean(axis=0, dtype=np.float64) for rows in examples]
    query = unit(unit(np.stack(means)).mean(axis=0, dtype=np.float64))
    if not np.any(query):
        raise UserError("The mean embedding of the query is zero, so nothing is similar to it.")
    return query


def rows_of(index: Index, file: int, at: float | None = None) -> np.ndarray:
    """Rows ``[n, D]`` of a file of an index; with a time, the one whose centre is nearest to it.

    Args:
        index: the index.
        file: number of the file.
        at: seconds.

    Raises:
        UserError: if the time lies outside the file.
    """
    first, last = index.first_rows[file : file + 2]
    if at is None:
        return np.asarray(index.vectors[first:last])
    starts, ends = index.times(file)
    if not 0 <= at <= ends[-1]:
        raise UserError(
            f"--at must lie within {index.entries[file].file}, which ends at {ends[-1]:g} s, got "
            f"{at:g}."
        )
    nearest = int(np.abs((starts + ends) / 2 - at).argmin())
    return np.asarray(index.vectors[first + nearest])[None]


def best_hits(
    index: Index,
    query: np.ndarray,
    top: int = 10,
    by: str = "window",
    without: Sequence[int] = (),
    find: Finder | None = None,
) -> list[Hit]:
    """Return the most similar rows of an index.

    Args:
        index: the index.
        query: ``[D]`` of unit length; see `mean_of`.
        top: number of hits.
        by: "window" for rows, "file" for the best row of each file.
        without: numbers of files that are left out.
        find: function that finds rows; None is `most_similar` on the vectors of the index.
    """
    if len(query) != index.vectors.shape[1]:
        raise UserError(
            f"The query has {len(query)} values, the vectors of the index {index.vectors.shape[1]}."
        )

    def exact(query: np.ndarray, top: int, out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return most_similar(index.vectors, query, top, out)

    spans = [np.arange(*index.first_rows[file : file + 2]) for file in without]
    out = np.concatenate([np.zeros(0, np.int64), *spans])
    wanted = top
    while True:
        rows, similarities = (find or exact)(query, wanted, out)
        files = index.files_of(rows)
        kept = np.arange(len(rows))
        if by == "file":
            kept = np.sort(np.unique(files, return_index=True)[1])
        if len(kept) >= top or len(rows) < wanted or wanted >= len(index.vectors):
            break
        wanted *= 4
    return [Hit(float(similarities[i]), *index.place(int(rows[i]))) for i in kept[:top]]
