"""Packed audio in device memory: the loader sends the starts of views, the device cuts views."""

import logging
from collections.abc import Sequence
from typing import TypedDict, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from semisupcon.audio.pcm import to_float
from semisupcon.batch import Batch
from semisupcon.data.clips import Clips
from semisupcon.data.packed.reading import PackedAudio

log = logging.getLogger(__name__)


class PlacedBatch(TypedDict):
    """A `Batch` with the positions of the views instead of their audio.

    Keys:
        place: ``[B, V]`` int64, first sample of each view in the concatenated shards.
        length: ``[B, V]`` int64, number of samples of each view without padding.
        longest: number of samples of the longest view. It is not a tensor, to avoid a
            synchronisation with the device.
        targets, clip, key: see `Batch`.
    """

    place: Tensor
    length: Tensor
    longest: int
    targets: Tensor
    clip: Tensor
    key: Tensor


class Places(Dataset):
    """Data set of the positions of views in the concatenated shards, in place of `Clips`.

    Args:
        clips: clips of packed audio.
    """

    row_bytes = 0  # a batch has no audio

    def __init__(self, clips: Clips):
        self.clips = clips
        audio = cast("PackedAudio", clips.audio)
        begins = np.concatenate([[0], np.cumsum([len(shard) for shard in audio.maps])])
        self.origin = torch.from_numpy(begins[audio.shard] + audio.offset)
        self.pin_memory = False

    def __len__(self) -> int:
        return len(self.clips)

    def __getitems__(self, items: Sequence[tuple[int, int]] | np.ndarray) -> PlacedBatch:
        """Return the batch for pairs ``(row, key of the first view)``, ``[B, 2]``."""
        rows, base = torch.as_tensor(np.asarray(items, dtype=np.int64)).unbind(dim=1)
        clips = self.clips
        keys = base[:, None] + torch.arange(clips.views)
        start, span, joint = clips.crops(rows, keys)
        if clips.fixed:
            steps = torch.arange(clips.views) * clips.view_samples
            start = torch.where(joint[:, None], start[:, :1] + steps, start)
            span = torch.where(joint[:, None], clips.view_samples, span)
        place = self.origin[rows][:, None] + start
        longest = clips.longest(span)
        return {
            "place": place,
            "length": span,
            "longest": longest,
            "targets": clips.targets[rows],
            "clip": clips.clip[rows],
            "key": keys,
        }


class Resident:
    """All samples of a packed set in device memory, from which views are cut.

    Args:
        audio: the packed audio to copy.
        device: device to copy the samples to.
    """

    def __init__(self, audio: PackedAudio, device: torch.device):
        total = sum(map(len, audio.maps))
        self.samples = torch.empty(total, dtype=torch.int16, device=device)
        begin = 0
        for shard in audio.maps:
            for part in np.array_split(shard, max(1, len(shard) >> 26)):
                # Torch does not accept read-only memory, so copy the part.
                self.samples[begin : begin + len(part)] = torch.from_numpy(part.copy()).to(device)
                begin += len(part)

    def cut(self, batch: PlacedBatch, clips: Clips) -> Batch:
        """Cut the views of a batch on the device, ``audio [B, V, 1, T]`` int16.

        The result is equal to that of `Clips`.
        """
        place, length = (x.to(self.samples.device) for x in (batch["place"], batch["length"]))
        longest = batch["longest"]
        time = torch.arange(longest, device=self.samples.device)
        within = (
            time % length[..., None]
            if clips.repeats
            else torch.minimum(time, length[..., None] - 1)
        )
        audio = self.samples[place[..., None] + within]
        if clips.repeats:
            length = torch.full_like(length, longest)
        elif clips.leaves_padding:
            audio = audio * (time < length[..., None])
        rest = {name: value for name, value in batch.items() if name not in ("place", "longest")}
        return cast("Batch", {**rest, "audio": audio[:, :, None], "length": length})


def waveforms(batch: Batch | PlacedBatch, clips: Clips | None, resident: Resident | None) -> Batch:
    """Convert the audio of a batch to ``[B, V, 1, T]`` float32 in [-1, 1).

    The loader may send float32 or int16 audio, or positions in the resident samples.

    Args:
        batch: batch of a loader, on the device.
        clips: clips of the loader, which determine the lengths of views if samples are resident.
        resident: all samples in device memory; None if they are not.
    """
    if resident is not None:
        assert clips is not None
        batch = resident.cut(cast("PlacedBatch", batch), clips)
    heard = cast("Batch", batch)
    return {**heard, "audio": to_float(heard["audio"])}


def fits(audio: PackedAudio, device: torch.device) -> bool:
    """Return whether packed audio needs at most half of the free memory of a GPU.

    The result is True for other devices.
    """
    if device.type != "cuda":
        return True
    needed, free = 2 * sum(map(len, audio.maps)), torch.cuda.mem_get_info(device)[0]
    if needed > free // 2:
        log.warning(
            "data: the packed set (%.1f GB) does not fit on the device (%.1f GB free); it is read "
            "from disk.",
            needed / 1e9,
            free / 1e9,
        )
    return needed <= free // 2
