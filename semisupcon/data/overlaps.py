"""One table of the labelled source and the pool, which may overlap.

Clips are identified by their files: a validation or test file of any named task is never trained
on, nor is audio in folders with only held-out clips, nor a copy of a recording.
"""

import logging
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from semisupcon.datasets import LabelledClips
from semisupcon.datasets.parsing.copies import one_of_each, told
from semisupcon.datasets.parsing.finding import sort_unlisted
from semisupcon.datasets.parsing.names import portable, spelling
from semisupcon.paths import text_of
from semisupcon.random import stable_hash

log = logging.getLogger(__name__)
FEW = 5  # up to this number, left-out files are logged without a warning


def keep_apart(labelled: LabelledClips | None, pool: LabelledClips) -> pd.DataFrame:
    """Table of all usable files, each once, with their use.

    Columns: path, name, clip, group, split (train or val), in_pool, labelled, row (of ``labelled``,
    else NaN).
    """
    table = located(pool).assign(in_pool=True, labelled=False, row=np.nan)
    if labelled is not None:
        listed = located(labelled)
        listed["row"] = np.arange(len(listed), dtype=float)
        listed["labelled"] = labelled.labelled
        # If both list a file, name and split of the labelled source are used. A file that the pool
        # holds out is not trained on either.
        split_in_pool = listed["path"].map(dict(zip(table["path"], table["split"], strict=True)))
        training = listed["split"] == "train"
        listed["in_pool"] = split_in_pool.notna() & ~(training & (split_in_pool != "train"))
        held_out = set(listed["path"]) | held_out_near(labelled, table["path"])
        table = table[~table["path"].isin(held_out)]
        table = pd.concat([listed[~(training & (split_in_pool == "test"))], _apart(table, listed)])
    return table[table["split"] != "test"].sort_values("path", kind="stable", ignore_index=True)


def _apart(table: pd.DataFrame, listed: pd.DataFrame) -> pd.DataFrame:
    """Give different clip hashes to files of two roots with the same relative path."""
    same, clip = table["clip"].isin(listed["clip"]).to_numpy(), table["clip"].to_numpy(copy=True)
    clip[same] = [stable_hash(f"unlabelled/{spelling(name)}") for name in table["name"][same]]
    return table.assign(clip=clip)


def located(clips: LabelledClips) -> pd.DataFrame:
    """Return the clips of a source with absolute paths.

    Columns: path (absolute, folder links resolved), name, clip, split, group. ``clip`` is a hash of
    the name only, so it stays the same if the source is moved or linked.
    """
    drawn_from = portable(clips.table.get("listed_as", clips.table["path"]).astype(str).tolist())
    folder = cache(os.path.realpath)
    parts = [
        os.path.split(os.path.normpath(os.path.join(clips.root, path))) for path in clips.paths
    ]
    return pd.DataFrame(
        {
            "path": [text_of(os.path.join(folder(at), name)) for at, name in parts],
            "name": list(clips.paths),
            "clip": np.array([stable_hash(name) for name in drawn_from], dtype=np.int64),
            "split": clips.table["split"],
            "group": clips.table.get("group"),
        }
    )


def held_out_near(source: LabelledClips, paths: Iterable[str]) -> set[str]:
    """Return those of ``paths`` under the root of a task that may not be used for training.

    These are its validation and test clips, copies of them, and unlisted files beside them
    (`semisupcon.datasets.parsing.finding.sort_unlisted`).
    """
    paths, table = set(paths), located(source)
    held_out = set(table.loc[table["split"] != "train", "path"]) & paths
    if not any(path.startswith(source.root + os.sep) for path in paths):
        return held_out
    others = sort_unlisted(source, Path(source.root))
    beside, copies = (
        [path for path in _files(source, names) if path in paths]
        for names in (others.beside, others.copies)
    )
    _tell_left_out(source.root, beside, copies)
    return held_out.union(beside, copies)


def _files(source: LabelledClips, names: list[str]) -> list[str]:
    """Absolute paths of files under the root of a source, as in `located`."""
    table = pd.DataFrame({"path": names, "split": "train"})
    return located(
        LabelledClips(table, np.zeros((len(names), 0), np.float32), (), kind=None, root=source.root)
    )["path"].tolist()


def _tell_left_out(root: str, beside: list[str], copies: list[str]) -> None:
    """Log the files that are left out of the pool and the reason; a warning for more than a few."""
    said = [
        f"{len(files)} {what} "
        f"({', '.join(os.path.relpath(path, root) for path in files[:3])}{', ...' * (len(files) > 3)})"
        for files, what in (
            (beside, "lie among held-out clips"),
            (copies, "are copies of listed clips by folder and name"),
        )
        if files
    ]
    if said:
        level = logging.WARNING if len(beside) + len(copies) > FEW else logging.INFO
        log.log(
            level,
            "data: %d files are left out of the pool: %s.",
            len(beside) + len(copies),
            " and ".join(said),
        )


def without_copies(
    files: pd.DataFrame, labelled: LabelledClips | None, pool: LabelledClips
) -> pd.DataFrame:
    """Remove copies of a recording, see `semisupcon.datasets.parsing.copies`.

    Files listed by ``labelled`` are kept. Of other copies a held-out one is kept: a test clip, or
    else a validation clip.
    """
    others = pd.concat(
        [located(source) for source in (labelled, pool) if source is not None]
    ).drop_duplicates("path")
    others = others[~others["path"].isin(files["path"]) & (others["split"] != "train")].assign(
        split="test"
    )
    every = pd.concat([files, others], ignore_index=True)
    listed = every["row"].notna()
    rank = (~listed).to_numpy() * every["split"].map({"test": 1, "val": 2, "train": 3}).to_numpy()
    used, left_out = one_of_each(every["path"].tolist(), every["name"].tolist(), rank.tolist())
    left_out = [(i, j) for i, j in left_out if i < len(files) and not listed[i]]
    if left_out:
        log.warning("data: %s", told(left_out, every["name"].tolist()))
    stays = (used | listed.to_numpy())[: len(files)]
    if twice := int((~used & listed.to_numpy()).sum()):
        log.warning(
            "data: the table lists %d recordings more than once; data check names them.", twice
        )
    return files[stays].reset_index(drop=True)
