"""Rendered scores: 12,000 clips of 10 s that this project renders from scores of music21.

Where: `python -m benchmarks.scores build --out DIR`, in a clone of the project, parses scores that
the package music21 installs (https://www.music21.org) and plays them with a General MIDI soundfont
(docs/scores.md). Licence: of the scores and of the soundfont, listed in the file LICENSES.md of the
folder. Files: ``labels.csv`` and ``audio/*.flac``. Split: 70, 10 and 20 % by hash of the group of
pieces; a group has the pieces that share a title, an opening melody or a work. Four tasks:

- ``scores_tags``: instrument families with at least four notes in the clip, with drums 17.
  Metrics: ROC-AUC, mAP.
- ``scores_key``: 24 keys. A clip is labelled if the annotation of the score, the analysis of the
  piece and the analysis of the clip agree. Metrics: accuracy, mirex_weighted. Classes: `keys.KEYS`.
- ``scores_density``: log2 of the number of note onsets per second. Metric: R2.
- ``scores_genre``: six genres. Clips of other genres are unlabelled. Metric: accuracy.
"""

from pathlib import Path

import pandas as pd

from semisupcon.datasets.base import SPLITS, LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.keys import KEYS
from semisupcon.datasets.parsing.labels import multi_hot, numbers, one_hot
from semisupcon.datasets.parsing.reading import place, read_table
from semisupcon.errors import AnnotationError, DatasetNotFoundError

COMMAND = "python -m benchmarks.scores build --out"
FAMILIES = (
    "accordion", "bowed", "brass", "choir", "drums", "electric piano", "ensemble", "flute",
    "guitar", "harpsichord", "lead", "mallets", "organ", "overdriven", "piano", "plucked", "reed",
)  # fmt: skip
GENRES = ("chorale", "hornpipe", "jig", "reel", "slip jig", "trecento")
# Genres of clips that `scores_genre` leaves unlabelled, because few pieces have them. "" is unknown.
OTHER_GENRES = ("", "madrigal", "quartet", "strathspey")
DENSITY = "log2_onsets_per_second"
COLUMNS = ("path", "split", "group", "tags", "key", "density", "genre")
_ABOUT = {
    "split": "70 / 10 / 20, pieces by hash",
    "licence": "see LICENSES.md in the folder",
    "source": "https://www.music21.org",
}


def _clips(root: Path) -> pd.DataFrame:
    """Read ``labels.csv``. Raises the errors of the tasks."""
    file = root / "labels.csv"
    if not file.is_file():
        unfinished = (root / "build.json").is_file()
        remedy = (
            f"The build in this folder is not finished. Continue it: {COMMAND} {root}"
            if unfinished
            else "Build it in a clone of the project from the scores of music21 "
            f"(https://www.music21.org): {COMMAND} {root}"
        )
        raise DatasetNotFoundError("The table of the rendered scores", file, remedy)
    rows = read_table(file, COLUMNS)
    for row, split in enumerate(rows["split"]):
        if split not in SPLITS:
            raise AnnotationError(
                *place(rows, row),
                f"'{split}' in column 'split' is not a split.",
                "It is train, val or test. Correct the line, or build the set again.",
            )
    return rows


@card(kind="multilabel", classes=len(FAMILIES), metric="roc_auc, mAP", **_ABOUT)
def scores_tags(root: Path) -> LabelledClips:
    """Load rendered scores with the instrument families of each clip as tags.

    Args:
        root: folder that ``python -m benchmarks.scores build --out`` has built.

    Raises:
        DatasetNotFoundError: if the folder has no ``labels.csv``. The message has the command that
            builds or continues the set.
        AnnotationError: if a line has an unknown split or label. The message has file and line.
    """
    rows = _clips(root)
    tags = rows["tags"].map(lambda text: text.split(";") if text else [])
    return LabelledClips(
        rows, multi_hot(tags, FAMILIES), FAMILIES, kind="multilabel", metric="roc_auc, mAP"
    )


@card(kind="multiclass", classes=len(KEYS), metric="accuracy, mirex_weighted", **_ABOUT)
def scores_key(root: Path) -> LabelledClips:
    """Load rendered scores with the key as class. Arguments and errors are those of `scores_tags`."""
    rows = _clips(root)
    return LabelledClips(
        rows,
        one_hot(rows["key"].map(lambda text: text or None), KEYS),
        KEYS,
        kind="multiclass",
        metric="accuracy, mirex_weighted",
    )


@card(kind="regression", classes=1, metric="r2", **_ABOUT)
def scores_density(root: Path) -> LabelledClips:
    """Load rendered scores with the density of notes as the value.

    The value is log2 of the onsets per second, between -4 and 8. Arguments and errors are those of
    `scores_tags`.
    """
    rows = _clips(root)
    values = numbers(rows["density"], -4, 8)[:, None]
    return LabelledClips(rows, values, (DENSITY,), kind="regression", metric="r2")


@card(kind="multiclass", classes=len(GENRES), metric="accuracy", **_ABOUT)
def scores_genre(root: Path) -> LabelledClips:
    """Load rendered scores with six genres as classes. Arguments and errors are those of
    `scores_tags`.
    """
    rows = _clips(root)
    genres = rows["genre"].map(lambda text: None if text in OTHER_GENRES else text)
    return LabelledClips(
        rows, one_hot(genres, GENRES), GENRES, kind="multiclass", metric="accuracy"
    )
