"""Rows of predictions: one per file or window and label."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from semisupcon.labelling.tagger import Tagger
from semisupcon.labelling.windows import Windows


class FileRows(NamedTuple):
    """Predicted labels of one file, n rows.

    Attributes:
        file: its name.
        seconds: its length, with its last rows; 0 with others.
        starts, ends: seconds, ``[n]``.
        labels: n names of classes or values.
        values: probabilities, or predicted values, ``[n]`` float32.
    """

    file: str
    seconds: float
    starts: np.ndarray
    ends: np.ndarray
    labels: list[str]
    values: np.ndarray

    def lines(self) -> Iterator[tuple[str, float, float, str, float]]:
        """Yield file, begin, end, label and value of every row."""
        columns = (self.starts.tolist(), self.ends.tolist(), self.labels, self.values.tolist())
        for start, end, label, value in zip(*columns, strict=True):
            yield self.file, start, end, label, value


def columns_of(kind: str) -> tuple[str, ...]:
    """Columns of a table of predictions."""
    return ("file", "start", "end", "label", "value" if kind == "regression" else "probability")


@lru_cache(maxsize=1)
def _times(windows: Windows, samples: int) -> tuple[np.ndarray, np.ndarray]:
    return windows.times(samples)


def rows_of(
    file: str,
    scores: np.ndarray,
    samples: int,
    sample_rate: int,
    windows: Windows | None,
    tagger: Tagger,
    every: bool = False,
    threshold: float | None = None,
    first: int = 0,
    last: bool = True,
) -> FileRows:
    """Rows of one file, or of some of its windows.

    Args:
        file: name of the file.
        scores: ``[k, C]`` of k windows, or of the file (k is 1).
        samples: length of the file at ``sample_rate`` (Hz).
        sample_rate: of the encoder.
        windows: None for the whole file.
        tagger: the head.
        every, threshold: see `Tagger.selected`.
        first: number of the first of the k windows.
        last: whether these are the last windows of the file.
    """
    seconds = round(samples / sample_rate, 6)
    starts, ends = np.zeros(1), np.array([seconds])
    if windows is not None:
        starts, ends = (t[first : first + len(scores)] for t in _times(windows, samples))
    rows, columns = tagger.selected(scores, every, threshold)
    return FileRows(
        file,
        seconds if last else 0.0,
        starts[rows],
        ends[rows],
        [tagger.classes[c] for c in columns.tolist()],
        scores[rows, columns],
    )
