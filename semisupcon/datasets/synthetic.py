"""The embedded synthetic set as five tasks, of every label kind (`semisupcon.datasets.synthesis`).

Files: ``audio/NNNN.wav`` and ``labels.csv``; without a root they are rendered into, or read from,
the cache. Split: fixed by the number of the clip; 400 of 600 clips are training, 80 validation and
120 test, with the same number of each instrument. No tag names an instrument or a pitch.
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
_ABOUT = {
    "split": "fixed: 400, 80, 120 clips",
    "licence": "MIT, as this project",
    "source": "rendered when asked for",
}


@card(kind="multiclass", classes=len(INSTRUMENTS), metric="accuracy", **_ABOUT)
def synthetic_instrument(root: Path | None = None) -> LabelledClips:
    """The instrument, one of ten; chance is 10 %.

    Args:
        root: folder of a rendered set; None is the cache, rendered if needed.

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
    """Pitch class of the tonic, the most frequent one of twelve; chance is 8.3 %.

    Argument and errors as `synthetic_instrument`.
    """
    folder, labels = _labels(root, "pitch")
    targets = one_hot(labels["pitch"], PITCHES)
    return LabelledClips(labels, targets, PITCHES, "multiclass", "accuracy", root=folder)


@card(kind="multilabel", classes=len(TAGS), metric="roc_auc", **_ABOUT)
def synthetic_tags(root: Path | None = None) -> LabelledClips:
    """Fourteen tags of the sound. Argument and errors as `synthetic_instrument`."""
    folder, labels = _labels(root, *TAGS)
    table, targets = labels[["path", "split"]], _values(labels, TAGS)
    return LabelledClips(table, targets, TAGS, "multilabel", "roc_auc", root=folder)


@card(kind="binary", classes=1, metric="accuracy", **_ABOUT)
def synthetic_polyphony(root: Path | None = None) -> LabelledClips:
    """Whether chords or single notes are played. Argument and errors as `synthetic_instrument`."""
    folder, labels = _labels(root, "polyphonic")
    targets = _values(labels, ("polyphonic",))
    return LabelledClips(labels, targets, ("polyphonic",), "binary", "accuracy", root=folder)


@card(kind="regression", classes=len(AFFECT), metric="r2", **_ABOUT)
def synthetic_affect(root: Path | None = None) -> LabelledClips:
    """Brightness and activity.

    Brightness: octaves from the tonic to the spectral centroid of the played sound, before room and
    recording. Activity: base-2 logarithm of the onsets per second. Argument and errors as
    `synthetic_instrument`.
    """
    folder, labels = _labels(root, *AFFECT)
    return LabelledClips(labels, _values(labels, AFFECT), AFFECT, "regression", "r2", root=folder)


def _labels(root: Path | None, *columns: str) -> tuple[str, pd.DataFrame]:
    root = render() if root is None else Path(root)
    file = root / LABELS
    if not file.is_file():
        raise DatasetNotFoundError(
            "The labels of the synthetic set",
            file,
            "Without a folder, the set is rendered into the cache.",
        )
    columns = ("path", "split", *columns)
    return str(root), read_table(file, columns)[list(columns)]


def _values(labels: pd.DataFrame, columns: tuple[str, ...]) -> np.ndarray:
    return np.stack([numbers(labels[c]) for c in columns], axis=1).astype(np.float32)
