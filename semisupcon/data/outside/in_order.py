"""Batches of an ``IterableDataset``, which has no random access: items are used as they arrive.

Keys are made from the number of an item in the run, so that the draws of the augmentations never
repeat. Process r of R takes every R-th item, beginning with item r. A thread reads ahead.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from semisupcon.batch import Batch
from semisupcon.data.clips import Clips
from semisupcon.data.outside.items import Form, Item, item_of
from semisupcon.datasets.base import LabelledClips
from semisupcon.errors import AudioError, UserError
from semisupcon.random import make_keys

log = logging.getLogger(__name__)


class _Arrays:
    """Samples of the items of one batch, with the interface of `semisupcon.data.clips.Samples`."""

    dtype = torch.float32

    def __init__(self, items: Sequence[Item], first: int):
        self.items, self.first = items, first

    def spans(self, row: int, spans: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        return [self.items[row].audio[start : start + frames] for start, frames in spans]

    def name(self, row: int) -> str:
        return f"item {self.first + row}"


class OrderedBatches:
    """Sequence of the numbers of batches, endless, beginning at ``start``.

    Args:
        length: number of batches per epoch.
    """

    def __init__(self, length: int):
        self.length, self.start = length, 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[np.ndarray]:
        number = self.start
        while True:
            yield np.array([[number, 0]])
            number += 1


class OrderedClips:
    """Views of the items of an ``IterableDataset``, as batches in the order of the items.

    When the items end, the data set is iterated again.

    Args:
        dataset: the data set. It yields the same items in every process.
        form: places of the parts in an item.
        make: function that returns `Clips` for a table and the object that reads its samples.
        batch_size: number of items per batch and process.
        seed: seed of the keys.
        place: rank of this process and number of processes.
        max_bad: maximum share of unusable items, which are left out and logged.
    """

    def __init__(
        self,
        dataset: Any,
        form: Form,
        make: Callable[[LabelledClips, Any], Clips],
        batch_size: int,
        seed: int,
        place: tuple[int, int],
        max_bad: float,
    ):
        self.dataset, self.form, self.make = dataset, form, make
        self.batch_size, self.seed, self.place, self.max_bad = batch_size, seed, place, max_bad
        self.pin_memory = False
        template = make(*_table([Item(np.zeros(1, np.float32), 1000, None)], 0))
        self.leaves_padding = template.leaves_padding
        self.row_bytes, self.longest = template.row_bytes, template.longest
        self._items: Iterator[Item] | None = None
        self._seen = self._bad = 0

    def __len__(self) -> int:
        raise TypeError("the number of items is unknown")

    def __getitems__(self, items: np.ndarray) -> Batch:
        """Return the next batch; ``items[0, 0]`` is its number in the run."""
        number = int(items[0][0])
        if self._items is None:
            self._items = self._own()
        taken = [next(self._items) for _ in range(self.batch_size)]
        rank, ranks = self.place
        first = (number * ranks + rank) * self.batch_size
        clips = self.make(*_table(taken, first))
        clips.pin_memory = self.pin_memory
        numbers = clips.clip
        keys = make_keys(self.seed, torch.zeros_like(numbers), numbers, views=1)[:, 0]
        rows = np.stack([np.arange(len(taken)), keys.numpy()], axis=1)
        return clips.__getitems__(rows)

    def _own(self) -> Iterator[Item]:
        """Yield the usable items of this process, pass after pass."""
        rank, ranks = self.place
        while True:
            found = 0
            for number, item in enumerate(self.dataset):
                found += 1
                if number % ranks != rank:
                    continue
                self._seen += 1
                try:
                    checked = item_of(item, self.form, f"item {number}")
                except AudioError as error:
                    self._leave_out(error)
                    continue
                yield checked
            if found <= rank or self._bad == self._seen:
                raise UserError(
                    f"{type(self.dataset).__name__} yields no usable items (of {found} items)."
                )

    def _leave_out(self, error: AudioError) -> None:
        self._bad += 1
        if self._bad > max(1, math.floor(self.max_bad * self._seen)):
            raise UserError(
                f"{self._bad} of {self._seen} items cannot be used. The last: {error}\nCorrect the "
                f"data set, or allow a greater share than {self.max_bad:g} with data.max_bad."
            ) from error
        log.warning("data: %s It is left out.", error)


def _table(items: Sequence[Item], first: int) -> tuple[LabelledClips, _Arrays]:
    numbers = np.arange(first, first + len(items), dtype=np.int64)
    table = pd.DataFrame(
        {
            "path": [f"item {number}" for number in numbers],
            "split": "train",
            "clip": numbers,
            "frames": [len(item.audio) for item in items],
            "sample_rate": [item.sample_rate for item in items],
        }
    )
    targets = np.zeros((len(items), 0), np.float32)
    return LabelledClips(table, targets, (), kind=None), _Arrays(items, first)
