"""The embedded synthetic set as five tasks, of every label kind (see `semisupcon.datasets.synthesis`).

Files: ``audio/NNNN.wav`` and ``labels.csv``; without a root they are rendered into, or read from, the cache. Split: fixed by the number of
the clip; of 600 clips 400 train, 80 validate and 120 test, the same number of each instrument. No tag names an instrument or a pitch.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.parsing.labels import numbers, one_hot
from semisupcon.datasets.parsing.reading import read_table
from semisupcon.datasets.synthesis import INSTRUMENTS, LABELS, PITCHES, TAGS, render
from semisupcon.errors import DatasetNotFoundError

AFFECT = ("brightness", "activity")
_ABOUT = {"split": "fixed: 400, 80, 120 clips", "licence": "MIT, as this project", "source": "rendered when asked for"}


@card(kind="multiclass", classes=len(INSTRUMENTS), metric="accuracy", **_ABOUT)
def synthetic_instrument(root: Path | None = None) -> LabelledClips:
    """Which of ten instruments plays; chance is 10 %.

    Args:
        root: folder of a rendered set; None is the cache, rendered if need be.

    Raises:
        DatasetNotFoundError: if a given root holds no labels.
        AnnotationError: if its labels cannot be read.
    """
    folder, labels = _labels(root, "instrument")
    classes = tuple(INSTRUMENTS)
    targets = one_hot(labels["instrument"], classes)
    return LabelledClips(labels, targets, classes, "multiclass", "accuracy", root=folder)


@card(kind="multiclass", classes=len(PITCHES), metric="accuracy", **_ABOUT)
def synthetic_pitch(root: Path | None = None) -> LabelledClips:
    """Which of twelve pitch classes is the tonic, which sounds most; chance is 8.3 %. Argument and errors as `synthetic_instrument`."""
    folder, labels = _labels(root, "pitch")
    targets = one_hot(labels["pitch"], PITCHES)
    return LabelledClips(labels, targets, PITCHES, "multiclass", "accuracy", root=folder)


@card(kind="multilabel", classes=len(TAGS), metric="roc_auc", **_ABOUT)
def synthetic_tags(root: Path | None = None) -> LabelledClips:
    """What the clip sounds like, in fourteen tags. Argument and errors as `synthetic_instrument`."""
    folder, labels = _labels(root, *TAGS)
    table, targets = labels[["path", "split"]], _values(labels, TAGS)
    return LabelledClips(table, targets, TAGS, "multilabel", "roc_auc", root=folder)


@card(kind="binary", classes=1, metric="accuracy", **_ABOUT)
def synthetic_polyphony(root: Path | None = None) -> LabelledClips:
    """Whether chords are played, rather than one note at a time. Argument and errors as `synthetic_instrument`."""
    folder, labels = _labels(root, "polyphonic")
    targets = _values(labels, ("polyphonic",))
    return LabelledClips(labels, targets, ("polyphonic",), "binary", "accuracy", root=folder)


@card(kind="regression", classes=len(AFFECT), metric="r2", **_ABOUT)
def synthetic_affect(root: Path | None = None) -> LabelledClips:
    """Brightness (octaves from the tonic up to the spectral centroid of what is played, before room and recording) and activity (base-2
    logarithm of the onsets a second). Argument and errors as `synthetic_instrument`."""
    folder, labels = _labels(root, *AFFECT)
    return LabelledClips(labels, _values(labels, AFFECT), AFFECT, "regression", "r2", root=folder)


def _labels(root: Path | None, *columns: str) -> tuple[str, pd.DataFrame]:
    root = render() if root is None else Path(root)
    file = root / LABELS
    if not file.is_file():
        raise DatasetNotFoundError("The labels of the synthetic set", file, "Give no folder, and the set renders itself into the cache.")
    columns = ("path", "split", *columns)
    return str(root), read_table(file, columns)[list(columns)]


def _values(labels: pd.DataFrame, columns: tuple[str, ...]) -> np.ndarray:
    return np.stack([numbers(labels[c]) for c in columns], axis=1).astype(np.float32)
