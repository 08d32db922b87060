"""Merge the clips of the labelled source and of the unlabelled pool, which may overlap.

Clips are identified by their files. Three kinds of files are never used for training: validation
and test files of a given task, audio in folders that have only held-out clips, and second copies of
a recording.
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
FEW = 5  # up to this number of left-out files, the log has no warning


def keep_apart(labelled: LabelledClips | None, pool: LabelledClips) -> pd.DataFrame:
    """Return a table of all usable files, each once, with the purposes they are used for.

    The columns are path, name, clip, group, split (train or val), in_pool (bool), labelled (bool)
    and row (index in ``labelled``, NaN for files of the pool).
    """
    table = located(pool).assign(in_pool=True, labelled=False, row=np.nan)
    if labelled is not None:
        listed = located(labelled)
        listed["row"] = np.arange(len(listed), dtype=float)
        listed["labelled"] = labelled.labelled
        # If both sources list a file, name and split of the labelled source are used. A file that
        # the pool holds out is not used for training.
        split_in_pool = listed["path"].map(dict(zip(table["path"], table["split"], strict=True)))
        training = listed["split"] == "train"
        listed["in_pool"] = split_in_pool.notna() & ~(training & (split_in_pool != "train"))
        held_out = set(listed["path"]) | held_out_near(labelled, table["path"])
        table = table[~table["path"].isin(held_out)]
        table = pd.concat([listed[~(training & (split_in_pool == "test"))], _apart(table, listed)])
    return table[table["split"] != "test"].sort_values("path", kind="stable", ignore_index=True)


def _apart(table: pd.DataFrame, listed: pd.DataFrame) -> pd.DataFrame:
    """Change the clip hashes of pool files that have the same relative path as a labelled file."""
    same, clip = table["clip"].isin(listed["clip"]).to_numpy(), table["clip"].to_numpy(copy=True)
    clip[same] = [stable_hash(f"unlabelled/{spelling(name)}") for name in table["name"][same]]
    return table.assign(clip=clip)


def located(clips: LabelledClips) -> pd.DataFrame:
    """Return a table of the clips of a source with absolute paths.

    The columns are path (absolute, with resolved links to folders), name, clip, split and group.
    ``clip`` is a hash of the name only, so it does not change if the source is moved or linked.
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
    """Return the files among ``paths`` that a task excludes from training.

    These are the validation and test clips of the task, copies of these clips, and unlisted files
    in their folders (see `semisupcon.datasets.parsing.finding.sort_unlisted`).
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
    """Return the absolute paths of files under the root of a source, in the format of `located`."""
    table = pd.DataFrame({"path": names, "split": "train"})
    return located(
        LabelledClips(table, np.zeros((len(names), 0), np.float32), (), kind=None, root=source.root)
    )["path"].tolist()


def _tell_left_out(root: str, beside: list[str], copies: list[str]) -> None:
    """Log the files that are left out of the pool, with the reason.

    The log level is a warning for more than `FEW` files.
    """
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
    """Keep one file of each recording; copies are found by `semisupcon.datasets.parsing.copies`.

    All files that ``labelled`` lists are kept. Among the other copies, a test clip is preferred,
    then a validation clip.
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
