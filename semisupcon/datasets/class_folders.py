"""User-defined data set with one folder per class.

Use it for data sets without annotation files (MUSAN, VoxForge, Watkins, Common Voice, ...). It also
supports the few-shot data sets of MT-SLVR (Heggan et al. 2023), whose splits are lists of classes,
so that test classes do not occur in training.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from semisupcon.audio.scan import scan
from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.parsing.copies import one_of_each, told
from semisupcon.datasets.parsing.finding import audio_files
from semisupcon.datasets.parsing.labels import one_hot
from semisupcon.datasets.parsing.names import composed
from semisupcon.datasets.parsing.splits import FRACTIONS, seeded_split
from semisupcon.errors import ConfigError, DatasetNotFoundError, nearest

REST = "rest"
log = logging.getLogger(__name__)


@card(
    kind="multiclass",
    classes=None,
    split="lists of classes, or seeded and stratified",
    metric="accuracy",
    licence="yours",
)
def class_folders(
    root: Path,
    train: Sequence[str] | str | None = None,
    val: Sequence[str] | str | None = None,
    test: Sequence[str] | str | None = None,
    folds: int | None = None,
    fold: int = 1,
    fractions: dict[str, float] = FRACTIONS,
    seed: int = 0,
    ignore: Sequence[str] = (),
) -> LabelledClips:
    """Load clips whose class is the first folder of their path. Classes are sorted alphabetically.

    Args:
        root: folder that contains one folder per class, which may have subfolders. Folders whose
            names begin with ``_`` or ``.`` are not classes.
        train: training classes, for few-shot protocols, as a list or separated by commas.
            ``"rest"`` means all classes that are not in another list.
        val: validation classes, in the same format.
        test: test classes, in the same format.
        folds: number of drawn stratified folds, if there are no lists of classes. None splits by
            ``fractions``.
        fold: number of the test fold, from 1. The next fold is used for validation.
        fractions: share of each split, if there are neither lists nor folds.
        seed: seed of the drawn folds or split.
        ignore: folders that are not classes.

    Raises:
        DatasetNotFoundError: if no folder contains audio.
        ConfigError: if a class or ignored folder does not exist, or if a class is in two lists or
            in none.
    """
    ignored = {composed(name) for name in (_listed(ignore) or ())}
    files = [
        (file, composed(file.split("/", 1)[0]))
        for file in (audio_files(root) if root.is_dir() else [])
        if "/" in file
    ]
    if unknown := sorted(
        ignored - {name for _, name in files} - {composed(path.name) for path in root.glob("*/")},
    ):
        raise ConfigError(
            f"There is no folder '{unknown[0]}' to "
            f"ignore.{nearest(unknown[0], {name for _, name in files})}",
        )
    rows = [
        (file, name) for file, name in files if name not in ignored and not name.startswith("_")
    ]
    if not rows:
        raise DatasetNotFoundError(
            "A folder per class, with audio in it,",
            root,
            "Lay the clips out as <class>/<clip>.wav.",
        )
    table = _without_copies(root, pd.DataFrame(rows, columns=["path", "label"]))
    classes = tuple(sorted(table["label"].unique()))
    lists = {"train": _listed(train), "val": _listed(val), "test": _listed(test)}
    if any(names is not None for names in lists.values()):
        table["split"] = table["label"].map(_split_of_class(classes, lists))
    else:
        table["split"] = seeded_split(
            table["path"].tolist(),
            table["label"].tolist(),
            None,
            folds,
            fold,
            fractions,
            seed,
        )
    return LabelledClips(
        table,
        one_hot(table["label"], classes),
        classes,
        kind="multiclass",
        metric="accuracy",
    )


def _listed(names: Sequence[str] | str | None) -> Sequence[str] | str | None:
    """Convert a single class, or several separated by commas, to a list."""
    return (
        [name.strip() for name in names.split(",") if name.strip()]
        if isinstance(names, str) and names != REST
        else names
    )


def _without_copies(root: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Keep each recording of a class once, because copies could be in two splits."""
    names = table["path"].tolist()
    paths, apart = (
        [os.path.join(os.path.realpath(root), name) for name in names],
        table["label"].tolist(),
    )
    used, left_out = one_of_each(paths, names, apart=apart)
    # An unusable file must not be chosen instead of a usable copy. It is kept in the table, so that
    # the command reports it.
    involved = sorted({i for pair in left_out for i in pair})
    problems = scan([paths[i] for i in involved])["problem"].tolist()
    if broken := [i for i, problem in zip(involved, problems, strict=True) if problem]:
        for i in broken:
            apart[i] = (apart[i], i)
        used, left_out = one_of_each(paths, names, apart=apart)
    if left_out:
        log.warning("class_folders: %s", told(left_out, names))
    return table[used].reset_index(drop=True)


def _split_of_class(
    classes: tuple[str, ...],
    lists: dict[str, Sequence[str] | str | None],
) -> dict[str, str]:
    split_of: dict[str, str] = {}
    for split, names in lists.items():
        for name in map(composed, names if names not in (None, REST) else ()):
            if name not in classes:
                raise ConfigError(
                    f"There is no folder for the {split} class '{name}'.{nearest(name, classes)}",
                )
            if split_of.setdefault(name, split) != split:
                raise ConfigError(
                    f"The class '{name}' is in the lists of both {split_of[name]} and {split}; "
                    "leave it in one.",
                )
    takers = [split for split, names in lists.items() if names == REST]
    left = [name for name in classes if name not in split_of]
    if len(takers) > 1:
        raise ConfigError(
            f"Only one split can take the rest of the classes, not both {takers[0]} and "
            f"{takers[1]}.",
        )
    if left and not takers:
        raise ConfigError(
            f"{len(left)} classes are in no list ({', '.join(left[:5])}, ...); name them, ignore "
            "them, or give one split 'rest'."
        )
    return split_of | dict.fromkeys(left, takers[0] if takers else "")
