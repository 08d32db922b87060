"""The embedded synthetic data set, as five tasks that cover all label kinds.

The set is rendered by `semisupcon.datasets.synthesis`. Files: ``audio/NNNN.wav`` and
``labels.csv``. If no root is given, they are in the cache folder, and are rendered if they do not
exist. Split: determined by the number of the clip. Of 600 clips, 400 are training, 80 validation
and 120 test, with the same number of clips of each instrument. Tags do not name instruments or
pitches.
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
    """Load the synthetic set with the instrument as the class, one of ten (chance level 10 %).

    Args:
        root: folder of a rendered set. None uses the cache folder, and renders the set if needed.

    Raises:
        DatasetNotFoundError: if the root has no labels.
        AnnotationError: if the labels cannot be read.
    """
    folder, labels = _labels(root, "instrument")
    classes = tuple(INSTRUMENTS)
    targets = one_hot(labels["instrument"], classes)
    return LabelledClips(labels, targets, classes, "multiclass", "accuracy", root=folder)


@card(kind="multiclass", classes=len(PITCHES), metric="accuracy", **_ABOUT)
def synthetic_pitch(root: Path | None = None) -> LabelledClips:
    """Load the synthetic set with the pitch class of the tonic as the class.

    The tonic is the most frequent of the twelve pitch classes. The chance level is 8.3 %. Arguments
    and errors are those of `synthetic_instrument`.
    """
    folder, labels = _labels(root, "pitch")
    targets = one_hot(labels["pitch"], PITCHES)
    return LabelledClips(labels, targets, PITCHES, "multiclass", "accuracy", root=folder)


@card(kind="multilabel", classes=len(TAGS), metric="roc_auc", **_ABOUT)
def synthetic_tags(root: Path | None = None) -> LabelledClips:
    """Load the synthetic set with 14 tags of the sound; arguments as in `synthetic_instrument`."""
    folder, labels = _labels(root, *TAGS)
    table, targets = labels[["path", "split"]], _values(labels, TAGS)
    return LabelledClips(table, targets, TAGS, "multilabel", "roc_auc", root=folder)


@card(kind="binary", classes=1, metric="accuracy", **_ABOUT)
def synthetic_polyphony(root: Path | None = None) -> LabelledClips:
    """Load the synthetic set with a binary label: whether chords are played.

    Arguments and errors are those of `synthetic_instrument`.
    """
    folder, labels = _labels(root, "polyphonic")
    targets = _values(labels, ("polyphonic",))
    return LabelledClips(labels, targets, ("polyphonic",), "binary", "accuracy", root=folder)


@card(kind="regression", classes=len(AFFECT), metric="r2", **_ABOUT)
def synthetic_affect(root: Path | None = None) -> LabelledClips:
    """Load the synthetic set with brightness and activity as regression targets.

    Brightness is the distance in octaves from the tonic to the spectral centroid of the sound
    before room and recording. Activity is the base-2 logarithm of the number of onsets per second.
    Arguments and errors are those of `synthetic_instrument`.
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
