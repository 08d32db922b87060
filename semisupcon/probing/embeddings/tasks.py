"""Load tasks for probing: labelled clips of a data set, with splits and main metric."""

import inspect
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from semisupcon.data.sources import is_synthetic
from semisupcon.datasets import LabelledClips, find_task, load_annotations
from semisupcon.datasets.parsing.names import portable
from semisupcon.datasets.parsing.splits import group_split, stratified_split
from semisupcon.errors import ConfigError
from semisupcon.probing.scores.metrics import main_metric
from semisupcon.random import permutation, stable_hash

VALIDATION = 0.1
NAMED = re.compile(r"(?P<name>[^/=]+)=(?P<what>.+)")


def named(text: str) -> tuple[str, str]:
    """Split ``name=what`` into name and what. Without a name, both are the whole text."""
    match = NAMED.fullmatch(text)
    return (match["name"], match["what"]) if match else (text, text)


def load_task(
    text: str,
    root: str | Path | None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    need: Sequence[str] = ("train", "test"),
) -> LabelledClips:
    """Load the labelled clips of a task and check that they can be probed.

    Args:
        text: name or import path of a data set, or ``name=task`` to rename it in tables.
        root: folder of the data set; None for synthetic tasks.
        options: options of the data set. ``fold`` (1, 2, ...) selects one fold.
        seed: seed of the validation split. If the data set has no validation split, a tenth of the
            training clips is drawn, stratified by label; groups of clips stay together.
        need: splits that must have labelled clips.

    Raises:
        ConfigError: for an unknown task, option or metric, or a split without labelled clips.
        DatasetNotFoundError: if the data set is not at ``root``.
    """
    (name, what), options = named(text), dict(options or {})
    find_task(what)
    if root is None and not is_synthetic(what):
        raise ConfigError(
            f"Task '{name}' needs its folder: give --data_root DIR (with subfolder {what}/), or "
            f"--data_dirs.{name} DIR."
        )
    clips = load_annotations(what, root, **options)
    if clips.kind is None:
        raise ConfigError(f"Task '{name}' has no classes, so there is nothing to probe.")
    metric = main_metric(clips.kind, clips.classes, clips.metric, name)
    clips = replace(
        clips.select(clips.labelled), metric=metric, name=name, fold=options.get("fold", 0)
    )
    clips = clips.assign(split=_with_validation(clips, seed))
    if absent := [split for split in need if not len(clips.rows(split))]:
        raise ConfigError(
            f"Task '{name}' has no labelled clips in: {', '.join(absent)}.\nA probe needs training "
            "and test clips."
        )
    return clips


def fold_count(text: str, options: dict) -> int:
    """Return the number of cross-validation folds of a task.

    The number is the option ``folds``, or the constant ``FOLDS`` in the module of the data set. It
    is 0 for a data set without folds, or if the option ``fold`` selects one fold.

    Args:
        text: name or import path of a data set, or ``name=task``.
        options: options of the data set.
    """
    function = find_task(named(text)[1])
    parameters = inspect.signature(function).parameters
    if "fold" not in parameters or "fold" in options:
        return 0
    if "folds" in parameters:
        return options.get("folds") or 0
    return getattr(sys.modules[function.__module__], "FOLDS", 0)


def fraction_of_training(task: LabelledClips, fraction: float, seed: int) -> LabelledClips:
    """Return the task with a random share of its training clips, at least one per class.

    A smaller share is a subset of a larger one. Validation and test clips are unchanged.

    Raises:
        ConfigError: for a share outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ConfigError(
            f"The share of training clips (--train_share) must lie in (0, 1], got {fraction}."
        )
    train = task.rows("train")
    order = train[permutation(len(train), "training share", seed).numpy()]
    # The tolerance avoids rounding up, since 0.55 * 100 is 55.000000000000007 in floating point.
    keep = set(order[: max(1, math.ceil(fraction * len(train) - 1e-9))].tolist())
    if task.kind in ("multiclass", "multilabel"):
        keep |= {
            int(rows[0])
            for c in range(len(task.classes))
            if len(rows := order[task.targets[order, c] > 0.5])
        }
    return task.select([i for i, split in enumerate(task.split) if split != "train" or i in keep])


def shuffled_labels(task: LabelledClips, seed: int) -> LabelledClips:
    """Shuffle the labels within the training clips and within the validation clips.

    Test labels are unchanged. Results of probes should then be at chance level.
    """
    targets = task.targets.copy()
    for split in ("train", "val"):
        rows = task.rows(split)
        targets[rows] = targets[
            rows[permutation(len(rows), "shuffled labels", split, seed).numpy()]
        ]
    return replace(task, targets=targets)


def _with_validation(clips: LabelledClips, seed: int) -> np.ndarray:
    table, split = clips.table, clips.split.copy()
    train = np.flatnonzero(split == "train")
    if (split == "val").any() or len(train) < 2:
        return split
    shares = {"train": 1 - VALIDATION, "val": VALIDATION}
    names = portable(table.get("listed_as", table["path"]).tolist())
    if "group" in table and table["group"].notna().any():
        groups = [
            group if group == group and group is not None else f"/{name}"
            for group, name in zip(table["group"], names, strict=True)
        ]
        split[train] = group_split([groups[i] for i in train], shares, seed)
    else:
        split[train] = stratified_split(
            [names[i] for i in train], _strata(clips, train), shares, seed
        )
    if not (split == "val").any():
        # If all classes are too small for a stratified split, draw a tenth of all clips.
        by_hash = sorted(train, key=lambda i: stable_hash(f"{seed}/{names[i]}"))
        split[by_hash[: max(1, int(VALIDATION * len(train)))]] = "val"
    return split


def _strata(clips: LabelledClips, rows: np.ndarray) -> list[int]:
    if clips.kind == "regression":
        return [0] * len(rows)
    if clips.kind == "binary":
        return clips.targets[rows, 0].astype(int).tolist()
    return clips.targets[rows].argmax(axis=1).tolist()
