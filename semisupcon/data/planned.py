"""Batches with the plan of their augmentations, made where they are read: see `semisupcon.augmentations.plans`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from semisupcon.augmentations.base import Chain
from semisupcon.augmentations.plans import decides
from semisupcon.data.clips import Clips
from semisupcon.data.packed.on_device import Places


class Planned(Dataset):
    """The batches of ``clips``, each with a key ``plan`` beside the others (`Chain.plan` of its views).

    Args:
        clips: what a loader reads.
        chain: what the device will do to the views.
    """

    def __init__(self, clips: Clips | Places, chain: Chain):
        self.clips, self.chain = clips, chain

    @property
    def pin_memory(self) -> bool:
        """Whether batches are made in page-locked memory; the loader sets it."""
        return self.clips.pin_memory

    @pin_memory.setter
    def pin_memory(self, value: bool) -> None:
        self.clips.pin_memory = value

    def __len__(self) -> int:
        return len(self.clips)

    def __getitems__(self, items: Sequence[tuple[int, int]] | np.ndarray) -> dict[str, Any]:
        """The batch of ``(row, key)`` pairs ``[B, 2]``."""
        batch: dict[str, Any] = dict(self.clips.__getitems__(items))
        plan = self.chain.plan(batch["key"].flatten(), self._samples(batch))
        return {**batch, "plan": plan.pin_memory() if self.pin_memory else plan}

    def _samples(self, batch: dict[str, Tensor]) -> int:
        if isinstance(self.clips, Places):
            return self.clips.clips.longest(batch["length"])
        return batch["audio"].shape[-1]


def planned(clips: Clips | Places, chain: Chain | None, on_device: bool) -> Clips | Places | Planned:
    """``clips`` with plans, where an accelerator augments them and the chain decides on the host."""
    return Planned(clips, chain) if on_device and chain is not None and decides(chain) else clips
