"""Million Song Dataset: 30 s previews with the 50 most frequent Last.fm tags.

See Bertin-Mahieux et al. 2011. Where: http://millionsongdataset.com (without audio) and
https://github.com/jordipons/musicnn-training (tables). Licence: research use; the audio is not
publicly available. Split: that of Pons et al. (2018), which CLMR uses:
``{train,val,test}_gt_msd.tsv`` with 201,680 / 11,774 / 28,435 tracks. The tables do not name
artists, so no groups are declared. Metrics: macro ROC-AUC and mAP. Classes: the 50 tags of
``output_labels_msd.txt``, in descending order of counts.

The audio file of the track ``TRAAAAK128F9318786`` is ``A/A/A/TRAAAAK128F9318786.mp3``, or a file
with this name in any folder. Files of CLMR are named by 7digital ids (``<7digital id>.clip.mp3``),
which CLMR reads from a pickle. This package does not read pickles: for such files, provide the
mapping as a text file ``msd_to_7digital.tsv`` (track id, tab, 7digital id).
"""

from pathlib import Path

import numpy as np
import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.parsing.labels import vectors
from semisupcon.datasets.parsing.reading import find_file, optional_file, place, read_table
from semisupcon.errors import AnnotationError

URL = "https://github.com/jordipons/musicnn-training"
TAGS = (
    "rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s", "alternative rock", "jazz",
    "beautiful", "metal", "chillout", "male vocalists", "classic rock", "soul", "indie rock", "Mellow", "electronica", "80s",
    "folk", "90s", "chill", "instrumental", "punk", "oldies", "blues", "hard rock", "ambient", "acoustic",
    "experimental", "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country", "easy listening", "sexy", "catchy",
    "funk", "electro", "heavy metal", "Progressive rock", "60s", "rnb", "indie pop", "sad", "House", "happy",
)  # fmt: skip
PARTS = ("train", "val", "test")


@card(
    kind="multilabel",
    classes=50,
    split="official lists of CLMR",
    metric="roc_auc, mAP",
    licence="research use",
    source=URL,
)
def msd_top50(root: Path) -> LabelledClips:
    """Load the Million Song Dataset with the 50 most frequent tags.

    Args:
        root: folder that contains the three tables (they may be in a subfolder such as
            ``processed_annotations/``), and the previews.

    Raises:
        DatasetNotFoundError: if a table is missing.
        AnnotationError: if a row does not have a track id and a list of 50 zeros and ones, or if
            the 7digital mapping lacks a track.
    """
    parts = []
    for part in PARTS:
        name = f"{part}_gt_msd.tsv"
        rows = read_table(
            find_file(root, name, f"*/{name}", source=URL),
            separator="\t",
            names=["track", "tags"],
        )
        parts.append(rows.assign(split=part))
    rows = pd.concat(parts)
    wrong = np.flatnonzero(~rows["track"].str.fullmatch(r"TR[A-Z]{5}[0-9A-F]{11}"))
    if wrong.size:
        raise AnnotationError(
            *place(rows, wrong[0]),
            f"'{rows['track'].iloc[wrong[0]]}' is not a track id.",
            f"Download the file again from {URL}.",
        )
    table = pd.DataFrame({"path": _paths(root, rows), "split": rows["split"]})
    return LabelledClips(
        table,
        vectors(rows["tags"], len(TAGS)),
        TAGS,
        kind="multilabel",
        metric="roc_auc, mAP",
    )


def _paths(root: Path, rows: pd.DataFrame) -> pd.Series:
    file = optional_file(root, "msd_to_7digital.tsv", "*/msd_to_7digital.tsv")
    if file is None:
        return rows["track"].map(lambda track: f"{track[2]}/{track[3]}/{track[4]}/{track}.mp3")
    numbers = (
        read_table(file, separator="\t", names=["track", "7digital"])
        .set_index("track")["7digital"]
        .to_dict()
    )
    lost = np.flatnonzero(~rows["track"].isin(numbers))
    if lost.size:
        problem = f"{file.name} has no 7digital id for {rows['track'].iloc[lost[0]]}."
        raise AnnotationError(*place(rows, lost[0]), problem, f"Add it to {file}.")
    return (
        rows["track"]
        .map(numbers)
        .map(lambda number: f"{number[:1]}/{number[1:2]}/{number}.clip.mp3")
    )
