"""VocalSet: 3,500 recordings of 20 singers with 17 techniques (Wilkins et al. 2018).

Where: https://zenodo.org/record/1193957. Licence: CC BY 4.0. Files: ``data_by_singer`` and
``data_by_technique`` have the same recordings, named
``<singer>_<exercise>_<technique>_<vowel>.wav``. Metric: accuracy.

* ``vocalset_singer``: there is no official split. The code of SemiSupCon draws files at random, so
  recordings of one exercise that differ only in the vowel are in training and test. In this
  package, all vowels of an exercise are in the same split, so exercises are the groups. The split
  is seeded and stratified by singer. Classes: f1 to f9, m1 to m11.
* ``vocalset_technique``: official lists have 15 training and 5 test singers. One training singer of
  each sex, drawn with a seed, is validation. Singers are the groups. The code of SemiSupCon
  validates on a tenth of the training files, with the same singers (``original_split``). Classes:
  names of the folders in alphabetical order.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.parsing.finding import audio_files
from semisupcon.datasets.parsing.labels import one_hot
from semisupcon.datasets.parsing.names import stem
from semisupcon.datasets.parsing.reading import located, place, read_lines
from semisupcon.datasets.parsing.splits import group_split, stratified_split
from semisupcon.errors import AnnotationError, DatasetNotFoundError
from semisupcon.random import stable_hash

URL = "https://zenodo.org/record/1193957"
SINGERS = (*(f"f{i}" for i in range(1, 10)), *(f"m{i}" for i in range(1, 12)))
LISTS = {"train": "train_singers_technique.txt", "test": "test_singers_technique.txt"}


def _recordings(root: Path, folder: str) -> pd.DataFrame:
    where = next(
        (path for path in (root / folder, *sorted(root.glob(f"*/{folder}"))) if path.is_dir()),
        root / folder,
    )
    files = audio_files(where) if where.is_dir() else []
    if not files:
        raise DatasetNotFoundError(f"VocalSet's {folder}", where, f"Download it from {URL}.")
    paths = [f"{where.relative_to(root).as_posix()}/{file}" for file in files]
    rows = pd.DataFrame(
        {
            "path": paths,
            "singer": [stem(file).split("_")[0] for file in files],
            "folder": [file.split("/")[0] for file in files],
        }
    )
    return located(rows, [root / path for path in paths])


@card(
    kind="multiclass",
    classes=20,
    split="seeded; vowels of an exercise together",
    metric="accuracy",
    licence="CC BY 4.0",
    source=URL,
)
def vocalset_singer(root: Path, seed: int = 0, original_split: bool = False) -> LabelledClips:
    """Load VocalSet with the singer as the class.

    Args:
        root: folder that contains ``data_by_singer/``.
        seed: seed of the split.
        original_split: whether to draw files regardless of exercise, without groups.

    Raises:
        DatasetNotFoundError: if no recordings are found.
        AnnotationError: if a file name does not begin with a singer.
    """
    table = _recordings(root, "data_by_singer")
    targets = one_hot(table["singer"], SINGERS)
    if original_split:
        table["split"] = stratified_split(table["path"].tolist(), [""] * len(table), seed=seed)
    else:
        table["group"] = table["path"].map(
            lambda path: re.sub(r"_[aeiou](\(\d+\))?$", "", stem(path)),
        )
        table["split"] = group_split(
            table["group"].tolist(),
            seed=seed,
            labels=table["singer"].tolist(),
        )
    return LabelledClips(
        table.drop(columns=["singer", "folder"]),
        targets,
        SINGERS,
        kind="multiclass",
        metric="accuracy",
    )


@card(
    kind="multiclass",
    classes=17,
    split="official, by singer; seeded validation",
    metric="accuracy",
    licence="CC BY 4.0",
    source=URL,
)
def vocalset_technique(root: Path, seed: int = 0, original_split: bool = False) -> LabelledClips:
    """Load VocalSet with the singing technique as the class.

    Args:
        root: folder that contains ``data_by_technique/`` and the two lists of singers.
        seed: seed of the validation split.
        original_split: whether to validate on a tenth of the training files instead of on separate
            singers, without groups.

    Raises:
        DatasetNotFoundError: if no recordings are found, or if a list is missing.
        AnnotationError: if a line is not a singer, or if a singer is in both lists.
    """
    split_of: dict[str, str] = {}
    for split, name in LISTS.items():
        lines = read_lines(root, name, f"*/{name}", source=URL)
        for row, line in enumerate(lines):
            singer = line.lower().replace("female", "f").replace("male", "m")
            if singer not in SINGERS or split_of.setdefault(singer, split) != split:
                problem = f"'{line}' is {'in both lists' if singer in SINGERS else 'not one of the singers'}."
                raise AnnotationError(
                    *place(lines, row),
                    problem,
                    f"Singers are female1-9 and male1-11; download the list again from {URL}.",
                )
    table = _recordings(root, "data_by_technique")
    table = table[table["singer"].isin(split_of)]
    classes = tuple(sorted(table["folder"].unique()))
    table = table.assign(split=table["singer"].map(split_of), group=table["singer"])
    training = (table["split"] == "train").to_numpy()
    shares = {"train": 0.9, "val": 0.1}
    if original_split:
        drawn = stratified_split(
            table["path"][training].tolist(),
            [""] * training.sum(),
            shares,
            seed,
        )
        table = table.drop(columns="group")
    else:
        singers = sorted(set(table["singer"][training]))
        held_out = {
            min(
                (s for s in singers if s[0] == sex),
                key=lambda s: stable_hash(f"{seed}/{s}"),
                default="",
            )
            for sex in "fm"
        }
        drawn = np.where(table["singer"][training].isin(held_out), "val", "train")
    table.loc[training, "split"] = drawn
    return LabelledClips(
        table.drop(columns=["singer", "folder"]),
        one_hot(table["folder"], classes),
        classes,
        kind="multiclass",
        metric="accuracy",
    )
