"""Draw validation clips and label subsets.

A clip that keeps its label is removed from the unlabelled pool. A clip that loses its label (see
``supervised_data_p``) remains in the pool. If all clips of the pool keep their labels, the same
clips with hidden labels form the pool, so that batches can have the share
``intrabatch_supervised_p`` of labelled clips.

There are four differences from the published code of SemiSupCon. ``supervised_data_p`` is applied
once, and only to training labels. Subsets are nested and depend only on the seed and file names.
Self-supervised training needs no labels. Test clips are never used for training.
"""

import logging
from dataclasses import replace
from typing import TypedDict

import numpy as np
import pandas as pd
import torch

from semisupcon.datasets.base import LabelledClips
from semisupcon.errors import ConfigError, UserError
from semisupcon.random import derive

log = logging.getLogger(__name__)
_AT_ONCE = 1 << 14  # rows that are looked at at once, so that no second table is in memory


class Draws(TypedDict):
    """The options of `divide`."""

    val_split: float
    supervised_data_p: float
    fully_supervised: bool


def divide(
    clips: LabelledClips,
    val_split: float = 0.1,
    supervised_data_p: float = 1.0,
    fully_supervised: bool = False,
    seed: int = 123,
) -> LabelledClips:
    """Draw the validation clips, and the training clips that keep their labels.

    Args:
        clips: the result of `gather`.
        val_split: share of the training clips that become validation clips, in [0, 1). Used for
            sources without validation clips.
        supervised_data_p: share of the labelled training clips that keep their labels. The clips of
            a smaller share are a subset of those of a larger share.
        fully_supervised: whether to use all labelled clips and no unlabelled clip.
        seed: seed of the draws.

    Returns:
        The clips of a run, in the order of ``clips``; clips that also have a row with hidden labels
        have it at the end. The column ``source`` (labelled or unlabelled) is added, and ``split`` is
        train or val. Targets of unlabelled clips are NaN.

    Raises:
        ConfigError: if a share is out of range, or if labels are required but no data set with
            labels is given.
        UserError: if no training clips remain, or if the labelled source has no labelled training
            clips.
    """
    check_shares(val_split, supervised_data_p)
    if fully_supervised and clips.kind is None:
        raise ConfigError("data.fully_supervised needs labels: name a data.sl_task.")
    listed = clips.table["split"] == "train"
    if clips.kind is not None and not (clips.table["labelled"].astype(bool) & listed).any():
        raise UserError(
            f"data.sl_task '{clips.name}' labels no training clip; {int(listed.sum())} clips would "
            "be trained on without labels.\n"
            f"In: {clips.root}\nCheck its layout with semisupcon data check {clips.name}, or give "
            "no data.sl_task."
        )
    files = clips.table.assign(split=_with_validation(clips.table, val_split, seed))
    keeps_label = _keeps_label(files, 1.0 if fully_supervised else supervised_data_p, seed)
    unlabelled = files["in_pool"].to_numpy(bool) & ~keeps_label & (not fully_supervised)
    training = (files["split"] == "train").to_numpy()
    used, again = keeps_label | unlabelled, np.zeros(len(files), bool)
    if (
        not fully_supervised
        and (keeps_label & training).any()
        and not (unlabelled & training).any()
    ):
        log.info(
            "data: every training clip is labelled; the unlabelled clips are the same clips with "
            "hidden labels.",
        )
        again = keeps_label & training
    if not training[used].any():
        raise UserError(
            f"No training clips are left.\nIn: {clips.root}\nLower data.val_split, or check the "
            "splits of the task.",
        )
    # Tables and targets of millions of clips are large: they are copied only if rows change.
    index = np.concatenate([np.flatnonzero(used), np.flatnonzero(again)])
    rows, targets = files, clips.targets
    if len(index) != len(files) or not used.all():
        rows, targets = files.take(index).reset_index(drop=True), targets[index]
    hidden = unlabelled[index]
    hidden[len(index) - again.sum() :] = True
    places = np.flatnonzero(hidden)
    pieces = (places[i : i + _AT_ONCE] for i in range(0, len(places), _AT_ONCE))
    if not all(np.isnan(targets[piece]).all() for piece in pieces):
        targets = targets.copy() if targets is clips.targets else targets
        targets[hidden] = np.nan
    rows = rows.assign(source=_names(hidden, ("labelled", "unlabelled")))
    _tell(training[index], hidden, clips)
    return replace(clips, table=rows, targets=targets)


def hide_labels(clips: LabelledClips) -> LabelledClips:
    """Return each clip of a run once, as an unlabelled clip; classes and kind are kept."""
    table = (
        clips.table.drop_duplicates("path")
        .assign(source="unlabelled")
        .sort_values("path", kind="stable")
    )
    return replace(
        clips,
        table=table,
        targets=np.full((len(table), len(clips.classes)), np.nan, np.float32),
    )


def check_shares(val_split: float, supervised_data_p: float) -> None:
    """Check the range of the shares; raise a ConfigError for invalid values."""
    if not 0 <= val_split < 1:
        raise ConfigError(f"data.val_split must be at least 0 and below 1, got {val_split:g}.")
    if not 0 <= supervised_data_p <= 1:
        raise ConfigError(
            f"data.supervised_data_p must lie between 0 and 1, got {supervised_data_p:g}.",
        )


def _ranks(clips: pd.Series, seed: int, purpose: str) -> np.ndarray:
    """Return pseudo-random ranks of clips, which depend only on seed, purpose and clip names."""
    return derive(
        torch.from_numpy(clips.to_numpy(dtype=np.int64, copy=True)),
        seed,
        purpose,
    ).numpy()


def _first(rank: np.ndarray, among: np.ndarray, share: float) -> np.ndarray:
    """Return a mask of the ``round(share * n)`` clips with the lowest ranks among n clips.

    If share > 0, at least one clip is chosen.
    """
    candidates = np.flatnonzero(among)
    count = int(share * len(candidates) + 0.5)
    count = max(count, 1) if share > 0 and len(candidates) else count
    chosen = np.zeros(len(rank), bool)
    chosen[candidates[np.argsort(rank[candidates], kind="stable")[:count]]] = True
    return chosen


def _with_validation(files: pd.DataFrame, val_split: float, seed: int) -> pd.Series:
    """Return the split of every clip.

    In a source without validation clips, some training clips become validation clips.
    """
    split = files["split"].copy()
    rank = _ranks(files["clip"], seed, "validation")
    train, listed = (split == "train").to_numpy(), files["listed"].to_numpy(bool)
    validates, group = (split == "val").to_numpy(), None
    for members in (listed, ~listed):
        training = members & train
        if val_split == 0 or (members & validates).any() or training.sum() < 2:
            continue
        group = _groups(files) if group is None else group
        if pd.Index(group[training]).is_unique:
            split[_first(rank, training, val_split)] = "val"
            continue
        # Take whole groups in pseudo-random order until the share is reached.
        sizes = (
            pd.Series(rank[training])
            .groupby(group[training])
            .agg(["min", "size"])
            .sort_values("min")
        )
        taken = sizes.index[
            : max(1, int((sizes["size"].cumsum() <= val_split * training.sum() + 0.5).sum()))
        ]
        if len(taken) < len(sizes):
            split[training & np.isin(group, taken)] = "val"
    return split


def _groups(files: pd.DataFrame) -> np.ndarray:
    """Return a number for the group of each clip; a clip without group is identified by its
    name."""
    if not files["group"].notna().any():
        return files["clip"].to_numpy()  # hashes of the names
    return pd.factorize(files["group"].where(files["group"].notna(), files["name"]))[0]


def _names(second: np.ndarray, names: tuple[str, str]) -> pd.Series:
    """Return a column of texts: the second name where a mask is True, else the first."""
    return pd.Series(pd.Categorical.from_codes(second.astype(np.int8), pd.Index(names))).astype(str)


def _keeps_label(files: pd.DataFrame, share: float, seed: int) -> np.ndarray:
    """Return a mask of the clips that keep their labels: all of validation, a share of training."""
    labelled = files["labelled"].to_numpy(bool)
    training = labelled & (files["split"] == "train").to_numpy()
    return (labelled & ~training) | _first(
        _ranks(files["clip"], seed, "supervised"),
        training,
        share,
    )


def _tell(training: np.ndarray, hidden: np.ndarray, clips: LabelledClips) -> None:
    def told(split: np.ndarray) -> str:
        labelled, unlabelled = int((split & ~hidden).sum()), int((split & hidden).sum())
        parts = [f"{labelled} clips labelled by {clips.name}"] * bool(labelled) + [
            f"{unlabelled} unlabelled clips",
        ] * bool(unlabelled)
        return " and ".join(parts) or "no clips"

    log.info(
        "data: training on %s, validating on %s (in %s).",
        told(training),
        told(~training),
        clips.root,
    )
