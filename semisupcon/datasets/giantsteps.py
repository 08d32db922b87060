"""GiantSteps key: two-minute excerpts of electronic dance music with their musical key.

See Knees et al. 2015, and Faraldo 2017 for the training set. Where:
https://github.com/GiantSteps/giantsteps-key-dataset (604 test tracks) and
https://github.com/GiantSteps/giantsteps-mtg-key-dataset (1,486 tracks). Licence: none stated;
research use. Split: the first set is test. In the second set, the 1,159 tracks with a single key
and the highest confidence of the annotator (2) are training and validation (15 %, stratified by
key). The code of SemiSupCon draws validation tracks with a global random generator. In this package
the draw depends on seed and track id. Metrics: mirex_weighted (the MIREX key score) and accuracy.
Classes: 12 major, then 12 minor keys from C upwards, with flats (`keys.KEYS`).
``keys.key_similarity`` returns their similarities.
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
    """Load GiantSteps key from both repositories.

    Args:
        root: folder that contains ``giantsteps-key-dataset`` and ``giantsteps-mtg-key-dataset``,
            each with ``annotations`` and ``audio``.
        seed: seed of the validation split.
        validation: share of the tracks with certain annotations used for validation.

    Raises:
        DatasetNotFoundError: if a repository is missing.
        AnnotationError: if a text is not a key. The message has file and line.
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
    # In this table, "-" means no key, and "D major / B minor" means two keys.
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
