"""GTZAN genres: 30 s clips of 10 genres (Tzanetakis and Cook 2002).

Where: http://marsyas.info/downloads/datasets.html (lists:
https://github.com/jongpillee/music_dataset_split). Licence: none stated; research use. Split:
fault-filtered lists (Kereliuk et al. 2015) with 443 training, 197 validation and 290 test clips of
the original 1,000. They exclude repeated and distorted clips, and no artist is in two splits. The
lists do not name artists, so no groups are declared. Metric: accuracy. Classes: in alphabetical
order.
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
# the names val_filtered.txt and valid_filtered.txt are both common
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
    """Load GTZAN with the fault-filtered split.

    Args:
        root: folder that contains ``genres/<genre>/<genre>.NNNNN.wav`` and the three lists, which
            have one ``genre/file`` per line.

    Raises:
        DatasetNotFoundError: if a list is missing. The message has the searched path and the
            source.
        AnnotationError: if a line does not name one of the ten genres. The message has file and
            line.
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
