"""GiantSteps key: two-minute excerpts of electronic dance music with their global key.

Knees et al. 2015; training set: Faraldo 2017. Where:
https://github.com/GiantSteps/giantsteps-key-dataset (604 tracks, test) and
https://github.com/GiantSteps/giantsteps-mtg-key-dataset (1,486 tracks). Licence: none stated;
research use. Split: the first set is test. Of the second, the 1,159 tracks with a single key and an
annotator who was certain (confidence 2) are training and validation (15 %, stratified by key). The
original draws this validation with a global generator; here it is seeded, by track id. Metrics:
mirex_weighted (the MIREX key score) and accuracy. Classes: 12 major, then 12 minor keys from C
upwards, with flats (`keys.KEYS`); ``keys.key_similarity`` gives their similarities.
"""

from pathlib import Path

import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.keys import KEYS, canonical_key
from semisupcon.datasets.parsing.labels import numbers, one_hot
from semisupcon.datasets.parsing.reading import find_file, located, place, read_table, read_text
from semisupcon.datasets.parsing.splits import stratified_split
from semisupcon.errors import AnnotationError, DatasetNotFoundError, nearest

TEST_URL = "https://github.com/GiantSteps/giantsteps-key-dataset"
TRAIN_URL = "https://github.com/GiantSteps/giantsteps-mtg-key-dataset"
CERTAIN = 2


@card(
    kind="multiclass",
    classes=24,
    split="own test set; seeded validation",
    metric="mirex_weighted",
    licence="none stated",
    source=TEST_URL,
)
def giantsteps(root: Path, seed: int = 0, validation: float = 0.15) -> LabelledClips:
    """Read both repositories, side by side in one folder.

    Args:
        root: folder that holds ``giantsteps-key-dataset`` and ``giantsteps-mtg-key-dataset`` with
            their ``annotations`` and ``audio``.
        seed: seed of the validation split.
        validation: share of the certain tracks used for validation.

    Raises:
        DatasetNotFoundError: if one of them is missing.
        AnnotationError: for text that is not a key, with file and line.
    """
    train, test = _certain_tracks(root), _test_tracks(root)
    shares = {"train": 1 - validation, "val": validation}
    train["split"] = stratified_split(train["path"].tolist(), train["key"].tolist(), shares, seed)
    table = pd.concat([train, test.assign(split="test")])
    return LabelledClips(
        table,
        one_hot(table["key"], KEYS),
        KEYS,
        kind="multiclass",
        metric="mirex_weighted",
    )


def _certain_tracks(root: Path) -> pd.DataFrame:
    file = find_file(
        root,
        "*mtg*key*/annotations/annotations.txt",
        "*mtg*key*/annotations.txt",
        source=TRAIN_URL,
    )
    rows = read_table(file, ["ID", "MANUAL KEY", "C"], separator="\t")
    # "-" means no key, "D major / B minor" two keys.
    certain = (
        (numbers(rows["C"], 0, 2) == CERTAIN)
        & ~rows["MANUAL KEY"].str.contains("/").to_numpy()
        & (rows["MANUAL KEY"] != "-").to_numpy()
    )
    rows = rows[certain]
    return pd.DataFrame(
        {
            "path": "giantsteps-mtg-key-dataset/audio/" + rows["ID"] + ".LOFI.mp3",
            "key": _canonical(rows["MANUAL KEY"]),
        }
    )


def _test_tracks(root: Path) -> pd.DataFrame:
    patterns = ("*giantsteps?key*/annotations/key/*.key", "*giantsteps?key*/key/*.key")
    files = next(filter(None, (sorted(root.glob(pattern)) for pattern in patterns)), [])
    if not files:
        raise DatasetNotFoundError(
            "The test keys of GiantSteps",
            root / patterns[0],
            f"Download them from {TEST_URL}.",
        )
    keys = located(
        pd.Series([read_text(file).strip() for file in files], dtype=object),
        files,
        [1] * len(files),
    )
    paths = [f"giantsteps-key-dataset/audio/{file.stem}.mp3" for file in files]
    return pd.DataFrame({"path": paths, "key": _canonical(keys)}, index=keys.index)


def _canonical(keys: pd.Series) -> list[str]:
    names = []
    for row, text in enumerate(keys):
        try:
            names.append(canonical_key(text))
        except ValueError:
            raise AnnotationError(
                *place(keys, row),
                f"'{text}' is not a key.",
                f"Write it as 'F# minor'.{nearest(text, KEYS)}",
            ) from None
    return names
