"""MagnaTagATune: 25,863 clips of 29 s with 188 tags, collected by a game (Law et al. 2009).

Where: https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset. Licence: CC BY-NC-SA (audio of
Magnatune). Metrics: macro ROC-AUC and mAP.

Two splits are published:

* ``folders`` (Dieleman and Schrauwen 2014; used by SemiSupCon, CLMR and musicnn): the first
  character of the path determines the split: 0 to b train, c validation, d to f test. There are
  18,709 / 1,825 / 5,329 clips.
* ``filtered`` (Lee et al. 2017): the same split, restricted to clips with a top-50 tag and 29.1 s
  of audio. The three lists ``{train,valid,test}_list_pub.txt`` have 15,244 / 1,529 / 4,332 clips.

In both splits, all clips of a song are in the same split, so songs are the groups. An artist may be
in several splits. The code of SemiSupCon moves all clips without a top-50 tag into training. In
this package they keep their split. They are unlabelled, or labelled without tags if ``untagged`` is
"negative", as in CLMR and musicnn. Classes of the top 50: the 50 most frequent tags in descending
order of their counts. The order is the published one, because some counts are equal.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.parsing.labels import flags, vectors
from semisupcon.datasets.parsing.names import stem
from semisupcon.datasets.parsing.reading import (
    find_file,
    optional_file,
    place,
    read_lines,
    read_table,
)
from semisupcon.errors import AnnotationError, ConfigError

URL = "https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset"
LISTS_URL = "https://github.com/jongpillee/music_dataset_split"
INDEX_URL = "https://github.com/jordipons/musicnn-training"
CSV = ("annotations_final.csv", "*/annotations_final.csv")
INDEX = ("index_mtt.tsv", "*/index_mtt.tsv")
SPLIT_OF_FOLDER = {
    **dict.fromkeys("0123456789ab", "train"),
    "c": "val",
    **dict.fromkeys("def", "test"),
}
TOP50 = (
    "guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano",
    "ambient", "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing",
    "vocals", "no vocals", "harpsichord", "loud", "quiet", "flute", "woman", "male vocal", "no vocal", "pop",
    "soft", "sitar", "solo", "man", "classic", "choir", "voice", "new age", "dance", "male voice",
    "female vocal", "beats", "harp", "cello", "no voice", "weird", "country", "metal", "female voice", "choral",
)  # fmt: skip
_ABOUT = {
    "kind": "multilabel",
    "split": "folders 12:1:3 (or filtered)",
    "metric": "roc_auc, mAP",
    "licence": "CC BY-NC-SA",
    "source": URL,
}


def _split_by_folder(paths: pd.Series) -> pd.Series:
    splits = paths.map(
        lambda path: SPLIT_OF_FOLDER.get(path.split("/", 1)[0]) if "/" in path else None,
    )
    if (wrong := np.flatnonzero(splits.isna())).size:
        problem = f"'{paths.iloc[wrong[0]]}' lies in none of the folders 0-9 and a-f."
        raise AnnotationError(
            *place(paths, wrong[0]),
            problem,
            f"Download the file again from {URL}.",
        )
    return splits


def _table(paths: pd.Series, root: Path, split: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the table of the clips with their songs, and a mask ``[n]`` of the used ``paths``."""
    songs = paths.map(lambda path: re.sub(r"-\d+-\d+$", "", stem(path)))
    table = pd.DataFrame({"path": paths, "split": _split_by_folder(paths), "group": songs})
    if split == "folders":
        return table, np.ones(len(table), dtype=bool)
    if split != "filtered":
        raise ConfigError(f"split is 'folders' or 'filtered', got '{split}'.")
    split_of: dict[str, str] = {}
    for name, part in {"train": "train", "val": "valid", "test": "test"}.items():
        listed = read_lines(
            root,
            f"{part}_list_pub.txt",
            f"*/{part}_list_pub.txt",
            source=LISTS_URL,
        )
        split_of |= dict.fromkeys(listed.map(lambda path: path.rsplit(".", 1)[0]), name)
    table["split"] = paths.map(lambda path: split_of.get(path.rsplit(".", 1)[0]))
    kept = table["split"].notna().to_numpy()
    if not kept.any():
        raise ConfigError(
            "None of the listed clips is in the annotation file; check that the lists belong to "
            "MagnaTagATune.",
        )
    return table[kept], kept


def _read_csv(root: Path, split: str) -> tuple[pd.DataFrame, np.ndarray, tuple[str, ...]]:
    file = find_file(root, *CSV, source=URL)
    rows = read_table(file, ["clip_id", "mp3_path"], separator="\t")
    tags = tuple(column for column in rows.columns if column not in ("clip_id", "mp3_path"))
    table, kept = _table(rows["mp3_path"], root, split)
    return table, flags(rows[list(tags)])[kept], tags


def _read_index(root: Path, split: str) -> tuple[pd.DataFrame, np.ndarray, tuple[str, ...]]:
    """Read the tables of musicnn: one has the paths of clips, the others their top-50 tags."""
    index = read_table(
        find_file(root, *INDEX, source=INDEX_URL),
        separator="\t",
        names=["id", "path"],
    )
    _split_by_folder(index["path"])
    path_of = dict(zip(index["id"], index["path"], strict=True))
    files = [
        find_file(root, f"{part}_gt_mtt.tsv", f"*/{part}_gt_mtt.tsv", source=INDEX_URL)
        for part in ("train", "val", "test")
    ]
    rows = pd.concat(read_table(file, separator="\t", names=["id", "tags"]) for file in files)
    paths = rows["id"].map(path_of)
    if (lost := np.flatnonzero(paths.isna())).size:
        problem = f"Clip {rows['id'].iloc[lost[0]]} is not in index_mtt.tsv."
        raise AnnotationError(
            *place(rows, lost[0]),
            problem,
            f"Take both files from the same release ({INDEX_URL}).",
        )
    table, kept = _table(paths, root, split)
    return table, vectors(rows["tags"], len(TOP50))[kept], TOP50


@card(classes=50, **_ABOUT)
def mtat_top50(root: Path, split: str = "folders", untagged: str = "unlabelled") -> LabelledClips:
    """Load MagnaTagATune with the 50 most frequent tags.

    Args:
        root: folder that contains ``annotations_final.csv`` and the clips (``0/`` to ``f/``). If
            the file is missing, the tables of musicnn and CLMR are read instead (``index_mtt.tsv``,
            ``{train,val,test}_gt_mtt.tsv``).
        split: ``folders`` or ``filtered``.
        untagged: treatment of clips without any of the 50 tags: ``unlabelled`` or ``negative``.

    Raises:
        DatasetNotFoundError: if the annotation file is missing.
        AnnotationError: if a row cannot be read.
        ConfigError: if ``split`` or ``untagged`` has an unknown value.
    """
    if untagged not in ("unlabelled", "negative"):
        raise ConfigError(f"untagged is 'unlabelled' or 'negative', got '{untagged}'.")
    file = optional_file(root, *CSV)
    read = _read_index if file is None and optional_file(root, *INDEX) else _read_csv
    table, targets, tags = read(root, split)
    if missing := [tag for tag in TOP50 if tag not in tags]:
        problem, remedy = (
            f"There is no column '{missing[0]}'.",
            f"Download the file again from {URL}.",
        )
        raise AnnotationError(file or root, 1, problem, remedy)
    targets = targets[:, [tags.index(tag) for tag in TOP50]]
    if untagged == "unlabelled":
        targets[targets.sum(axis=1) == 0] = np.nan
    return LabelledClips(table, targets, TOP50, "multilabel", "roc_auc, mAP")


@card(classes=188, **_ABOUT)
def mtat_all(root: Path, split: str = "folders") -> LabelledClips:
    """Load MagnaTagATune with all 188 tags, in the order of their columns.

    A clip may have no tags. Arguments and errors are those of `mtat_top50`.
    """
    table, targets, tags = _read_csv(root, split)
    return LabelledClips(table, targets, tags, "multilabel", "roc_auc, mAP")
