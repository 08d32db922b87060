"""Data sets that augment batches in the loader, or add the plan of the augmentation to them."""

from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from semisupcon.audio.pcm import to_float
from semisupcon.augmentations.base import Chain
from semisupcon.augmentations.plans import decides
from semisupcon.data.clips import Clips
from semisupcon.data.packed.on_device import Places

AugmentIn = Literal["device", "workers"]


class Wrapped(Dataset):
    """Base class of data sets that wrap another data set and change its batches in the loader.

    Args:
        clips: data set whose batches are changed.
        chain: augmentation of the views.
    """

    def __init__(self, clips: Clips | Places, chain: Chain):
        self.clips, self.chain = clips, chain

    @property
    def row_bytes(self) -> int:
        """Size of all views of a clip in bytes; 0 if views differ in length."""
        return self.clips.row_bytes

    @property
    def pin_memory(self) -> bool:
        """Whether batches are written to page-locked memory. The loader sets it."""
        return self.clips.pin_memory

    @pin_memory.setter
    def pin_memory(self, value: bool) -> None:
        self.clips.pin_memory = value

    def __len__(self) -> int:
        return len(self.clips)

    def __getitems__(self, items: Sequence[tuple[int, int]] | np.ndarray) -> dict[str, Any]:
        """Return the batch for pairs ``(row, key of the first view)``, ``[B, 2]``."""
        return self.changed(dict(self.clips.__getitems__(items)))

    def changed(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the changed batch."""
        raise NotImplementedError


class Planned(Wrapped):
    """Data set that adds random draws to batches, which are augmented on an accelerator later."""

    def changed(self, batch: dict[str, Any]) -> dict[str, Any]:
        plan = self.chain.plan(batch["key"].flatten(), self._samples(batch))
        return {**batch, "plan": plan.pin_memory() if self.pin_memory else plan}

    def _samples(self, batch: dict[str, Tensor]) -> int:
        if isinstance(self.clips, Places):
            return self.clips.clips.longest(batch["length"])
        return batch["audio"].shape[-1]


class Augmented(Wrapped):
    """Data set that augments batches on the CPU, like `AudioDataModule.augmented` on the device."""

    def __init__(self, clips: Clips, chain: Chain):
        super().__init__(clips, chain)
        self.leaves_padding = clips.leaves_padding

    @property
    def row_bytes(self) -> int:
        """Size of all views of a clip as float32 in bytes; 0 if views differ in length."""
        return super().row_bytes * 4 // cast("Clips", self.clips).audio.dtype.itemsize

    def changed(self, batch: dict[str, Any]) -> dict[str, Any]:
        heard = {**batch, "audio": to_float(batch["audio"])}
        return augmented(heard, self.chain, self.leaves_padding)


def augmented(batch: dict[str, Any], chain: Chain, leaves_padding: bool) -> dict[str, Any]:
    """Augment every view of a batch on its device, and add ``applied`` and ``parameters``.

    Args:
        batch: batch with float32 audio, and with a ``plan`` if the loader has added one.
        chain: augmentation chain on the device of the audio.
        leaves_padding: whether views may end with padding, which must remain silent.
    """
    views, plan, rows = batch["key"].shape, batch.get("plan"), batch["audio"].flatten(0, 1)
    done, applied, parameters = (
        chain(rows, batch["key"].flatten()) if plan is None else chain.run(rows, plan)
    )
    audio = done.unflatten(0, views)
    if leaves_padding:
        # Set the padding to zero again, because augmentations add noise and echoes to it.
        audio = audio * (
            torch.arange(audio.shape[-1], device=audio.device) < batch["length"][..., None, None]
        )
    changed = {
        "audio": audio,
        "applied": applied.unflatten(0, views),
        "parameters": parameters.unflatten(0, views),
    }
    return {name: value for name, value in batch.items() if name != "plan"} | changed


def planned(
    clips: Clips | Places, chain: Chain | None, on_device: bool, where: AugmentIn = "device"
) -> Clips | Places | Wrapped:
    """Return the data set for the place where views are augmented.

    If the workers augment, it augments batches. If an accelerator augments and the chain can draw
    on the CPU, it adds plans to batches. Otherwise it is ``clips``.
    """
    if chain is None:
        return clips
    if where == "workers":
        return Augmented(cast("Clips", clips), chain)
    return Planned(clips, chain) if on_device and decides(chain) else clips
