"""The common part of data modules whose clips are not files of their own.

A source lists its items once: name, split, label, length and sample rate. This is the table of
clips that all other data modules use, so splits, label subsets, batches, crops and keys are drawn
in the same way, each rank and worker reads only its own clips, and a resumed run continues bit for
bit. Only reading the samples of an item differs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from semisupcon.audio.scan import usable
from semisupcon.data.clips import Samples
from semisupcon.data.datamodule import AudioDataModule
from semisupcon.data.outside.labels import Labels
from semisupcon.datasets.base import LabelledClips
from semisupcon.errors import ConfigError, UserError
from semisupcon.random import stable_hash

# Options of `AudioDataModule` that name another source.
OTHER_SOURCES = ("sl_task", "ssl_task", "data_dir", "packed")


@dataclass(frozen=True)
class Items:
    """The n items of a source.

    Attributes:
        names: unique name of each item. Clip hashes are made from the names, so they do not contain
            the place of the data.
        splits: train or val, for each item.
        facts: table with the columns of `semisupcon.audio.scan.FileFacts`.
        labels: labels of all items.
        where: place of the data, for messages.
        label: name of the labels, for messages; "" without labels.
        groups: group of each item; None without groups.
    """

    names: Sequence[str]
    splits: Sequence[str]
    facts: pd.DataFrame
    labels: Labels
    where: str
    label: str = ""
    groups: Sequence[Any] | None = None


def clips_of(items: Items, max_bad: float) -> LabelledClips:
    """Return the usable items as clips with the columns of `semisupcon.data.sources.gather`.

    The additional column ``record`` is the number of the item in the source.

    Raises:
        UserError: if there are no items, or if too many of them are unusable.
    """
    if not len(items.names):
        raise UserError(f"There are no clips to train on.\nIn: {items.where}")
    good = usable(items.names, items.facts, max_bad, items.where)
    labelled = ~np.isnan(items.labels.targets).any(axis=1) & bool(items.labels.classes)
    table = pd.DataFrame(
        {
            "path": [f"{items.where}#{name}" for name in items.names],
            "name": list(items.names),
            "clip": np.array([stable_hash(name) for name in items.names], np.int64),
            "split": list(items.splits),
            "group": None if items.groups is None else list(items.groups),
            "in_pool": True,
            "labelled": labelled,
            "frames": items.facts["frames"].to_numpy(np.int64),
            "sample_rate": items.facts["sample_rate"].to_numpy(np.int64),
            "listed": True,
            "record": np.arange(len(items.names)),
        }
    )[good]
    if not len(table):
        raise UserError(f"There are no usable clips to train on.\nIn: {items.where}")
    targets, classes, kind = items.labels
    return LabelledClips(
        table, targets[good], classes, kind, root=items.where, name=f"'{items.label}'"
    )


class OutsideDataModule(AudioDataModule):
    """Base class of data modules with another source of clips than audio files.

    Args:
        options: all options of `AudioDataModule` except ``sl_task``, ``ssl_task``, ``data_dir``,
            ``sl_kwargs``, ``ssl_kwargs``, ``packed`` and ``device_resident``.

    Raises:
        ConfigError: if an option names another source.
    """

    outside = True

    def __init__(self, **options: Any):
        super().__init__(**options)
        given = dict(zip(OTHER_SOURCES, (*self.sources[:3], self.packed), strict=True))
        if named := [name for name, value in given.items() if value is not None]:
            raise ConfigError(
                f"data.{named[0]} names another source of clips than {type(self).__name__}; add "
                f"{' '.join(f'--data.{name} null' for name in named)}."
            )

    def list_items(self) -> Items:
        """List the items of the source."""
        raise NotImplementedError

    def samples_of(self, table: pd.DataFrame) -> Samples:
        """Return the object that reads the samples of the clips in a table."""
        raise NotImplementedError

    def _found(self) -> LabelledClips:
        return clips_of(self.list_items(), self.max_bad)

    def _audio(self) -> Samples:
        return self.samples_of(self._drawn().table)


__all__ = ["Items", "OutsideDataModule", "clips_of"]
