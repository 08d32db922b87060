"""`LabelledClips`, the type of all tables of clips with targets.

It represents a data set, the clips of a run, a packed set, or the task of a probe. To add a data
set to the package, write a function that takes a root folder and returns `LabelledClips` in a new
file, and list it in `MODULES`. Without changing the package, give the import path of the function
(``--data.sl_task my.module.function``).
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
    """A table of n clips with targets.

    Attributes:
        table: one row per clip. The columns are ``path`` (relative to the root, with forward
            slashes, or absolute), ``split`` (train, val or test), and ``group`` (such as artist or
            speaker), which exists only if the split is by group. Further columns are kept.
        targets: ``[n, C]`` float32. A NaN row is an unlabelled clip. For multilabel targets, an
            all-zero row is a labelled clip without tags.
        classes: C names of classes (for regression: of values) in a reproducible order.
        kind: label kind; None if there are no classes.
        metric: usual metrics of the task, separated by commas, the main one first. "" is replaced
            by the main metric of the label kind.
        root: folder of relative paths. If paths are absolute, it is only used in messages.
        name: name of the task, for tables of results and messages.
        fold: number of the round of cross-validation, from 1; 0 without cross-validation.

    Raises:
        ConfigError: if the attributes contradict each other. (ConfigError is a subclass of
            ValueError.)
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
        if unknown := set(self.table["split"].unique()) - set(SPLITS):
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
        """Label kind of clips that have classes."""
        assert self.kind is not None
        return self.kind

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Paths of the n clips, as in the table."""
        return tuple(self.table["path"])

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Audio files of the n clips: root and path."""
        return tuple(Path(self.root, path) for path in self.paths)

    @property
    def split(self) -> np.ndarray:
        """Split of each clip, ``[n]`` strings: train, val or test."""
        return self.table["split"].to_numpy(dtype=object)

    @property
    def labelled(self) -> np.ndarray:
        """Mask ``[n]`` (bool) of the clips without NaN in their targets."""
        return ~np.isnan(self.targets).any(axis=1)

    def rows(self, split: str, **columns: str) -> np.ndarray:
        """Return the row numbers of clips with this split and these column values."""
        wanted = {"split": split, **columns}
        return np.flatnonzero(
            np.logical_and.reduce(
                [(self.table[name] == value).to_numpy() for name, value in wanted.items()],
            )
        )

    def select(self, rows: Sequence[int] | np.ndarray) -> "LabelledClips":
        """Return a subset of the clips, given by row numbers or a mask ``[n]`` (bool)."""
        index = rows if isinstance(rows, np.ndarray) else list(rows)
        return replace(self, table=self.table.iloc[index], targets=self.targets[index])

    def assign(self, **columns: Any) -> "LabelledClips":
        """Return the clips with additional columns; arguments as in ``pandas.DataFrame.assign``."""
        return replace(self, table=self.table.assign(**columns))

    def without_labels(self) -> "LabelledClips":
        """Return the clips without classes and targets."""
        return replace(
            self,
            targets=np.zeros((len(self), 0), np.float32),
            classes=(),
            kind=None,
            metric="",
        )


Annotations = LabelledClips  # old name, from version 0.1
