"""Loader of training batches. The sequence of batches is endless and can start at any batch.

The loader reads batches in advance, also across the end of an epoch. The trainer therefore counts
the batches that were used for training, and each new iterator continues at this count.

Worker processes are useful if decoding is slow. Without workers, a thread reads in advance. This is
faster for packed audio: no data are copied between processes, and samples are written directly to
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
AHEAD = 4  # number of batches that a process reads in advance
AHEAD_BYTES = 512 << 20  # size of the batches that all processes read in advance
_FINGERPRINT = "2-"  # beginning of the fingerprints of this version


class Sequenced(Protocol):
    """Sequence of batches; an element has the rows and keys ``[B, 2]`` of a batch."""

    def __iter__(self) -> Iterator[np.ndarray]: ...

    def __len__(self) -> int: ...


def batches_ahead(clips: Clips | Places | Wrapped, sequence: Sequenced, num_workers: int) -> int:
    """Return how many batches each process reads in advance, limited by `AHEAD` and `AHEAD_BYTES`.

    Batches whose views differ in length count as 0 bytes.
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
    """Return an iterable over the batches of a sequence, which are read in advance.

    Args:
        clips: data set whose ``__getitems__`` returns the batch for an element of the sequence.
        sequence: rows and keys ``[B, 2]`` of each batch. The sequence may be endless.
        num_workers: number of processes that read; 0 reads in a thread.
        pin_memory: whether batches are written to page-locked memory, for faster copies to a
            device.
        keep_workers: whether worker processes are kept after the end of the sequence, for the next
            iteration.
        run: set that all loaders of a run share, see `Processes`.
    """
    if num_workers == 0:
        return ReadAhead(clips, sequence, pin_memory)
    loader = Processes(
        clips,
        batch_sampler=sequence,  # type: ignore[arg-type]  # batches are arrays instead of lists
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
    """Loader with a thread that reads a few batches in advance; see `batches` for the arguments."""

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
            # Garbage collection may run this code in any thread, so waiting could cause a deadlock.
            pool.shutdown(wait=False, cancel_futures=True)


class EndlessLoader:
    """Loader whose batches form one sequence over all epochs. Each iteration yields one epoch.

    Args:
        clips: see `batches`.
        sequence: sampler of all batches, which begins at the batch number ``start``.
        batches_done: function that returns the number of training batches so far in the whole run.
            Called for each new iterator.
        fingerprint: digest of all settings and clips that determine the sequence. It is stored in
            checkpoints, and compared when a run is resumed.
        num_workers: see `batches`.
        pin_memory: see `batches`.
        run: see `batches`.
        older: function that returns the fingerprint in the form of version 0.1, for checkpoints of
            that version.

    Attributes:
        failed: whether the loader has raised an exception, that is, between two training steps.
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
        older: Callable[[], str] | None = None,
    ):
        self.sequence, self.batches_done, self.fingerprint = sequence, batches_done, fingerprint
        self.older = older
        self.loader = batches(clips, sequence, num_workers, pin_memory, run=run)
        # The trainer shuts down the workers of the iterator in an attribute with this name.
        self._iterator: Iterator[Batch | PlacedBatch] | None = None
        self._next = 0

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return len(self.sequence)

    def __iter__(self) -> Iterator[Batch | PlacedBatch]:
        done = self.batches_done()
        if self._iterator is None or self._next != done:
            self._iterator = None  # ends the worker processes
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
        """Return the state for checkpoints; the position is the trainer's count of batches."""
        return {"batches_done": self.batches_done(), "fingerprint": self.fingerprint}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Warn if the data of the resumed run differ from those of this run."""
        stored = str(state.get("fingerprint"))
        current = self.fingerprint
        if self.older is not None and not stored.startswith(_FINGERPRINT):
            current = self.older()
        if state.get("batches_done", 1) and stored != current:
            log.warning(
                "data: clips, batch size, seed or number of processes differ from the resumed run; "
                "it continues with the new ones.",
            )


def fingerprint_of(settings: Any, table: pd.DataFrame) -> str:
    """Return a digest of settings and of the clips of a table.

    The digest depends on length, split and source of each clip, and on their order.
    """
    digest = hashlib.blake2b(repr(settings).encode(), digest_size=8)
    for column in ("clip", "frames"):
        digest.update(table[column].to_numpy(np.dtype("<i8")).tobytes())
    for column, value in (("split", "train"), ("source", "labelled")):
        digest.update((table[column] == value).to_numpy(bool).tobytes())
    return f"{_FINGERPRINT}{digest.hexdigest()}"


def older_fingerprint_of(settings: Any, table: pd.DataFrame) -> str:
    """Return the digest that version 0.1 stored in checkpoints."""
    digest = hashlib.blake2b(repr(settings).encode(), digest_size=8)
    columns = table[["clip", "frames", "split", "source"]].sort_values("source", kind="stable")
    digest.update(columns.to_csv(index=False).encode())
    return digest.hexdigest()
