"""The training loader: endless, and able to begin at any batch.

What has been trained on is counted by the trainer, not by the loader, which reads ahead: every time an iterator is asked for, the loader
continues at the number of batches done, and goes on across the end of an epoch without stopping to read ahead.

Processes read ahead where decoding is the work; with no processes, a thread does, which is faster for packed audio: nothing crosses from one
process to another, and samples go straight into the memory that the device copies from.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol
from weakref import WeakSet

import numpy as np

from semisupcon.batch import Batch
from semisupcon.data.clips import Clips, as_is
from semisupcon.data.packed.on_device import PlacedBatch, Places
from semisupcon.data.planned import Planned
from semisupcon.data.sampler import MixedBatchSampler
from semisupcon.data.workers import Processes, quiet_worker

log = logging.getLogger(__name__)


class Sequenced(Protocol):
    """Rows and keys ``[B, 2]`` of batch after batch."""

    def __iter__(self) -> Iterator[np.ndarray]: ...

    def __len__(self) -> int: ...


def batches(
    clips: Clips | Places | Planned,
    sequence: Sequenced,
    num_workers: int,
    pin_memory: bool,
    keep_workers: bool = False,
    run: WeakSet | None = None,
) -> Iterable[Batch | PlacedBatch]:
    """An iterable over the batches of a sequence, read ahead; the order is that of the sequence.

    Args:
        clips: takes an element of the sequence in ``__getitems__``.
        sequence: rows and keys ``[B, 2]`` of batch after batch; may be endless.
        num_workers: processes that read; 0 reads in a thread.
        pin_memory: whether batches lie in page-locked memory, for a device to copy from.
        keep_workers: whether processes stay when the sequence ends, for the next time it is gone through.
        run: shared by the loaders of a run, see `Processes`.
    """
    if num_workers == 0:
        return ReadAhead(clips, sequence, pin_memory)
    loader = Processes(
        clips,
        batch_sampler=sequence,  # type: ignore[arg-type]  # arrays do as well as lists
        collate_fn=as_is,
        num_workers=num_workers,
        pin_memory=pin_memory,
        worker_init_fn=quiet_worker,
        prefetch_factor=4,
        persistent_workers=keep_workers,
    )
    loader.run = run
    return loader


class ReadAhead:
    """Batches read by a thread, a few ahead of the one that is used; arguments as `batches`."""

    depth = 4

    def __init__(self, clips: Clips | Places | Planned, sequence: Sequenced, pin_memory: bool = False):
        self.clips, self.sequence = clips, sequence
        clips.pin_memory = pin_memory

    def __len__(self) -> int:
        return len(self.sequence)

    def __iter__(self) -> Iterator[Batch | PlacedBatch]:
        items = iter(self.sequence)
        waiting: deque[Future[Any]] = deque()
        with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
            try:
                for item in items:
                    waiting.append(pool.submit(self.clips.__getitems__, item))
                    if len(waiting) > self.depth:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()


class EndlessLoader:
    """Batches of a sampler, an epoch's worth for each ``iter``, in one sequence over all epochs.

    Args:
        clips: see `batches`.
        sequence: of all batches, from its ``start`` on.
        batches_done: how many batches have been trained on so far, in the whole run; asked whenever an iterator is.
        fingerprint: of what decides the sequence; stored in checkpoints, and compared when one is resumed.
        num_workers: see `batches`.
        pin_memory: see `batches`.
        run: see `batches`.

    Attributes:
        failed: whether an exception came from here, so that the run stands between two steps.
    """

    failed = False

    def __init__(
        self,
        clips: Clips | Places | Planned,
        sequence: MixedBatchSampler,
        batches_done: Callable[[], int],
        fingerprint: str,
        num_workers: int = 0,
        pin_memory: bool = False,
        run: WeakSet | None = None,
    ):
        self.sequence, self.batches_done, self.fingerprint = sequence, batches_done, fingerprint
        self.loader = batches(clips, sequence, num_workers, pin_memory, run=run)
        # The trainer shuts down the workers of an attribute of this name.
        self._iterator: Iterator[Batch | PlacedBatch] | None = None
        self._next = 0

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self.sequence)

    def __iter__(self) -> Iterator[Batch | PlacedBatch]:
        done = self.batches_done()
        if self._iterator is None or self._next != done:
            self._iterator = None  # its workers, if any, end with it
            self.sequence.start = self._next = done
            self._iterator = iter(self.loader)
        for _ in range(len(self)):
            self._next += 1
            try:
                batch = next(self._iterator)
            except Exception:
                self.failed = True
                raise
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of the data; the position itself is the trainer's count."""
        return {"batches_done": self.batches_done(), "fingerprint": self.fingerprint}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Compare the checkpoint's data with this run's, and say so where they differ."""
        if state.get("batches_done", 1) and state.get("fingerprint") != self.fingerprint:
            log.warning("data: clips, batch size, seed or number of processes differ from the run that is resumed; it goes on with these.")
