"""Combine ``sl_task``, ``ssl_task`` and ``data_dir`` into one table of files.

A source is a set of clips: those of a task, all audio in a folder, or the embedded synthetic set.
The labelled clips are those of ``sl_task``. The unlabelled pool is the first available of
``ssl_task``, all audio under ``data_dir``, ``sl_task``, and the embedded synthetic set. If sources
overlap, clips are identified by their files. Validation and test files of a given task are never
used for training, nor is audio in folders that have only held-out clips.
"""

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semisupcon.audio.listing import list_audio, no_audio, tell
from semisupcon.audio.scan import scan, usable
from semisupcon.data.overlaps import keep_apart, without_copies
from semisupcon.datasets import LabelledClips, find_task, load_annotations
from semisupcon.datasets.synthesis import render
from semisupcon.errors import ConfigError, DatasetNotFoundError, UserError

log = logging.getLogger(__name__)
EMBEDDED_TASK = "synthetic_tags"


def task_source(
    task: str, data_dir: str | Path | None, options: dict[str, Any], argument: str
) -> LabelledClips:
    """Load the clips and labels of a task.

    Args:
        task: name or import path.
        data_dir: root of the task, unless ``options`` has ``root``. Ignored for synthetic tasks,
            which are rendered.
        options: the options of the data set, and ``root``.
        argument: "sl_task" or "ssl_task", for messages.
    """
    find_task(task)  # check the name before rendering or searching
    options = dict(options)
    root = options.pop("root", None if is_synthetic(task) else data_dir)
    if root is None and is_synthetic(task):
        root = render()
    if root is None:
        kwargs = argument.replace("task", "kwargs")
        raise ConfigError(
            f"data.{argument} '{task}' needs a folder: give data.data_dir, or root in "
            f"data.{kwargs}."
        )
    root = os.path.expanduser(root)
    if not Path(root).is_dir():
        raise DatasetNotFoundError(
            f"The folder of '{task}'",
            root,
            "Give the folder that holds the data set (data.data_dir).",
        )
    root = os.path.realpath(root)
    return load_annotations(task, root, **options)


def is_synthetic(task: str) -> bool:
    """Return whether a task is synthetic, so that this package renders its clips."""
    return task.rsplit(".", 1)[-1].startswith("synthetic_")


def embedded_source() -> LabelledClips:
    """Return the clips of the embedded synthetic set, which this package renders."""
    return task_source(EMBEDDED_TASK, None, {}, "ssl_task")


def audio_in(folder: str | Path) -> LabelledClips:
    """List all audio under a folder as sorted training clips. Hidden files and folders are left
    out.

    Raises:
        DatasetNotFoundError: if the folder does not exist.
        UserError: if the folder has no audio.
    """
    folder = os.path.expanduser(folder)
    if not Path(folder).is_dir():
        raise DatasetNotFoundError(
            "The folder of audio", folder, "Give an existing folder as data.data_dir."
        )
    root = os.path.realpath(folder)
    listing = list_audio(root)
    if not (names := listing.files):
        raise UserError(no_audio([listing]))
    tell(listing)
    table = pd.DataFrame({"path": names, "split": "train"})
    return LabelledClips(table, np.zeros((len(names), 0), np.float32), (), kind=None, root=root)


def gather(
    sl_task: str | None = None,
    ssl_task: str | None = None,
    data_dir: str | Path | None = None,
    sl_kwargs: dict[str, Any] | None = None,
    ssl_kwargs: dict[str, Any] | None = None,
    max_bad: float = 0.01,
) -> LabelledClips:
    """Find and scan all files for training and validation.

    Args:
        sl_task: labelled data set; None for self-supervision.
        ssl_task: data set of the unlabelled pool; its labels are ignored.
        data_dir: root of both data sets, unless their kwargs have ``root``. Without ``ssl_task``,
            the pool is all audio in this folder.
        sl_kwargs: ``root`` and options of the labelled data set.
        ssl_kwargs: ``root`` and options of the data set of the pool.
        max_bad: maximum share of unusable files, which are left out and logged.

    Returns:
        Each file once, sorted by path. The columns are ``path`` (absolute), ``name`` (relative to
            its root), ``clip`` (63-bit hash of the name), ``group``, ``split`` (train or val, as in
            the sources), ``in_pool``, ``labelled``, ``frames``, ``sample_rate`` and ``listed``
            (whether ``sl_task`` lists the file). Targets, classes and kind are those of
            ``sl_task``. A file without label has a NaN row.

    Raises:
        ConfigError: if a task or option is unknown.
        DatasetNotFoundError: if a folder or file is missing.
        UserError: if a folder has no audio, or if too many files are unusable.
    """
    labelled, pool = _sources(
        sl_task, ssl_task, data_dir, dict(sl_kwargs or {}), dict(ssl_kwargs or {})
    )
    files = keep_apart(labelled, pool)
    where = " and ".join(
        dict.fromkeys(source.root for source in (labelled, pool) if source is not None)
    )
    if files.empty:
        raise UserError(
            f"No clips to train on.\nIn: {where}\nCheck the splits of the task; test clips are "
            "never trained on."
        )
    facts = scan(files["path"].tolist())
    good = usable(files["name"].tolist(), facts, max_bad, where)
    files = pd.concat([files, facts[["frames", "sample_rate"]]], axis=1)[good].reset_index(
        drop=True
    )
    files = without_copies(files, labelled, pool)
    files["listed"] = files["row"].notna()
    labels = pool.without_labels() if labelled is None else labelled
    targets = np.full((len(files), len(labels.classes)), np.nan, np.float32)
    targets[files["listed"]] = labels.targets[files["row"][files["listed"]].astype(int)]
    return replace(labels, table=files.drop(columns="row"), targets=targets, root=where)


def _sources(
    sl_task: str | None,
    ssl_task: str | None,
    data_dir: str | Path | None,
    sl_kwargs: dict[str, Any],
    ssl_kwargs: dict[str, Any],
) -> tuple[LabelledClips | None, LabelledClips]:
    """Return the labelled source (or None) and the pool, given by the user or by default."""
    labelled = task_source(sl_task, data_dir, sl_kwargs, "sl_task") if sl_task else None
    if labelled is not None and ssl_task == sl_task and not ssl_kwargs:
        return labelled, labelled
    if ssl_task:
        return labelled, task_source(ssl_task, data_dir, ssl_kwargs, "ssl_task")
    if data_dir is not None:
        return labelled, audio_in(data_dir)
    if labelled is not None:
        return labelled, labelled
    log.info(
        "data: neither sl_task, ssl_task nor data_dir is given; training on the embedded synthetic "
        "set, without labels."
    )
    return None, embedded_source()
