"""ESC-50 and ESC-10: environmental sounds of 5 s (Piczak 2015).

ESC-50 has 2,000 clips of 50 classes; ESC-10 is a subset of 400 clips of 10 classes. Where:
https://github.com/karolpiczak/ESC-50. Licence: CC BY-NC 3.0 (ESC-10: CC BY 3.0). Split: five
official folds, of which one is test, the next validation and three training (with
``original_split``, four are training and none is validation). Four recordings (``src_file``) have
clips in two folds, so no groups are declared. Metric: accuracy, mean over the five test folds.
Classes: in the order of the column ``target``.
"""

from pathlib import Path

import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.parsing.labels import numbers, one_hot
from semisupcon.datasets.parsing.reading import find_file, place, read_table
from semisupcon.datasets.parsing.splits import split_of_folds
from semisupcon.errors import AnnotationError

URL = "https://github.com/karolpiczak/ESC-50"
FOLDS = 5


def _read(root: Path, fold: int, original_split: bool, only_esc10: bool) -> LabelledClips:
    file = find_file(root, "meta/esc50.csv", "esc50.csv", source=URL)
    rows = read_table(file, ["filename", "fold", "target", "category", "esc10", "src_file"])
    if only_esc10:
        rows = rows[rows["esc10"].str.lower() == "true"]
    if rows.empty:
        raise AnnotationError(
            file,
            None,
            "No row has esc10=True.",
            f"Download it again from {URL}.",
        )
    folds, targets = numbers(rows["fold"], 1, FOLDS), numbers(rows["target"], 0, 49)
    names: dict[float, str] = {}
    for row, (target, category) in enumerate(zip(targets, rows["category"], strict=True)):
        if names.setdefault(target, category) != category:
            problem = f"Target {target:g} is '{category}' here and '{names[target]}' further up."
            raise AnnotationError(
                *place(rows, row),
                problem,
                f"Download the file again from {URL}.",
            )
    classes = tuple(names[target] for target in sorted(names))
    table = pd.DataFrame({"path": "audio/" + rows["filename"], "src_file": rows["src_file"]})
    table["split"] = split_of_folds(folds.astype(int), fold, FOLDS, validation=not original_split)
    return LabelledClips(
        table,
        one_hot(rows["category"], classes),
        classes,
        kind="multiclass",
        metric="accuracy",
    )


@card(
    kind="multiclass",
    classes=50,
    split="5 official folds",
    metric="accuracy",
    licence="CC BY-NC 3.0",
    source=URL,
)
def esc50(root: Path, fold: int = 1, original_split: bool = False) -> LabelledClips:
    """Load ESC-50.

    Args:
        root: folder that contains ``meta/esc50.csv`` and ``audio/``.
        fold: number of the test fold, 1 to 5. The next fold (1 after 5) is used for validation.
        original_split: whether to train on four folds, without validation.

    Raises:
        DatasetNotFoundError: if ``esc50.csv`` is missing.
        AnnotationError: if a row cannot be read.
        ConfigError: if the fold does not exist.
    """
    return _read(root, fold, original_split, only_esc10=False)


@card(
    kind="multiclass",
    classes=10,
    split="5 official folds",
    metric="accuracy",
    licence="CC BY 3.0",
    source=URL,
)
def esc10(root: Path, fold: int = 1, original_split: bool = False) -> LabelledClips:
    """Load ESC-10. Arguments and errors are those of `esc50`."""
    return _read(root, fold, original_split, only_esc10=True)
