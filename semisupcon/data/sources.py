"""Where clips come from: a task's annotations, a plain folder, or the embedded synthetic set."""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semisupcon.data.annotations import Annotations, find_task, load_annotations
from semisupcon.data.annotations.layout import audio_files, unlisted
from semisupcon.data.synthetic import render
from semisupcon.errors import ConfigError, DatasetNotFoundError, UserError
from semisupcon.random import stable_hash

log = logging.getLogger(__name__)
EMBEDDED_TASK = "synthetic_tags"


@dataclass(frozen=True, eq=False)
class Source:
    """Clips under a root.

    Attributes:
        annotations: their table and labels; of a plain folder without classes.
        root: what the table's paths are relative to.
    """

    annotations: Annotations
    root: str

    def table(self) -> pd.DataFrame:
        """Columns path (absolute, links of the root followed), name, clip, split, group."""
        table = self.annotations.table
        names = table["path"].astype(str)
        return pd.DataFrame(
            {
                "path": [os.path.normpath(os.path.join(self.root, name)) for name in names],
                "name": names,
                "clip": np.array([stable_hash(name) for name in names], dtype=np.int64),
                "split": table["split"],
                "group": table.get("group"),
            }
        )


def task_source(task: str, data_dir: str | Path | None, options: dict[str, Any], argument: str) -> Source:
    """The clips of a task.

    Args:
        task: name or import path.
        data_dir: its root, unless ``options`` hold ``root``. The synthetic tasks render themselves and take only the latter.
        options: ``root``, and what the data set itself understands.
        argument: sl_task or ssl_task, for messages.
    """
    find_task(task)  # a wrong name is told before anything is rendered or looked for
    options = dict(options)
    root = options.pop("root", None if is_synthetic(task) else data_dir)
    if root is None and is_synthetic(task):
        root = render()
    if root is None:
        kwargs = argument.replace("task", "kwargs")
        raise ConfigError(f"data.{argument} '{task}' needs a folder: give data.data_dir, or root in data.{kwargs}.")
    if not Path(root).is_dir():
        raise DatasetNotFoundError(f"The folder of '{task}'", root, "Give the folder that holds the data set (data.data_dir).")
    root = os.path.realpath(root)
    return Source(load_annotations(task, root, **options), root)


def is_synthetic(task: str) -> bool:
    """Whether the project renders the clips of a task itself."""
    return task.rsplit(".", 1)[-1].startswith("synthetic_")


def embedded_source() -> Source:
    """The synthetic set that the project renders itself."""
    return task_source(EMBEDDED_TASK, None, {}, "ssl_task")


def audio_in(folder: str | Path) -> Source:
    """All audio under a folder, sorted, for training (hidden files and folders are none).

    Raises:
        DatasetNotFoundError: if there is no such folder.
        UserError: if it holds no audio.
    """
    if not Path(folder).is_dir():
        raise DatasetNotFoundError("The folder of audio", folder, "Give an existing folder as data.data_dir.")
    root = os.path.realpath(folder)
    names = audio_files(Path(root))
    if not names:
        raise UserError(f"The folder holds no audio.\nLooked in: {folder}\nGive a folder with wav, flac, ogg or mp3 files, at any depth.")
    table = pd.DataFrame({"path": names, "split": "train"})
    return Source(Annotations(table, np.zeros((len(names), 0), np.float32), (), kind="multiclass"), root)


def held_out_near(source: Source, paths: Iterable[str]) -> set[str]:
    """Those of ``paths`` under the root of a task that it neither lists for training nor leaves free for self-supervision."""
    inside = [path for path in paths if path.startswith(source.root + os.sep)]
    if not inside:
        return set()
    table = source.table()
    free = set(table.loc[table["split"] == "train", "path"])
    free |= {os.path.join(source.root, name) for name in unlisted(source.annotations, Path(source.root))}
    left_out = set(inside) - free - set(table["path"])
    if left_out:
        log.info("data: %d files are left out of the pool: they lie among held-out clips, or have the name of a listed one.", len(left_out))
    return set(inside) - free
