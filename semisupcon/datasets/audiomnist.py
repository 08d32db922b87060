"""AudioMNIST: spoken English digits at 48 kHz (Becker et al. 2018).

The set has 60 speakers with 50 takes of each of 10 digits. Where:
https://github.com/soerenab/AudioMNIST. Licence: MIT. Files:
``data/NN/{digit}_{speaker}_{take}.wav``. Metric: accuracy.

* ``audiomnist_digit``: the split is seeded and by speaker: 20 of 60 speakers are test, a fifth of
  the others validation. Speakers are the groups. MFCL draws its 20 test speakers from an unsorted
  directory listing, and validates on training speakers. ``original_split`` follows MFCL with a
  sorted listing and NumPy's generator with the seed 322. Its validation is stratified by speaker
  and digit, as MFCL intended.
* ``audiomnist_speaker``: the split is seeded and by take: 80 / 10 / 10 % of the takes of every
  digit of every speaker.

Classes: the digits, or the speakers by number (01 to 60).
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
    """Load AudioMNIST with the spoken digit as the class.

    Args:
        root: folder that contains ``data/NN/*.wav``.
        seed: seed of the split.
        original_split: whether to use the split of MFCL, without groups.

    Raises:
        DatasetNotFoundError: if no recordings are found.
        AnnotationError: if a file name does not have digit, speaker and take.
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
    """Load AudioMNIST with the speaker as the class; arguments as in `audiomnist_digit`."""
    table = _recordings(root)
    table["split"] = stratified_split(table["path"].map(stem).tolist(), _strata(table), seed=seed)
    return LabelledClips(
        table,
        one_hot(table["speaker"], SPEAKERS),
        SPEAKERS,
        kind="multiclass",
        metric="accuracy",
    )
