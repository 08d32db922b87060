"""MTG-Jamendo: 55,000 full tracks with tags by the artists (Bogdanov et al. 2019).

There are four tasks: the top 50 tags, 87 genres, 40 instruments, and 56 moods and themes. Where:
https://github.com/MTG/mtg-jamendo-dataset. Licence: Creative Commons, which differ between tracks
(metadata CC BY-NC-SA 4.0). Split: one of five official splits (``split`` 0 to 4; papers report 0),
each of which separates artists. Artists are the groups. Metrics: macro ROC-AUC and mAP. Classes:
tags with their category (``genre---rock``), in alphabetical order.
"""

from pathlib import Path

import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.parsing.labels import multi_hot
from semisupcon.datasets.parsing.reading import find_file, place, read_table
from semisupcon.errors import AnnotationError, ConfigError

URL = "https://github.com/MTG/mtg-jamendo-dataset"
COLUMNS = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")
PARTS = {"train": "train", "val": "validation", "test": "test"}
_ABOUT = {
    "kind": "multilabel",
    "split": "official split 0 of 5",
    "metric": "roc_auc, mAP",
    "licence": "CC, by track",
    "source": URL,
}


def _read(root: Path, subset: str, split: int, low_quality: bool) -> LabelledClips:
    if split not in range(5):
        raise ConfigError(f"split must lie between 0 and 4, got {split}.")
    parts = []
    for name, part in PARTS.items():
        list_name = f"splits/split-{split}/autotagging_{subset}-{part}.tsv"
        # Rows differ in length: the field TAGS and all further fields are tags.
        rows = read_table(
            find_file(root, f"data/{list_name}", list_name, source=URL),
            COLUMNS,
            "\t",
            ragged=True,
        )
        tags = pd.Series(
            [
                [t, *filter(None, more)] if t else []
                for t, more in zip(rows["TAGS"], rows["rest"], strict=True)
            ],
            rows.index,
        )
        for row, (path, found) in enumerate(zip(rows["PATH"], tags, strict=True)):
            if not found or not path:
                raise AnnotationError(
                    *place(rows, row),
                    f"A track without {'tags' if path else 'path'}.",
                    f"Download the list again from {URL}.",
                )
        paths = rows["PATH"].str.removesuffix(".mp3") + (".low.mp3" if low_quality else ".mp3")
        parts.append(
            pd.DataFrame(
                {"path": "audio/" + paths, "split": name, "group": rows["ARTIST_ID"], "tags": tags},
            )
        )
    table = pd.concat(parts)
    classes = tuple(sorted({tag for tags in table["tags"] for tag in tags}))
    return LabelledClips(
        table.drop(columns="tags"),
        multi_hot(table["tags"], classes),
        classes,
        "multilabel",
        "roc_auc, mAP",
    )


@card(classes=50, **_ABOUT)
def mtg_top50(root: Path, split: int = 0, low_quality: bool = False) -> LabelledClips:
    """Load MTG-Jamendo with the 50 most frequent tags.

    Args:
        root: folder that contains ``data/splits/`` (or ``splits/``) of the repository, and the
            audio files ``audio/NN/<track>.mp3``.
        split: number of the official split, 0 to 4.
        low_quality: whether the audio is the official low-quality release (``<track>.low.mp3``).

    Raises:
        DatasetNotFoundError: if a list is missing.
        AnnotationError: if a row cannot be read.
    """
    return _read(root, "top50tags", split, low_quality)


@card(classes=87, **_ABOUT)
def mtg_genre(root: Path, split: int = 0, low_quality: bool = False) -> LabelledClips:
    """Load MTG-Jamendo with genres. Arguments and errors are those of `mtg_top50`."""
    return _read(root, "genre", split, low_quality)


@card(classes=40, **_ABOUT)
def mtg_instr(root: Path, split: int = 0, low_quality: bool = False) -> LabelledClips:
    """Load MTG-Jamendo with instruments. Arguments and errors are those of `mtg_top50`."""
    return _read(root, "instrument", split, low_quality)


@card(classes=56, **_ABOUT)
def mtg_mood(root: Path, split: int = 0, low_quality: bool = False) -> LabelledClips:
    """Load MTG-Jamendo with moods and themes. Arguments and errors are those of `mtg_top50`."""
    return _read(root, "moodtheme", split, low_quality)
