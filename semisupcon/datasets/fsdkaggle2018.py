"""FSDKaggle2018: 11,073 Freesound clips of 0.3 to 30 s, 41 classes (Fonseca et al. 2018).

Where: https://zenodo.org/record/2552860. Licence: CC BY 4.0 (clips: CC0 or CC BY). Split: official
tables for training (9,473 clips) and test (1,600 clips). A seeded tenth of the training clips,
stratified by class, is validation. Some training labels are unverified; ``verified_only`` excludes
them. The tables do not name uploaders, so no groups are declared. Metric: accuracy (the challenge
used MAP@3). Classes: in alphabetical order. MT-SLVR cuts the clips into pieces of 5 s and splits by
class; to do the same, use ``class_folders``.
"""

from pathlib import Path

import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.parsing.labels import flags, one_hot
from semisupcon.datasets.parsing.reading import find_file, read_table
from semisupcon.datasets.parsing.splits import stratified_split

URL = "https://zenodo.org/record/2552860"
TRAIN, TEST = "train_post_competition.csv", "test_post_competition_scoring_clips.csv"


@card(
    kind="multiclass",
    classes=41,
    split="official; seeded validation",
    metric="accuracy",
    licence="CC BY 4.0",
    source=URL,
)
def fsdkaggle2018(
    root: Path,
    verified_only: bool = False,
    seed: int = 0,
    validation: float = 0.1,
) -> LabelledClips:
    """Load FSDKaggle2018 with all 41 classes.

    Args:
        root: folder that contains ``FSDKaggle2018.meta/``, ``FSDKaggle2018.audio_train/`` and
            ``FSDKaggle2018.audio_test/``.
        verified_only: whether to train only on clips with verified labels.
        seed: seed of the validation split.
        validation: share of the training clips used for validation.

    Raises:
        DatasetNotFoundError: if a table is missing.
        AnnotationError: if a row cannot be read, or if a test label is not a training label.
    """
    train = read_table(_find(root, TRAIN), ["fname", "label", "manually_verified"])
    verified = flags(train[["manually_verified"]])[:, 0] == 1
    classes = tuple(sorted(train["label"].unique()))
    if verified_only:
        train = train[verified]
    test = read_table(_find(root, TEST), ["fname", "label"]).assign(split="test")
    shares = {"train": 1 - validation, "val": validation}
    train = train.assign(
        split=stratified_split(train["fname"].tolist(), train["label"].tolist(), shares, seed),
    )
    parts = {"FSDKaggle2018.audio_train": train, "FSDKaggle2018.audio_test": test}
    table = pd.concat(
        rows[["label", "split"]].assign(path=f"{folder}/" + rows["fname"])
        for folder, rows in parts.items()
    )
    return LabelledClips(
        table[["path", "split"]],
        one_hot(table["label"], classes),
        classes,
        kind="multiclass",
        metric="accuracy",
    )


def _find(root: Path, name: str) -> Path:
    return find_file(root, f"FSDKaggle2018.meta/{name}", name, f"*/{name}", source=URL)
