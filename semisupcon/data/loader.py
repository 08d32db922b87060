"""The training loader: endless, and able to begin at any batch.

What has been trained on is counted by the trainer, not by the loader, whose workers read ahead: every time an iterator is asked for, the loader
continues at the number of batches done, and goes on across the end of an epoch without stopping its workers.
"""

import logging
import signal
from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset

from semisupcon.data.batch import Batch
from semisupcon.data.batching import MixedBatchSampler
from semisupcon.data.clips import as_is

log = logging.getLogger(__name__)


def quiet_worker(_: int) -> None:
    """Workers outlive the signals that end a run: the process that trains decides when they stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def worker_options(num_workers: int, pin_memory: bool) -> dict[str, Any]:
    """What every loader of ours has in common."""
    return {
        "collate_fn": as_is,
        "num_workers": num_workers,
        "pin_memory": pin_memory,
        "worker_init_fn": quiet_worker if num_workers else None,
        "prefetch_factor": 4 if num_workers else None,
    }


class EndlessLoader:
    """Batches of a sampler, an epoch's worth for each ``iter``, in one sequence over all epochs.

    Args:
        clips: takes a sampler's batch in ``__getitems__``.
        sampler: the sequence of batches.
        batches_done: how many batches have been trained on so far, in the whole run; asked whenever an iterator is.
        fingerprint: of what decides the sequence; stored in checkpoints, and compared when one is resumed.
        options: of `torch.utils.data.DataLoader`.
    """

    def __init__(
        self, clips: Dataset, sampler: MixedBatchSampler, batches_done: Callable[[], int], fingerprint: str, options: dict[str, Any]
    ):
        self.sequence, self.batches_done, self.fingerprint = sampler, batches_done, fingerprint
        self.loader = DataLoader(clips, batch_sampler=sampler, **options)
        self._iterator: Iterator[Batch] | None = None  # the trainer shuts down the workers of an attribute of this name
        self._next = 0

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self.sequence)

    def __iter__(self) -> Iterator[Batch]:
        done = self.batches_done()
        if self._iterator is None or self._next != done:
            self._iterator = None  # its workers, if any, end with it
            self.sequence.start = self._next = done
            self._iterator = iter(self.loader)
        for _ in range(len(self)):
            self._next += 1
            yield next(self._iterator)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of the data; the position itself is the trainer's count."""
        return {"batches_done": self.batches_done(), "fingerprint": self.fingerprint}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Compare the checkpoint's data with this run's, and say so where they differ."""
        if state.get("fingerprint") != self.fingerprint:
            log.warning("data: clips, batch size, seed or number of processes differ from the run that is resumed; it goes on with these.")
