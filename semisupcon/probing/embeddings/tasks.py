"""What a probe is asked: the labelled clips of a data set with their splits, ready to be embedded."""

import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semisupcon.data.sources import is_synthetic
from semisupcon.datasets import Annotations, find_task, load_annotations
from semisupcon.datasets.parsing.splits import group_split, stratified_split
from semisupcon.datasets.synthesis import render
from semisupcon.errors import ConfigError
from semisupcon.kinds import KINDS
from semisupcon.probing.scores.metrics import main_metric
from semisupcon.random import permutation, stable_hash

VALIDATION = 0.1
NAMED = re.compile(r"(?P<name>[^/=]+)=(?P<what>.+)")


@dataclass(frozen=True)
class Task:
    """n labelled clips.

    Attributes:
        name: how tables call it.
        files: n audio files.
        paths: their n names, relative to the root, as in the annotations.
        split: ``[n]`` of train, val, test.
        targets: ``[n, C]`` float32; one-hot for multiclass.
        classes: C names.
        kind: binary, multiclass, multilabel or regression.
        fold: the round of cross-validation, 0 where there is none.
        columns: what else the annotations say of the clips.
        metric: the main metric; "" becomes that of the label kind.
    """

    name: str
    files: tuple[Path, ...]
    paths: tuple[str, ...]
    split: np.ndarray
    targets: np.ndarray
    classes: tuple[str, ...]
    kind: str
    fold: int = 0
    columns: pd.DataFrame | None = None
    metric: str = ""

    def __post_init__(self):
        object.__setattr__(self, "metric", self.metric or KINDS[self.kind].main)

    def rows(self, split: str) -> np.ndarray:
        """Positions of the clips of a split."""
        return np.flatnonzero(self.split == split)


def named(text: str) -> tuple[str, str]:
    """``name=what`` taken apart; without a name it is its own."""
    match = NAMED.fullmatch(text)
    return (match["name"], match["what"]) if match else (text, text)


def load_task(
    text: str, root: str | Path | None, options: Mapping[str, Any] | None = None, seed: int = 0, need: Sequence[str] = ("train", "test")
) -> Task:
    """Read a task and see to it that it can be probed.

    Args:
        text: the name or import path of a data set, or ``name=task`` to call it otherwise in tables.
        root: its folder; None for the synthetic tasks, which render themselves.
        options: the data set's own; ``fold``, 1, 2, ..., for one round of a data set with folds.
        seed: of the validation split, where the data set has none (a tenth of the training clips, stratified, groups kept apart).
        need: splits that must hold labelled clips.

    Raises:
        ConfigError: for an unknown task, option or metric, or a split without labelled clips.
        DatasetNotFoundError: if the data set is not at ``root``.
    """
    (name, what), options = named(text), dict(options or {})
    if root is None and is_synthetic(what):
        root = render()
    find_task(what)
    if root is None:
        raise ConfigError(f"Task '{name}' needs its folder: give --data_root DIR (holding {what}/), or --data_dirs.{name} DIR.")
    annotations = load_annotations(what, root, **options)
    labelled = ~np.isnan(annotations.targets).any(axis=1)
    table = annotations.table[labelled].reset_index(drop=True)
    annotations = replace(annotations, table=table, targets=annotations.targets[labelled])
    split = _with_validation(annotations, seed)
    if absent := [s for s in need if not (split == s).any()]:
        raise ConfigError(
            f"Task '{name}' has no labelled clips in: {', '.join(absent)}.\nA probe needs clips to train on and clips to be tested on."
        )
    paths = tuple(table["path"])
    fold, clips = options.get("fold", 0), tuple(Path(root) / p for p in paths)
    labels = (annotations.targets, annotations.classes, annotations.kind)
    metric = main_metric(annotations.kind, annotations.classes, annotations.metric, name)
    return Task(name, clips, paths, split, *labels, fold, table, metric)


def fold_count(text: str, options: dict) -> int:
    """Over how many folds a data set is cross-validated, unless the user chose one: the ``folds`` asked for, or its module's ``FOLDS``; else 0."""
    function = find_task(named(text)[1])
    parameters = inspect.signature(function).parameters
    if "fold" not in parameters or "fold" in options:
        return 0
    if "folds" in parameters:
        return options.get("folds") or 0
    return getattr(sys.modules[function.__module__], "FOLDS", 0)


def fraction_of_training(task: Task, fraction: float, seed: int) -> Task:
    """The task with a share of its training clips, at least one of every class; nested (5 % lies inside 25 %), validation and test whole.

    Raises:
        ConfigError: for a share outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ConfigError(f"The share of training clips must lie in (0, 1], got {fraction}.")
    train = task.rows("train")
    order = train[permutation(len(train), "training share", seed).numpy()]
    keep = set(order[: int(np.ceil(fraction * len(train)))].tolist())
    if task.kind in ("multiclass", "multilabel"):
        keep |= {int(rows[0]) for c in range(len(task.classes)) if len(rows := order[task.targets[order, c] > 0.5])}
    chosen = np.array([s != "train" or i in keep for i, s in enumerate(task.split)])
    return select(task, np.flatnonzero(chosen))


def select(task: Task, rows: Sequence[int]) -> Task:
    """The task with some of its clips only."""
    return replace(
        task,
        files=tuple(task.files[i] for i in rows),
        paths=tuple(task.paths[i] for i in rows),
        split=task.split[rows],
        targets=task.targets[rows],
        columns=None if task.columns is None else task.columns.iloc[list(rows)].reset_index(drop=True),
    )


def shuffled_labels(task: Task, seed: int) -> Task:
    """The control that must give chance: the training and validation labels dealt out anew among their clips; test labels stay."""
    targets = task.targets.copy()
    for split in ("train", "val"):
        rows = task.rows(split)
        targets[rows] = targets[rows[permutation(len(rows), "shuffled labels", split, seed).numpy()]]
    return replace(task, targets=targets)


def _with_validation(annotations: Annotations, seed: int) -> np.ndarray:
    table, split = annotations.table, annotations.table["split"].to_numpy(dtype=object).copy()
    train = np.flatnonzero(split == "train")
    if (split == "val").any() or len(train) < 2:
        return split
    shares = {"train": 1 - VALIDATION, "val": VALIDATION}
    if "group" in table and table["group"].notna().all():
        split[train] = group_split(table["group"].to_numpy()[train].tolist(), shares, seed)
    else:
        split[train] = stratified_split(table["path"].to_numpy()[train].tolist(), _strata(annotations, train), shares, seed)
    if not (split == "val").any():
        # Every class too small for a share of its own: a tenth of all, whatever the class.
        by_hash = sorted(train, key=lambda i: stable_hash(f"{seed}/{table['path'][i]}"))
        split[by_hash[: max(1, int(VALIDATION * len(train)))]] = "val"
    return split


def _strata(annotations: Annotations, rows: np.ndarray) -> list[int]:
    if annotations.kind == "regression":
        return [0] * len(rows)
    if annotations.kind == "binary":
        return annotations.targets[rows, 0].astype(int).tolist()
    return annotations.targets[rows].argmax(axis=1).tolist()
