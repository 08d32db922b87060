"""Datasets that add augmentation plans to batches, or augment them, in the loader."""

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
    """Base class of datasets that change batches of clips in the loader.

    Args:
        clips: dataset of the loader.
        chain: augmentations of the views.
    """

    def __init__(self, clips: Clips | Places, chain: Chain):
        self.clips, self.chain = clips, chain

    @property
    def row_bytes(self) -> int:
        """See `Clips.row_bytes`."""
        return self.clips.row_bytes

    @property
    def pin_memory(self) -> bool:
        """Whether batches are made in page-locked memory; set by the loader."""
        return self.clips.pin_memory

    @pin_memory.setter
    def pin_memory(self, value: bool) -> None:
        self.clips.pin_memory = value

    def __len__(self) -> int:
        return len(self.clips)

    def __getitems__(self, items: Sequence[tuple[int, int]] | np.ndarray) -> dict[str, Any]:
        """Return the batch of ``(row, key)`` pairs ``[B, 2]``."""
        return self.changed(dict(self.clips.__getitems__(items)))

    def changed(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the batch of the loader for the batch of the clips."""
        raise NotImplementedError


class Planned(Wrapped):
    """Adds ``plan`` to batches: `Chain.plan` of their views, for an accelerator."""

    def changed(self, batch: dict[str, Any]) -> dict[str, Any]:
        plan = self.chain.plan(batch["key"].flatten(), self._samples(batch))
        return {**batch, "plan": plan.pin_memory() if self.pin_memory else plan}

    def _samples(self, batch: dict[str, Tensor]) -> int:
        if isinstance(self.clips, Places):
            return self.clips.clips.longest(batch["length"])
        return batch["audio"].shape[-1]


class Augmented(Wrapped):
    """Augments batches (float32), same as `AudioDataModule.augmented` on the device."""

    def __init__(self, clips: Clips, chain: Chain):
        super().__init__(clips, chain)
        self.leaves_padding = clips.leaves_padding

    @property
    def row_bytes(self) -> int:
        """See `Clips.row_bytes`; for float32 audio."""
        return super().row_bytes * 4 // cast("Clips", self.clips).audio.dtype.itemsize

    def changed(self, batch: dict[str, Any]) -> dict[str, Any]:
        heard = {**batch, "audio": to_float(batch["audio"])}
        return augmented(heard, self.chain, self.leaves_padding)


def augmented(batch: dict[str, Any], chain: Chain, leaves_padding: bool) -> dict[str, Any]:
    """Augment every view of a batch on its device, and add ``applied`` and ``parameters``.

    Args:
        batch: batch with float32 audio, and a ``plan`` if the loader made one.
        chain: chain on the device of the audio.
        leaves_padding: whether views end in padding, which must stay silent.
    """
    views, plan, rows = batch["key"].shape, batch.get("plan"), batch["audio"].flatten(0, 1)
    done, applied, parameters = (
        chain(rows, batch["key"].flatten()) if plan is None else chain.run(rows, plan)
    )
    audio = done.unflatten(0, views)
    if leaves_padding:
        # Remove what augmentations add to the padding (noise, echoes).
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
    """Return ``clips``, with plans if an accelerator augments and the chain decides on the host, or
    augmented by the loader."""
    if chain is None:
        return clips
    if where == "workers":
        return Augmented(cast("Clips", clips), chain)
    return Planned(clips, chain) if on_device and decides(chain) else clips
