"""Samples of the items of a map-style data set of torch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from semisupcon.audio.scan import FileFacts
from semisupcon.data.outside.items import Form, item_of
from semisupcon.errors import AudioError, ConfigError, first_line

_MANY = 2000  # a progress bar is shown for more items


class DatasetAudio:
    """Reads the samples of the items of a map-style data set.

    Args:
        dataset: data set with ``__getitem__`` and ``__len__``. It must return the same item for an
            index at every access. It runs in worker processes, so it must be possible to pickle it.
        form: places of the parts in an item.
        rows: table with the columns ``record``, ``frames``, ``sample_rate`` and ``name``.
    """

    dtype = torch.float32

    def __init__(self, dataset: Any, form: Form, rows: pd.DataFrame):
        self.dataset, self.form = dataset, form
        self.records, self.frames, self.rates = (
            rows[name].to_numpy(np.int64) for name in ("record", "frames", "sample_rate")
        )

    def spans(self, row: int, spans: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Return mono float32 samples of spans ``(start, frames)`` at the rate of the item.

        Raises:
            AudioError: if the item is not what it was when the items were checked.
        """
        audio, rate, _ = item_of(
            self.dataset[int(self.records[row])], self.form._replace(label=None), self.name(row)
        )
        if (len(audio), rate) != (self.frames[row], self.rates[row]):
            raise AudioError(
                f"{self.name(row)} has {len(audio)} samples at {rate} Hz, but had "
                f"{self.frames[row]} at {self.rates[row]} Hz when the run started.\nA data set must "
                "return the same item for an index at every access."
            )
        return [audio[start : start + frames] for start, frames in spans]

    def name(self, row: int) -> str:
        """Return the name of the clip in a row, for messages."""
        return f"item {int(self.records[row])}"


def scan_dataset(dataset: Any, form: Form) -> tuple[pd.DataFrame, list[Any]]:
    """Read all items once; return a table with the columns of `FileFacts`, and the labels.

    An item that cannot be read has its reason in the column ``problem`` and the label None.

    Raises:
        ConfigError: if a part of an item is missing, or the sample rate is unknown.
    """
    facts, labels = [], []
    count = len(dataset)
    for number in tqdm(
        range(count), desc="Scanning items", unit="item", disable=None if count > _MANY else True
    ):
        name, label = f"item {number}", None
        try:
            audio, rate, label = item_of(_item(dataset, number), form, name)
            problem = "" if len(audio) >= max(1, rate // 1000) else f"too short ({len(audio)})"
            facts.append(FileFacts(len(audio), rate, 1, problem))
        except AudioError as error:
            facts.append(FileFacts(0, 0, 0, error.problem or first_line(error, 200)))
        labels.append(label)
    return pd.DataFrame(facts, columns=list(FileFacts._fields)), labels


def _item(dataset: Any, number: int) -> Any:
    try:
        return dataset[number]
    except ConfigError:
        raise
    except Exception as error:  # The class is the user's, and its files may be damaged.
        raise AudioError("", f"{type(error).__name__}: {first_line(error, 150)}") from error
