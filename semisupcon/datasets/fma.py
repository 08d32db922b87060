"""FMA: 30 s clips of the Free Music Archive with genres (Defferrard et al. 2017).

The subset small has 8,000 clips, medium 25,000 and large 106,574. Where:
https://github.com/mdeff/fma. Licence: Creative Commons, which differ between tracks (metadata CC BY
4.0). Split: official, 80 / 10 / 10 %, stratified by genre and separated by artist. Artists are the
groups. Subsets are nested: medium consists of the 8,000 tracks marked ``small`` in the table and of
the 17,000 marked ``medium``. Metric: accuracy. Classes: top genres of the subset in alphabetical
order, 8 in small, 16 in medium. Tracks without a top genre (most of large) are unlabelled.
SemiSupCon pretrains on medium without labels, and draws training and validation clips from the
whole subset, including test tracks. This package does not train on test tracks.
"""

from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import Archive, card
from semisupcon.datasets.parsing.labels import one_hot
from semisupcon.datasets.parsing.reading import find_file, located, place, read_rows
from semisupcon.errors import AnnotationError, ConfigError

URL = "https://github.com/mdeff/fma"
ARCHIVES = (
    Archive(
        "https://os.unil.cloud.switch.ch/fma/fma_metadata.zip",
        358_412_441,
        "sha1:f0df49ffe5f2a6008d7dc83c6915b31835dfe733",
    ),
    Archive(
        "https://os.unil.cloud.switch.ch/fma/fma_medium.zip",
        23_825_005_356,
        "sha1:c67b69ea232021025fca9231fc1c7c1a063ab50b",
    ),
)
SUBSETS = ("small", "medium", "large")
SPLITS = {"training": "train", "validation": "val", "test": "test"}
COLUMNS = {
    "id": "track_id",
    "artist": "artist.id",
    "split": "set.split",
    "subset": "set.subset",
    "genre": "track.genre_top",
}


@card(
    kind="multiclass",
    classes=16,
    split="official, by artist",
    metric="accuracy",
    licence="CC, by track",
    source=URL,
    archives=ARCHIVES,
)
def fma(root: Path, subset: str = "medium") -> LabelledClips:
    """Load FMA with the top genre as the class.

    Args:
        root: folder that contains ``fma_metadata/tracks.csv`` and ``fma_<subset>/NNN/NNNNNN.mp3``.
        subset: small, medium or large.

    Raises:
        DatasetNotFoundError: if ``tracks.csv`` is missing.
        AnnotationError: if ``tracks.csv`` lacks a column, or if a row has an unknown split or
            subset.
        ConfigError: if ``subset`` has an unknown value.
    """
    if subset not in SUBSETS:
        raise ConfigError(f"subset is one of {', '.join(SUBSETS)}; got '{subset}'.")
    rows = _read(find_file(root, "fma_metadata/tracks.csv", "tracks.csv", source=URL))
    for column, known in (("subset", SUBSETS), ("split", tuple(SPLITS))):
        wrong = np.flatnonzero(~rows[column].isin(known))
        if wrong.size:
            problem = f"'{rows[column].iloc[wrong[0]]}' is not a {column}."
            raise AnnotationError(
                *place(rows, wrong[0]),
                problem,
                f"It is one of {', '.join(known)}; download the file again from {URL}.",
            )
    rows = rows[rows["subset"].isin(SUBSETS[: SUBSETS.index(subset) + 1])]
    genres = rows["genre"].where(rows["genre"] != "", None)
    classes = tuple(sorted(genres.dropna().unique()))
    paths = rows["id"].str.zfill(6).map(lambda name: f"fma_{subset}/{name[:3]}/{name}.mp3")
    table = pd.DataFrame(
        {"path": paths, "split": rows["split"].map(SPLITS), "group": rows["artist"]},
    )
    return LabelledClips(
        table,
        one_hot(genres, classes),
        classes,
        kind="multiclass",
        metric="accuracy",
    )


def _read(file: Path) -> pd.DataFrame:
    """Read the needed columns of ``tracks.csv``, whose column names span three header lines."""
    lines = read_rows(file)
    heads = [fields for _, fields in islice(lines, 3)]
    names = (
        [".".join(filter(None, parts)) for parts in zip(*heads, strict=False)]
        if len(heads) == 3
        else []
    )
    for column in COLUMNS.values():
        if column not in names:
            problem = f"The three header lines name no column '{column.replace('.', ' / ')}'."
            raise AnnotationError(
                file,
                3,
                problem,
                f"Download the file again from {URL}; fields are separated by commas.",
            )
    wanted = [names.index(column) for column in COLUMNS.values()]
    rows, numbers = [], []
    for line, fields in lines:
        if len(fields) != len(names):
            raise AnnotationError(
                file,
                line,
                f"{len(fields)} fields where {len(names)} are expected.",
                f"Download the file again from {URL}.",
            )
        rows.append([fields[i] for i in wanted])
        numbers.append(line)
    if not rows:
        raise AnnotationError(
            file,
            None,
            "The table has no rows.",
            f"Download the file again from {URL}.",
        )
    return located(pd.DataFrame(rows, columns=list(COLUMNS), dtype=object), file, numbers)
