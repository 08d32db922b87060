"""Free Spoken Digit Dataset (Jackson et al. 2016): English digits by six speakers, 8 kHz.

Where: https://github.com/Jakobovski/free-spoken-digit-dataset. Licence: CC BY-SA 4.0. Files:
``recordings/{digit}_{speaker}_{repetition}.wav``. Split: repetitions 0 to 4 are the official test
set. A seeded tenth of the other recordings of each digit and speaker is validation. All speakers
are in all splits, so no groups are declared. Metric: accuracy. Classes: digits 0 to 9, or speakers
in alphabetical order.
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
    """Load FSDD with the spoken digit as the class.

    Args:
        root: folder that contains ``recordings/``.
        seed: seed of the validation split.
        validation: share of the training repetitions used for validation.

    Raises:
        DatasetNotFoundError: if no recordings are found.
        AnnotationError: if a file name does not have digit, speaker and repetition.
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
    """Load FSDD with the speaker as the class. Arguments and errors are those of `fsdd_digit`."""
    table = _recordings(root, seed, validation)
    return LabelledClips(
        table,
        one_hot(table["speaker"], SPEAKERS),
        SPEAKERS,
        kind="multiclass",
        metric="accuracy",
    )
