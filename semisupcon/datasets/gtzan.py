"""GTZAN genres: 30 s clips of 10 genres (Tzanetakis and Cook 2002).

Where: http://marsyas.info/downloads/datasets.html (the lists:
https://github.com/jongpillee/music_dataset_split). Licence: none stated; research use. Split: the
fault-filtered lists (Kereliuk et al. 2015): 443 training, 197 validation, 290 test clips of the
original 1,000, without repetitions, distortions and artists in two splits (the lists do not name
artists, so no group is declared). Metric: accuracy. Classes: alphabetical.
"""

from pathlib import Path

import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.parsing.labels import one_hot
from semisupcon.datasets.parsing.reading import read_lines

URL = "https://github.com/jongpillee/music_dataset_split"
GENRES = (
    "blues",
    "classical",
    "country",
    "disco",
    "hiphop",
    "jazz",
    "metal",
    "pop",
    "reggae",
    "rock",
)
# val_ and valid_ are both common
LISTS = {"train": "train_filtered.txt", "val": "val*_filtered.txt", "test": "test_filtered.txt"}


@card(
    kind="multiclass",
    classes=10,
    split="fault-filtered lists",
    metric="accuracy",
    licence="none stated",
    source=URL,
)
def gtzan(root: Path) -> LabelledClips:
    """Read the three lists beside the ``genres/`` folder.

    Args:
        root: folder that holds ``genres/<genre>/<genre>.NNNNN.wav`` and the lists, one
            ``genre/file`` per line.

    Raises:
        DatasetNotFoundError: if a list is missing, with the searched path and the source.
        AnnotationError: for a line without one of the ten genres, with file and line number.
    """
    table = pd.concat(
        pd.DataFrame(
            {"path": read_lines(root, pattern, prefix="genres", source=URL), "split": split},
        )
        for split, pattern in LISTS.items()
    )
    return LabelledClips(
        table,
        one_hot(table["path"].map(lambda p: Path(p).parent.name), GENRES),
        GENRES,
        "multiclass",
        "accuracy",
    )
