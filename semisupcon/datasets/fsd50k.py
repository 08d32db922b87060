"""FSD50K: 51,197 Freesound clips of 0.3 to 30 s with 200 sound classes (Fonseca et al. 2022).

Where: https://zenodo.org/record/4060432. Licence: CC BY 4.0 (clips: CC0 to CC BY-NC). Split:
official; the column ``split`` of ``dev.csv`` has 36,796 training and 4,170 validation clips,
``eval.csv`` has 10,231 test clips. The files do not name uploaders, so no groups are declared.
Metric: mAP. Classes: in the order of ``vocabulary.csv``, which is alphabetical.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.parsing.labels import multi_hot
from semisupcon.datasets.parsing.reading import find_file, place, read_table
from semisupcon.errors import AnnotationError

URL = "https://zenodo.org/record/4060432"


@card(
    kind="multilabel",
    classes=200,
    split="official",
    metric="mAP",
    licence="CC BY 4.0",
    source=URL,
)
def fsd50k(root: Path) -> LabelledClips:
    """Load FSD50K with all 200 classes.

    Args:
        root: folder that contains ``FSD50K.ground_truth/``, ``FSD50K.dev_audio/`` and
            ``FSD50K.eval_audio/``.

    Raises:
        DatasetNotFoundError: if a table is missing.
        AnnotationError: if a row cannot be read, or if a label is not in the vocabulary.
    """
    vocabulary = read_table(_find(root, "vocabulary.csv"), names=["index", "label", "mid"])
    classes = tuple(vocabulary["label"])
    dev = read_table(_find(root, "dev.csv"), ["fname", "labels", "split"])
    unknown = np.flatnonzero(~dev["split"].isin(["train", "val"]))
    if unknown.size:
        raise AnnotationError(
            *place(dev, unknown[0]),
            f"'{dev['split'].iloc[unknown[0]]}' is not a split.",
            "It is 'train' or 'val'.",
        )
    test = read_table(_find(root, "eval.csv"), ["fname", "labels"]).assign(split="test")
    parts = {"FSD50K.dev_audio": dev, "FSD50K.eval_audio": test}
    table = pd.concat(
        rows[["labels", "split"]].assign(path=f"{folder}/" + rows["fname"] + ".wav")
        for folder, rows in parts.items()
    )
    targets = multi_hot(table["labels"].str.split(","), classes)
    return LabelledClips(
        table[["path", "split"]],
        targets,
        classes,
        kind="multilabel",
        metric="mAP",
    )


def _find(root: Path, name: str) -> Path:
    return find_file(root, f"FSD50K.ground_truth/{name}", f"ground_truth/{name}", name, source=URL)
