"""VoxCeleb1: 153,516 utterances of 1,251 celebrities from videos (Nagrani et al. 2017).

The task is speaker identification. Where: https://www.robots.ox.ac.uk/~vgg/data/voxceleb/
(``meta/iden_split.txt``). Licence: metadata CC BY 4.0; the copyright of the audio is with its
authors. Split: the official identification list, in which 1 is training, 2 validation and 3 test
(138,361 / 6,904 / 8,251 utterances). Every speaker is in all splits and the list names no other
groups, so no groups are declared. Metric: accuracy. Classes: speaker ids id10001 to id11251 in
order.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.parsing.labels import one_hot
from semisupcon.datasets.parsing.reading import find_file, place, read_table
from semisupcon.errors import AnnotationError

URL = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta/iden_split.txt"
SPEAKERS = tuple(f"id{number}" for number in range(10001, 11252))
SPLITS = {"1": "train", "2": "val", "3": "test"}


@card(
    kind="multiclass",
    classes=1251,
    split="official identification list",
    metric="accuracy",
    licence="of its makers",
    source=URL,
)
def voxceleb1(root: Path) -> LabelledClips:
    """Load VoxCeleb1 with the speaker as the class.

    Args:
        root: folder that contains ``iden_split.txt`` and ``wav/<speaker>/<video>/<utterance>.wav``.

    Raises:
        DatasetNotFoundError: if the list is missing.
        AnnotationError: if a line does not consist of split and path, or if it names an unknown
            speaker.
    """
    rows = read_table(
        find_file(root, "iden_split.txt", "meta/iden_split.txt", source=URL),
        separator=" ",
        names=["split", "path"],
    )
    wrong = np.flatnonzero(~rows["split"].isin(list(SPLITS)) | (rows["path"].str.count("/") != 2))
    if wrong.size:
        problem = f"'{' '.join(rows.iloc[wrong[0]])}' is not a split and a path."
        raise AnnotationError(
            *place(rows, wrong[0]),
            problem,
            "Lines read '1 id10003/na8-QEFmj44/00003.wav', with 1, 2 or 3 first.",
        )
    table = pd.DataFrame({"path": "wav/" + rows["path"], "split": rows["split"].map(SPLITS)})
    speakers = rows["path"].map(lambda path: path.split("/")[0])
    return LabelledClips(
        table,
        one_hot(speakers, SPEAKERS),
        SPEAKERS,
        kind="multiclass",
        metric="accuracy",
    )
