"""AudioMNIST: English digits, 60 speakers x 10 digits x 50 takes, 48 kHz (Becker et al. 2018).

Where: https://github.com/soerenab/AudioMNIST. Licence: MIT. Files:
``data/NN/{digit}_{speaker}_{take}.wav``. Metric: accuracy.

* ``audiomnist_digit``: seeded split by speaker, with 20 of 60 for test and a fifth of the others
  for validation; speakers are the groups. MFCL draws its 20 test speakers from an unsorted
  directory listing, and validates on training speakers. ``original_split`` does the same with a
  sorted listing and numpy's generator seeded with 322, and stratifies the validation by speaker and
  digit as intended there.
* ``audiomnist_speaker``: every speaker is in all splits (80 / 10 / 10 % of the takes of every
  digit, seeded).

Classes: digits, or speakers by number (01 to 60).
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
from semisupcon.datasets.parsing.reading import located
from semisupcon.datasets.parsing.splits import group_split, stratified_split
from semisupcon.errors import AnnotationError, DatasetNotFoundError

URL = "https://github.com/soerenab/AudioMNIST"
DIGITS = tuple("0123456789")
SPEAKERS = tuple(f"{i:02d}" for i in range(1, 61))
NAME = re.compile(r"(?P<digit>\d+)_(?P<speaker>\d+)_(?P<take>\d+)")
MFCL_SEED = 322
_ABOUT = {"kind": "multiclass", "metric": "accuracy", "licence": "MIT", "source": URL}


def _recordings(root: Path) -> pd.DataFrame:
    folder = root / "data"
    files = audio_files(folder) if folder.is_dir() else []
    if not files:
        raise DatasetNotFoundError(
            "The recordings of AudioMNIST",
            folder,
            f"Download them from {URL}.",
        )
    rows = []
    for file in files:
        match = NAME.fullmatch(stem(file))
        if not match:
            raise AnnotationError(
                folder / file,
                None,
                "The name is not {digit}_{speaker}_{take}.",
                "Rename the file, or move it away.",
            )
        rows.append({"path": f"data/{file}", **match.groupdict()})
    return located(pd.DataFrame(rows), [folder / file for file in files])


def _strata(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(table["speaker"], table["digit"], strict=True))


@card(classes=10, split="seeded, by speaker", **_ABOUT)
def audiomnist_digit(root: Path, seed: int = 0, original_split: bool = False) -> LabelledClips:
    """The spoken digit.

    Args:
        root: folder that holds ``data/NN/*.wav``.
        seed: seed of the split.
        original_split: use the rule of MFCL, without groups.

    Raises:
        DatasetNotFoundError: if there are no recordings.
        AnnotationError: for a file name without digit, speaker and take.
    """
    table = _recordings(root)
    speakers = sorted(table["speaker"].unique())
    if original_split:
        test = np.random.RandomState(MFCL_SEED).choice(speakers, len(speakers) // 3, replace=False)
        table["split"] = "test"
        rest = ~table["speaker"].isin(test).to_numpy()
        names = table["path"][rest].map(stem).tolist()
        table.loc[rest, "split"] = stratified_split(
            names,
            _strata(table[rest]),
            {"train": 0.8, "val": 0.2},
            seed,
        )
    else:
        table["split"] = group_split(
            table["speaker"].tolist(),
            {"train": 8 / 15, "val": 2 / 15, "test": 1 / 3},
            seed,
        )
        table["group"] = table["speaker"]
    return LabelledClips(
        table,
        one_hot(table["digit"], DIGITS),
        DIGITS,
        kind="multiclass",
        metric="accuracy",
    )


@card(classes=60, split="seeded, by take", **_ABOUT)
def audiomnist_speaker(root: Path, seed: int = 0) -> LabelledClips:
    """The speaker; arguments and errors as `audiomnist_digit`."""
    table = _recordings(root)
    table["split"] = stratified_split(table["path"].map(stem).tolist(), _strata(table), seed=seed)
    return LabelledClips(
        table,
        one_hot(table["speaker"], SPEAKERS),
        SPEAKERS,
        kind="multiclass",
        metric="accuracy",
    )
