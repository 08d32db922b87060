"""LibriSpeech: read English speech at 16 kHz, for speaker identification (Panayotov et al. 2015).

Where: https://www.openslr.org/12. Licence: CC BY 4.0. Files:
``<subset>/<speaker>/<chapter>/<speaker>-<chapter>-<utterance>.flac``. Split: the official subsets
have no common speakers, so a seeded split is drawn within one subset (by default
``train-clean-100`` with 251 speakers, which COLA and CPC report). It has 80 / 10 / 10 % of the
utterances of every speaker. With ``by="chapter"``, chapters are drawn instead and are the groups;
speakers with a single chapter are then only in training. Use cross-validation (``folds``) for a
small subset. Metric: accuracy. Classes: speakers with audio, by number.
"""

import re
from pathlib import Path

import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import Archive, card
from semisupcon.datasets.parsing.finding import audio_files
from semisupcon.datasets.parsing.labels import one_hot
from semisupcon.datasets.parsing.names import stem
from semisupcon.datasets.parsing.splits import group_split, seeded_split
from semisupcon.errors import AnnotationError, ConfigError, DatasetNotFoundError

URL = "https://www.openslr.org/12"
ARCHIVE = Archive(
    "https://www.openslr.org/resources/12/train-clean-100.tar.gz",
    6_387_309_499,
    "md5:2a93770f6d5c6c964bc36631d331a522",
)
NAME = re.compile(r"(?P<speaker>\d+)-(?P<chapter>\d+)-\d+")


@card(
    kind="multiclass",
    classes=251,
    split="seeded, by utterance",
    metric="accuracy",
    licence="CC BY 4.0",
    source=URL,
    archives=(ARCHIVE,),
)
def librispeech_speaker(
    root: Path,
    subset: str = "train-clean-100",
    by: str = "utterance",
    folds: int | None = None,
    fold: int = 1,
    seed: int = 0,
) -> LabelledClips:
    """Load a subset of LibriSpeech with the speaker as the class.

    Args:
        root: folder that contains the folder of the subset, or ``LibriSpeech/<subset>``.
        subset: name of an official subset.
        by: unit that is assigned to a split: ``utterance`` or ``chapter``.
        folds: number of folds for cross-validation, stratified by speaker. None splits 80 / 10 / 10
            %.
        fold: number of the test fold, from 1. The next fold is used for validation.
        seed: seed of the split.

    Raises:
        DatasetNotFoundError: if the subset is missing.
        AnnotationError: if a file name does not have speaker, chapter and utterance.
        ConfigError: if ``by`` has an unknown value, if folds are combined with chapters, or if the
            fold does not exist.
    """
    if by not in ("utterance", "chapter"):
        raise ConfigError(f"by is 'utterance' or 'chapter', got '{by}'.")
    if folds is not None and by == "chapter":
        raise ConfigError("folds divide utterances; leave out folds or by.")
    prefix = f"LibriSpeech/{subset}" if (root / "LibriSpeech" / subset).is_dir() else subset
    files = audio_files(root / prefix) if (root / prefix).is_dir() else []
    if not files:
        raise DatasetNotFoundError(
            f"LibriSpeech's {subset}",
            root / prefix,
            f"Download it from {URL}; the option subset selects another one.",
        )
    rows = []
    for file in files:
        match = NAME.fullmatch(stem(file))
        if not match:
            raise AnnotationError(
                root / prefix / file,
                None,
                "The name is not speaker-chapter-utterance.",
                "Rename the file, or move it away.",
            )
        rows.append({"path": f"{prefix}/{file}", **match.groupdict()})
    table = pd.DataFrame(rows)
    classes = tuple(sorted(table["speaker"].unique(), key=int))
    targets = one_hot(table["speaker"], classes)
    if by == "utterance":
        table["split"] = seeded_split(
            table["path"].map(stem).tolist(),
            table["speaker"].tolist(),
            folds=folds,
            fold=fold,
            seed=seed,
        )
    else:
        table["group"] = table["speaker"] + "-" + table["chapter"]
        table["split"] = group_split(
            table["group"].tolist(),
            seed=seed,
            labels=table["speaker"].tolist(),
        )
    return LabelledClips(table, targets, classes, kind="multiclass", metric="accuracy")
