"""CREMA-D: 7,442 sentences acted with six emotions by 91 actors (Cao et al. 2014).

Where: https://github.com/CheyneyComputerScience/CREMA-D. Licence: ODbL 1.0. Files:
``AudioWAV/{actor}_{sentence}_{emotion}_{intensity}.wav``. Split: not official; 80 / 10 / 10 % of
the actors, seeded. Actors are the groups. Metric: accuracy. Classes: codes of the emotions in
alphabetical order. MT-SLVR uses the whole set for few-shot testing; to do the same, use
``class_folders`` with one folder per emotion.
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
from semisupcon.datasets.parsing.splits import group_split
from semisupcon.errors import AnnotationError, DatasetNotFoundError

URL = "https://github.com/CheyneyComputerScience/CREMA-D"
EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
NAME = re.compile(
    r"(?P<actor>\d{4})_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<intensity>[A-Z]{1,2})",
)


@card(
    kind="multiclass",
    classes=6,
    split="seeded, by actor",
    metric="accuracy",
    licence="ODbL 1.0",
    source=URL,
)
def crema_d(root: Path, seed: int = 0) -> LabelledClips:
    """Load CREMA-D with the acted emotion as the class.

    Args:
        root: folder that contains ``AudioWAV/``.
        seed: seed of the split.

    Raises:
        DatasetNotFoundError: if no recordings are found.
        AnnotationError: if a file name does not have actor, sentence, emotion and intensity, or if
            an emotion is unknown.
    """
    folder = root / "AudioWAV"
    files = audio_files(folder) if folder.is_dir() else []
    if not files:
        raise DatasetNotFoundError(
            "The recordings of CREMA-D",
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
                "The name is not actor_sentence_EMOTION_intensity.",
                "Rename the file, or move it away.",
            )
        rows.append(
            {"path": f"AudioWAV/{file}", "group": match["actor"], "emotion": match["emotion"]},
        )
    table = located(pd.DataFrame(rows), [folder / file for file in files])
    table["split"] = group_split(table["group"].tolist(), seed=seed)
    return LabelledClips(
        table,
        one_hot(table["emotion"], EMOTIONS),
        EMOTIONS,
        kind="multiclass",
        metric="accuracy",
    )
