"""What a data set is to the rest of the house: a table of clips, their targets, and what the targets mean.

To add a data set, write one function from a root folder to `Annotations` in a file of its own and list it in `TASKS`,
or name your function by import path (``--data.sl_task my.module.function``).
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

Kind = Literal["binary", "multiclass", "multilabel", "regression"]
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Annotations:
    """The clips of a data set and what is known of them.

    Attributes:
        table: one row a clip. Columns: ``path`` (relative to the root, with forward slashes), ``split`` (train, val or test), and
            ``group`` (artist, speaker, ...) only where the official split keeps groups apart. Further columns are kept.
        targets: ``[n, C]`` float32; a NaN row is unlabelled, an all-zero row is labelled without tags (multilabel).
        classes: C names in a stated, reproducible order (of regression: the names of the values).
        kind: what the targets are.
        metric: the name of the metric the field reports for this data set.
    """

    table: pd.DataFrame
    targets: np.ndarray
    classes: tuple[str, ...]
    kind: Kind
    metric: str = ""

    def __post_init__(self):
        if missing := {"path", "split"} - set(self.table.columns):
            raise ValueError(f"the table of clips lacks the columns {sorted(missing)}")
        if unknown := set(self.table["split"]) - set(SPLITS):
            raise ValueError(f"splits are {SPLITS}, found {sorted(unknown)}")
        if self.targets.shape != (len(self.table), len(self.classes)):
            raise ValueError(f"targets of shape {self.targets.shape} for {len(self.table)} clips and {len(self.classes)} classes")
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind is one of {get_args(Kind)}, got {self.kind!r}")
        object.__setattr__(self, "table", self.table.reset_index(drop=True))
        object.__setattr__(self, "targets", np.asarray(self.targets, dtype=np.float32))
        object.__setattr__(self, "classes", tuple(self.classes))
