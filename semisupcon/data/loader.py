"""The training loader: endless, and able to start at any batch.

The loader reads ahead, so the trainer counts the trained batches. Each new iterator continues at
this count. Reading ahead does not stop at the end of an epoch.

Worker processes read ahead if decoding takes the time. Without workers a thread reads ahead. This
is faster for packed audio: no data crosses between processes, and samples are written directly to
pinned memory.
"""

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol
from weakref import WeakSet

import numpy as np
import pandas as pd

from semisupcon.batch import Batch
from semisupcon.data.clips import Clips, as_is
from semisupcon.data.packed.on_device import PlacedBatch, Places
from semisupcon.data.planned import Wrapped
from semisupcon.data.sampler import MixedBatchSampler
from semisupcon.data.workers import Processes, quiet_worker

log = logging.getLogger(__name__)
AHEAD = 4  # batches that a process reads ahead
AHEAD_BYTES = 512 << 20  # that all processes read ahead together


class Sequenced(Protocol):
    """Rows and keys ``[B, 2]`` of consecutive batches."""

    def __iter__(self) -> Iterator[np.ndarray]: ...

    def __len__(self) -> int: ...


def batches_ahead(clips: Clips | Places | Wrapped, sequence: Sequenced, num_workers: int) -> int:
    """Return how many batches each process reads ahead: `AHEAD`, or fewer within `AHEAD_BYTES`.

    Batches of views of unequal length are counted as empty.
    """
    rows = (
        sequence.batch_size if isinstance(sequence, MixedBatchSampler) else max(map(len, sequence))
    )
    size = max(1, rows * clips.row_bytes)
    return max(1, min(AHEAD, AHEAD_BYTES // (num_workers * size)))


def batches(
    clips: Clips | Places | Wrapped,
    sequence: Sequenced,
    num_workers: int,
    pin_memory: bool,
    keep_workers: bool = False,
    run: WeakSet | None = None,
) -> Iterable[Batch | PlacedBatch]:
    """Return an iterable over the batches of a sequence, read ahead and in its order.

    Args:
        clips: takes an element of the sequence in ``__getitems__``.
        sequence: rows and keys ``[B, 2]`` of consecutive batches; may be endless.
        num_workers: processes that read; 0 reads in a thread.
        pin_memory: whether batches are in page-locked memory, for copies to a device.
        keep_workers: whether worker processes stay alive after the end of the sequence, for the
            next iteration.
        run: shared by the loaders of a run, see `Processes`.
    """
    if num_workers == 0:
        return ReadAhead(clips, sequence, pin_memory)
    loader = Processes(
        clips,
        batch_sampler=sequence,  # type: ignore[arg-type]  # arrays work like lists
        collate_fn=as_is,
        num_workers=num_workers,
        pin_memory=pin_memory,
        worker_init_fn=quiet_worker,
        prefetch_factor=batches_ahead(clips, sequence, num_workers),
        persistent_workers=keep_workers,
    )
    loader.run = run
    return loader


class ReadAhead:
    """Batches read by a thread, a few ahead of the consumer; arguments as `batches`."""

    depth = 4

    def __init__(
        self, clips: Clips | Places | Wrapped, sequence: Sequenced, pin_memory: bool = False
    ):
        self.clips, self.sequence = clips, sequence
        clips.pin_memory = pin_memory

    def __len__(self) -> int:
        return len(self.sequence)

    def __iter__(self) -> Iterator[Batch | PlacedBatch]:
        items = iter(self.sequence)
        waiting: deque[Future[Any]] = deque()
        pool = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        try:
            for item in items:
                waiting.append(pool.submit(self.clips.__getitems__, item))
                if len(waiting) > self.depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # Garbage collection may run this in any thread, so waiting could be a deadlock.
            pool.shutdown(wait=False, cancel_futures=True)


class EndlessLoader:
    """Batches of a sampler in one sequence over all epochs; each ``iter`` yields one epoch.

    Args:
        clips: see `batches`.
        sequence: sampler of all batches, beginning at its ``start``.
        batches_done: returns the number of batches trained so far in the whole run; called for each
            new iterator.
        fingerprint: digest of everything that determines the sequence; stored in checkpoints, and
            compared on resume.
        num_workers: see `batches`.
        pin_memory: see `batches`.
        run: see `batches`.

    Attributes:
        failed: whether an exception was raised here, that is, between two training steps.
    """

    failed = False

    def __init__(
        self,
        clips: Clips | Places | Wrapped,
        sequence: MixedBatchSampler,
        batches_done: Callable[[], int],
        fingerprint: str,
        num_workers: int = 0,
        pin_memory: bool = False,
        run: WeakSet | None = None,
    ):
        self.sequence, self.batches_done, self.fingerprint = sequence, batches_done, fingerprint
        self.loader = batches(clips, sequence, num_workers, pin_memory, run=run)
        # The trainer shuts down the workers of an attribute with this name.
        self._iterator: Iterator[Batch | PlacedBatch] | None = None
        self._next = 0

    def __len__(self) -> int:
        """Number of batches per epoch."""
        return len(self.sequence)

    def __iter__(self) -> Iterator[Batch | PlacedBatch]:
        done = self.batches_done()
        if self._iterator is None or self._next != done:
            self._iterator = None  # ends its workers
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
        """State for checkpoints; the position is the trainer's count."""
        return {"batches_done": self.batches_done(), "fingerprint": self.fingerprint}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Compare the data of the checkpoint with this run, and warn if they differ."""
        if state.get("batches_done", 1) and state.get("fingerprint") != self.fingerprint:
            log.warning(
                "data: clips, batch size, seed or number of processes differ from the resumed run; "
                "it continues with the new ones.",
            )


def fingerprint_of(settings: Any, table: pd.DataFrame) -> str:
    """Digest of settings, and of the clips of a table with their length, split and source."""
    digest = hashlib.blake2b(repr(settings).encode(), digest_size=8)
    digest.update(table[["clip", "frames", "split", "source"]].to_csv(index=False).encode())
    return digest.hexdigest()
