"""Check the value that the function of a task returns."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.parsing.names import below
from semisupcon.errors import ConfigError

_REMEDY = "It must return LabelledClips(table, targets, classes, kind); see 'Your own data' in docs/datasets.md."


def checked(task: str, returned: Any, root: Path | None) -> LabelledClips:
    """Check the return value of a task; return the clips with paths relative to ``root``.

    Raises:
        ConfigError: if the value is not LabelledClips, if paths are not text, or if targets do not
            fit the label kind.
    """
    if not isinstance(returned, LabelledClips):
        what = (
            f"{type(returned).__name__} of {len(returned)}"
            if isinstance(returned, tuple | list)
            else type(returned).__name__
        )
        raise ConfigError(
            f"The function of task '{task}' returned {what}, not LabelledClips.\n{_REMEDY}",
        )
    paths = [
        os.fspath(path) if isinstance(path, str | os.PathLike) else path
        for path in returned.table["path"]
    ]
    if (
        wrong := next(
            (row for row, path in enumerate(paths) if not isinstance(path, str) or not path),
            None,
        )
    ) is not None:
        raise ConfigError(
            f"Task '{task}': the path of row {wrong} is '{paths[wrong]}', not the name of a "
            f"file.\n{_REMEDY}",
        )
    targets, kind = returned.targets, returned.kind
    known = targets[~np.isnan(targets).any(axis=1)]
    if np.isinf(targets).any():
        raise ConfigError(f"Task '{task}': a target is infinite.\n{_REMEDY}")
    if kind not in (None, "regression") and known.size and (known.min() < 0 or known.max() > 1):
        raise ConfigError(
            f"Task '{task}': targets of {kind} lie between 0 and 1, got {known.min():g} to "
            f"{known.max():g}.\n{_REMEDY}",
        )
    inside = paths if root is None else below(root, paths)
    return (
        returned
        if inside == list(returned.paths)
        else replace(returned, table=returned.table.assign(path=inside))
    )
