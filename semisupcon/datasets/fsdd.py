"""Free Spoken Digit Dataset (Jackson et al. 2016): English digits by six speakers, 8 kHz.

Where: https://github.com/Jakobovski/free-spoken-digit-dataset. Licence: CC BY-SA 4.0. Files:
``recordings/{digit}_{speaker}_{repetition}.wav``. Split: repetitions 0-4 are the official test set;
of the rest, a seeded tenth of each digit of each speaker is validation. All speakers are in all
splits, so no group is declared. Metric: accuracy. Classes: the digits 0 to 9, or the speakers in
alphabetical order.
"""

import re
from pathlib import Path

import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.parsing.finding import audio_files
from semisupcon.datasets.parsing.labels import one_hot
from semisupcon.datasets.parsing.names import stem
from semisupcon.datasets.parsing.reading import located
from semisupcon.datasets.parsing.splits import stratified_split
from semisupcon.errors import AnnotationError, DatasetNotFoundError

URL = "https://github.com/Jakobovski/free-spoken-digit-dataset"
DIGITS = tuple("0123456789")
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
NAME = re.compile(r"(?P<digit>\d+)_(?P<speaker>[a-z]+)_(?P<repetition>\d+)")
TEST_REPETITIONS = 5
_ABOUT = {
    "kind": "multiclass",
    "split": "repetitions 0-4 test; seeded validation",
    "metric": "accuracy",
    "licence": "CC BY-SA 4.0",
    "source": URL,
}


def _recordings(root: Path, seed: int, validation: float) -> pd.DataFrame:
    folder = root / "recordings"
    files = audio_files(folder) if folder.is_dir() else []
    if not files:
        raise DatasetNotFoundError("The recordings of FSDD", folder, f"Download them from {URL}.")
    rows = []
    for file in files:
        match = NAME.fullmatch(stem(file))
        if not match:
            raise AnnotationError(
                folder / file,
                None,
                "The name is not {digit}_{speaker}_{repetition}.",
                "Rename the file, or move it away.",
            )
        rows.append({"path": f"recordings/{file}", **match.groupdict()})
    table = located(pd.DataFrame(rows), [folder / file for file in files])
    is_test = table["repetition"].astype(int).to_numpy() < TEST_REPETITIONS
    rest = table[~is_test]
    strata = list(zip(rest["speaker"], rest["digit"], strict=True))
    shares = {"train": 1 - validation, "val": validation}
    table["split"] = "test"
    table.loc[~is_test, "split"] = stratified_split(
        rest["path"].map(stem).tolist(),
        strata,
        shares,
        seed,
    )
    return table


@card(classes=10, **_ABOUT)
def fsdd_digit(root: Path, seed: int = 0, validation: float = 0.1) -> LabelledClips:
    """The spoken digit.

    Args:
        root: folder that holds ``recordings/``.
        seed: seed of the validation split.
        validation: share of the training repetitions used for validation.

    Raises:
        DatasetNotFoundError: if there are no recordings.
        AnnotationError: for a file name without digit, speaker and repetition.
    """
    table = _recordings(root, seed, validation)
    return LabelledClips(
        table,
        one_hot(table["digit"], DIGITS),
        DIGITS,
        kind="multiclass",
        metric="accuracy",
    )


@card(classes=6, **_ABOUT)
def fsdd_speaker(root: Path, seed: int = 0, validation: float = 0.1) -> LabelledClips:
    """The speaker; arguments and errors as `fsdd_digit`."""
    table = _recordings(root, seed, validation)
    return LabelledClips(
        table,
        one_hot(table["speaker"], SPEAKERS),
        SPEAKERS,
        kind="multiclass",
        metric="accuracy",
    )
