"""Sample batches of labelled and unlabelled clips.

Each source is an endless sequence of slots. In a source of n clips, slot j is element j mod n of
the permutation of pass j div n. Each batch takes the next slots of both sources, in fixed
proportion. Thus every clip occurs once per pass, and no clip is dropped between passes or epochs. A
batch depends only on its number, so a resumed run continues with the next batch.

An epoch ends when each source has completed at least one pass. The source with the shorter pass is
repeated within an epoch.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch

from semisupcon.errors import ConfigError
from semisupcon.random import make_keys, permutation


class Source:
    """An endless shuffled sequence of the rows of one source.

    If the source has at least as many clips as its share of a batch, a batch does not contain a
    clip twice, even if it contains the end of a pass. With fewer clips, clips repeat in a batch.
    The repetitions are in different passes, so their crops and augmentations differ.

    Args:
        rows: row indices of the clips in the table.
        clips: stable hashes of the clips.
        share: number of slots of this source in a batch of all ranks.
        seed: seed of the permutations and keys.
        name: "labelled" or "unlabelled"; the two names have different permutations and keys.
    """

    def __init__(self, rows: np.ndarray, clips: np.ndarray, share: int, seed: int, name: str):
        self.rows, self.clips = np.asarray(rows, np.int64), np.asarray(clips, np.int64)
        self.share, self.seed, self.name = share, seed, name
        self._orders: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def slots(self, first: int, count: int) -> np.ndarray:
        """Return rows and keys ``[count, 2]`` of ``count`` slots, starting at slot ``first``."""
        slots = np.arange(first, first + count)
        passes = slots // len(self)
        position = np.concatenate(
            [self.order(int(p))[slots[passes == p] % len(self)] for p in np.unique(passes)],
        )
        # The two sources have different pass numbers, so that a clip in both sources gets different
        # crops.
        counted = torch.from_numpy(passes) + ((self.name == "unlabelled") << 32)
        keys = make_keys(self.seed, counted, torch.from_numpy(self.clips[position]), views=1)[:, 0]
        return np.stack([self.rows[position], keys.numpy()], axis=1)

    def order(self, number: int) -> np.ndarray:
        """Return the permutation of clips in a pass."""
        if number not in self._orders:
            order = self._raw(number)
            # A pass that begins with a batch shares no batch with the pass before.
            if len(self) >= self.share and number * len(self) % self.share:
                # `_apart` changes an order only near its beginning. In a source of at least three
                # shares, the last clips of a pass are therefore those of the raw order.
                before = (
                    self._raw(number - 1)
                    if len(self) >= 3 * self.share
                    else self._chained(number - 1)
                )
                order = self._apart(order, before, number)
            self._orders[number] = order
            if len(self._orders) > 3:
                del self._orders[next(iter(self._orders))]
        return self._orders[number]

    def _raw(self, number: int) -> np.ndarray:
        return permutation(len(self), self.seed, self.name, number).numpy()

    def _chained(self, number: int) -> np.ndarray:
        """Return the order of a pass of a small source.

        It is computed pass by pass, from the latest known pass. A pass that begins with a batch
        does not depend on earlier ones, so there are fewer passes to compute than ``share``.
        """
        whole = number - number % (self.share // math.gcd(len(self), self.share))
        known = max((p for p in self._orders if whole < p <= number), default=whole)
        order = self._orders[known] if known > whole else self._raw(whole)
        for p in range(known + 1, number + 1):
            order = self._apart(self._raw(p), order, p)
        return order

    def _apart(self, order: np.ndarray, before: np.ndarray, number: int) -> np.ndarray:
        """Move clips to a later position in ``order`` if they would occur twice in a batch.

        This can happen in the batch that contains the end of the previous pass, whose order is
        ``before``.
        """
        taken = number * len(self) % self.share  # slots of this batch in the previous pass
        taken_clips = before[-taken:]
        head = self.share - taken
        clash = np.flatnonzero(np.isin(order[:head], taken_clips))
        free = head + np.flatnonzero(~np.isin(order[head:], taken_clips))[: len(clash)]
        order[clash], order[free] = order[free], order[clash]
        return order


class MixedBatchSampler:
    """Sampler of batches with a fixed share of labelled clips, followed by unlabelled clips.

    Args:
        labelled: rows ``[n]`` of the labelled clips; may be empty.
        unlabelled: rows ``[m]`` of the unlabelled clips; may be empty.
        clips: stable hash of the clip in each row of the table.
        batch_size: number of clips per batch and rank.
        intrabatch_supervised_p: share of labelled clips in a batch. The number of clips is rounded
            down, as in SemiSupCon. For shares strictly between 0 and 1, a batch has at least one
            clip of each source. If a source is empty, the other source fills the batch.
        seed: seed of the order and the keys.
        rank: rank of this process, 0 <= rank < world_size. Ranks take disjoint, equally large parts
            of each batch.
        world_size: number of processes.
        start: number of the first batch of an iteration.

    Raises:
        ConfigError: if the share is outside [0, 1], if a batch is too small for both sources, or if
            labelled clips are required but missing.
    """

    def __init__(
        self,
        labelled: np.ndarray,
        unlabelled: np.ndarray,
        clips: np.ndarray,
        batch_size: int,
        intrabatch_supervised_p: float = 0.5,
        seed: int = 123,
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
    ):
        shares = share_out(
            batch_size,
            intrabatch_supervised_p,
            len(labelled) > 0,
            len(unlabelled) > 0,
        )
        clips = np.asarray(clips)
        self.batch_size, self.rank, self.world_size, self.start = (
            batch_size,
            rank,
            world_size,
            start,
        )
        self.sources = [
            Source(rows, clips[rows], share * world_size, seed, name)
            for rows, share, name in (
                (labelled, shares[0], "labelled"),
                (unlabelled, shares[1], "unlabelled"),
            )
            if share
        ]

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return max(math.ceil(len(source) / source.share) for source in self.sources)

    def batch(self, number: int) -> np.ndarray:
        """Return rows and keys ``[B, 2]`` of this rank's part of the batch with this number."""
        parts = []
        for source in self.sources:
            own = source.share // self.world_size
            parts.append(source.slots(number * source.share + self.rank * own, own))
        return np.concatenate(parts)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield batches endlessly, beginning at the batch number ``start``."""
        number = self.start
        while True:
            yield self.batch(number)
            number += 1


def share_out(
    batch_size: int,
    intrabatch_supervised_p: float,
    has_labelled: bool,
    has_unlabelled: bool,
) -> tuple[int, int]:
    """Return the numbers of labelled and of unlabelled clips in a batch.

    Raises the errors of `MixedBatchSampler`.
    """
    p = intrabatch_supervised_p
    if not 0 <= p <= 1:
        raise ConfigError(f"data.intrabatch_supervised_p must lie between 0 and 1, got {p:g}.")
    if batch_size < 1:
        raise ConfigError(f"data.batch_size must be at least 1, got {batch_size}.")
    if p == 1 and not has_labelled:
        raise ConfigError(
            "data.intrabatch_supervised_p is 1, but no training clip is labelled.\nName a "
            "data.sl_task, or give a smaller share."
        )
    if p in (0, 1) or not (has_labelled and has_unlabelled):
        only_labelled = p > 0 and has_labelled and (p == 1 or not has_unlabelled)
        return (batch_size, 0) if only_labelled else (0, batch_size)
    if batch_size < 2:
        raise ConfigError(
            "A batch of one clip cannot hold a labelled and an unlabelled clip; raise "
            "data.batch_size.",
        )
    labelled = min(max(1, math.floor(batch_size * p + 1e-9)), batch_size - 1)
    return labelled, batch_size - labelled


def validation_batches(
    rows: np.ndarray,
    clips: np.ndarray,
    batch_size: int,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
) -> list[np.ndarray]:
    """Return batches ``[B, 2]`` of rows and keys of all validation clips, in a fixed shuffled
    order.

    Batches have nearly equal sizes, which are the same on all ranks. If the number of clips is not
    divisible by the number of ranks, the last ranks repeat a few of the first clips.
    """
    if not len(rows):
        return []
    rows = np.asarray(rows)[permutation(len(rows), seed, "validation").numpy()]
    rows = rows[np.arange(math.ceil(len(rows) / world_size) * world_size) % len(rows)][
        rank::world_size
    ]
    hashes = torch.from_numpy(np.asarray(clips)[rows])
    # Training has no pass -1, so these keys are different from those of training.
    keys = make_keys(seed, torch.full_like(hashes, -1), hashes, views=1)[:, 0].numpy()
    return np.array_split(np.stack([rows, keys], axis=1), math.ceil(len(rows) / batch_size))
