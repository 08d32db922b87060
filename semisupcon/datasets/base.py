"""`LabelledClips`, the type of every table of clips with targets.

It represents a data set, the clips of a run, a packed set, and the task of a probe. To add a data
set, write a function from a root folder to `LabelledClips` in a file of its own and list it in
`TASKS`, or give the import path of your function (``--data.sl_task my.module.function``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from semisupcon.errors import ConfigError
from semisupcon.kinds import KINDS

Kind = Literal["binary", "multiclass", "multilabel", "regression"]
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class LabelledClips:
    """n clips with targets.

    Attributes:
        table: one row per clip. Columns: ``path`` (relative to the root, with forward slashes, or
            absolute), ``split`` (train, val or test), and ``group`` (artist, speaker, ...) only if
            the official split is by group. Further columns are kept.
        targets: ``[n, C]`` float32; a NaN row is unlabelled, an all-zero row is labelled without
            tags (multilabel).
        classes: C names in a reproducible order (for regression: the names of the values).
        kind: label kind; None without classes.
        metric: usual metrics of the task, separated by commas, the main one first; "" becomes the
            metric of the label kind.
        root: folder of relative paths. For absolute paths, their folders for messages.
        name: name of the task, for tables and messages.
        fold: round of cross-validation, from 1; 0 without cross-validation.

    Raises:
        ConfigError: if the parts do not fit together; it is a ValueError.
    """

    table: pd.DataFrame
    targets: np.ndarray
    classes: tuple[str, ...]
    kind: Kind | None
    metric: str = ""
    root: str = ""
    name: str = ""
    fold: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.table, pd.DataFrame):
            raise ConfigError(
                f"the table of clips is a pandas.DataFrame, got {type(self.table).__name__}",
            )
        if missing := {"path", "split"} - set(self.table.columns):
            raise ConfigError(f"the table of clips lacks the columns {sorted(missing)}")
        if repeated := {str(name) for name in self.table.columns[self.table.columns.duplicated()]}:
            raise ConfigError(f"two columns of the table of clips are called {sorted(repeated)}")
        if unknown := set(self.table["split"]) - set(SPLITS):
            raise ConfigError(f"splits are {SPLITS}, found {sorted(map(str, unknown))}")
        if isinstance(self.classes, str | Mapping):
            raise ConfigError(
                "classes is a sequence of names in the order of the targets, got "
                f"{type(self.classes).__name__}",
            )
        classes = tuple(map(str, self.classes))
        if len(set(classes)) < len(classes):
            raise ConfigError(f"two classes are called '{max(classes, key=classes.count)}'")
        try:
            targets = np.asarray(self.targets, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"targets are numbers [clips, classes]: {error}") from error
        if targets.shape != (len(self.table), len(classes)):
            raise ConfigError(
                f"targets of shape {targets.shape} for {len(self.table)} clips and {len(classes)} "
                "classes",
            )
        if self.kind not in get_args(Kind) and (self.kind is not None or classes):
            raise ConfigError(f"kind is one of {get_args(Kind)}, got {self.kind!r}")
        object.__setattr__(self, "table", self.table.reset_index(drop=True))
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "classes", classes)
        object.__setattr__(
            self,
            "metric",
            self.metric or (KINDS[self.kind].main if self.kind else ""),
        )

    def __len__(self) -> int:
        return len(self.table)

    @property
    def label_kind(self) -> Kind:
        """``kind`` of clips with classes."""
        assert self.kind is not None
        return self.kind

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The n paths of the table."""
        return tuple(self.table["path"])

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The n audio files."""
        return tuple(Path(self.root, path) for path in self.paths)

    @property
    def split(self) -> np.ndarray:
        """``[n]`` of train, val, test."""
        return self.table["split"].to_numpy(dtype=object)

    @property
    def labelled(self) -> np.ndarray:
        """``[n]`` bool: clips without NaN in their targets."""
        return ~np.isnan(self.targets).any(axis=1)

    def rows(self, split: str, **columns: str) -> np.ndarray:
        """Return the positions of clips by split and column values (``source="labelled"``)."""
        wanted = {"split": split, **columns}
        return np.flatnonzero(
            np.logical_and.reduce(
                [(self.table[name] == value).to_numpy() for name, value in wanted.items()],
            )
        )

    def select(self, rows: Sequence[int] | np.ndarray) -> "LabelledClips":
        """Return a subset of the clips, by positions or a mask ``[n]`` bool."""
        index = rows if isinstance(rows, np.ndarray) else list(rows)
        return replace(self, table=self.table.iloc[index], targets=self.targets[index])

    def assign(self, **columns: Any) -> "LabelledClips":
        """Return the clips with new columns, as ``pandas.DataFrame.assign``."""
        return replace(self, table=self.table.assign(**columns))

    def without_labels(self) -> "LabelledClips":
        """Return the clips without classes."""
        return replace(
            self,
            targets=np.zeros((len(self), 0), np.float32),
            classes=(),
            kind=None,
            metric="",
        )


Annotations = LabelledClips  # name in version 0.1
