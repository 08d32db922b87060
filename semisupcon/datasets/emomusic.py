"""EmoMusic: 744 song excerpts of 45 s with arousal and valence (Soleymani et al. 2013).

The set is "1000 Songs" without duplicates. Where: https://cvml.unige.ch/databases/emoMusic/.
Licence: Creative Commons, which differ between songs (Free Music Archive); annotations for research
only. Split: the 125 songs of the 2013 evaluation set are test. Artists of the development set are
assigned to training or validation by the SHA-1 hash of their names (504 / 115 songs), as in jukemir
(Castellon et al. 2021). 52 artists are in both sets, so no groups are declared. Metric: R2, mean of
both values. Values: arousal and valence, rated from 1 to 9. (The code of SemiSupCon z-scores the
values over training and validation, which does not change R2.)
"""

import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.parsing.labels import numbers
from semisupcon.datasets.parsing.reading import find_file, place, read_table
from semisupcon.errors import AnnotationError

URL = "https://cvml.unige.ch/databases/emoMusic/"
VALUES = ("arousal", "valence")
SET_COLUMN = "Mediaeval 2013 set"


def _is_validation(artist: str) -> bool:
    name = re.sub(r"[^a-z ]", "", artist.lower())
    name = re.sub(r"\s+", " ", name).strip()
    return int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(), 16) % 10 >= 8


@card(
    kind="regression",
    classes=2,
    split="2013 evaluation set; artists by hash",
    metric="r2",
    licence="CC, by song",
    source=URL,
)
def emomusic(root: Path) -> LabelledClips:
    """Load EmoMusic with the mean arousal and valence of each excerpt as regression targets.

    Args:
        root: folder that contains ``songs_info.csv`` and ``static_annotations.csv`` (both may be in
            ``annotations/``), and ``clips_45seconds/<id>.mp3``.

    Raises:
        DatasetNotFoundError: if a table is missing.
        AnnotationError: if a song has no values, or if a value is outside 1..9 or a set is unknown.
    """
    songs = read_table(_find(root, "songs_info"), ["song_id", "Artist", SET_COLUMN])
    ratings = read_table(
        _find(root, "static_annotations"),
        ["song_id", *(f"mean_{name}" for name in VALUES)],
    )
    values = np.stack([numbers(ratings[f"mean_{name}"], 1, 9) for name in VALUES], axis=1)
    row_of = {song: row for row, song in enumerate(ratings["song_id"])}
    splits = []
    for row, (song, artist, part) in enumerate(
        zip(songs["song_id"], songs["Artist"], songs[SET_COLUMN], strict=True),
    ):
        if song not in row_of or np.isnan(values[row_of[song]]).any():
            raise AnnotationError(
                *place(songs, row),
                f"Song {song} has no arousal and valence.",
                f"Take both tables from {URL}.",
            )
        if part not in ("development", "evaluation"):
            raise AnnotationError(
                *place(songs, row),
                f"'{part}' is not a {SET_COLUMN}.",
                "It is 'development' or 'evaluation'.",
            )
        splits.append(
            "test" if part == "evaluation" else "val" if _is_validation(artist) else "train",
        )
    table = pd.DataFrame(
        {"path": songs["song_id"].map(lambda song: f"clips_45seconds/{song}.mp3"), "split": splits},
    )
    return LabelledClips(
        table,
        values[[row_of[song] for song in songs["song_id"]]],
        VALUES,
        kind="regression",
        metric="r2",
    )


def _find(root: Path, name: str) -> Path:
    return find_file(root, f"{name}.csv", f"annotations/{name}.csv", f"*/{name}.csv", source=URL)
