"""Read the views of clips from a table as tensors.

Only the samples of the views are read. They are resampled, and short clips are padded or repeated.
"""

import os
import time
from collections.abc import Sequence
from typing import Literal, Protocol, TypedDict, TypeVar, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from semisupcon.audio.reading import read_spans, resample
from semisupcon.batch import Batch
from semisupcon.data.crops import (
    Crops,
    Policy,
    adjacent,
    check_policy,
    gapped,
    independent,
    parts,
    whole,
)
from semisupcon.datasets.base import LabelledClips
from semisupcon.errors import AudioError, ConfigError
from semisupcon.random import view_of

ShortClips = Literal["circular", "zero", "refuse"]
T = TypeVar("T")


class Samples(Protocol):
    """Interface of classes that read the samples of the clips in a table."""

    @property
    def dtype(self) -> torch.dtype:
        """Data type of the samples, float32 or int16."""

    def spans(self, row: int, spans: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Return mono samples of the spans ``(start, frames)`` of the clip in a row."""

    def name(self, row: int) -> str:
        """Return the name of the clip in a row, for messages."""


class FileAudio:
    """Reads the samples of the clips in a table from audio files.

    Args:
        rows: table with the column ``path``, and with ``frames`` if a scan has counted them.
    """

    dtype = torch.float32
    patience = 1.0  # seconds before a second attempt to read a file

    def __init__(self, rows: pd.DataFrame):
        # Reading an array, unlike a list, changes no reference counts: forked workers share it.
        given, arrow = rows["path"].array, pd.arrays.ArrowStringArray
        self.paths = (
            given if isinstance(given, arrow) else np.array([os.fsencode(p) for p in given])
        )
        self.frames = rows["frames"].to_numpy(np.int64) if "frames" in rows else None

    def spans(self, row: int, spans: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Return mono float32 samples of spans at the sample rate of the file.

        Raises the errors of `semisupcon.audio.reading.read`.
        """
        path, length = self.name(row), None if self.frames is None else int(self.frames[row])
        try:
            return read_spans(path, spans, length)[0]
        except AudioError:
            # The scan has read this file before, but network file systems fail occasionally.
            time.sleep(self.patience)
            return read_spans(path, spans, length)[0]

    def name(self, row: int) -> str:
        """Return the path of the clip in a row."""
        return os.fsdecode(self.paths[row])


class ViewOptions(TypedDict):
    """The options of `Clips` that determine how views are cut."""

    policy: Policy
    short_clips: ShortClips
    crop_fraction: float
    crop_overlap: bool | None


class Clips(Dataset):
    """Data set whose items are views (training crops) of the clips in a table.

    An index is a pair ``(row, key)``. ``__getitems__`` takes a list of such pairs from a batch
    sampler and returns a complete `Batch`. The loader must therefore not collate:
    ``DataLoader(clips, batch_sampler=..., collate_fn=as_is)``.

    Args:
        clips: clips with the columns ``path``, ``clip``, ``frames`` and ``sample_rate``.
        sample_rate: sample rate of the views in Hz.
        samples: length of a view in samples. With the policies ``gapped``, ``parts`` and ``whole``
            it is the length of a random excerpt of the clip, from which views are cut; ``whole``
            also extends shorter clips to this length. None, only for these policies, uses the
            complete clip.
        views: number of views of a clip, V.
        policy: method of cutting views, see `semisupcon.data.crops`.
        short_clips: treatment of clips shorter than a view: ``circular`` repeats them from the
            beginning, ``zero`` pads them with zeros, ``refuse`` raises an error.
        crop_fraction: ``fraction`` of `semisupcon.data.crops.gapped`.
        crop_overlap: ``overlap`` of `semisupcon.data.crops.gapped`.
        min_samples: minimum number of samples of a batch whose views differ in length. Such a batch
            is padded with zeros to its longest view, and to at least this length.
        audio: object that reads the samples; by default, the files of the clips are read.

    Raises:
        ConfigError: if options are invalid or contradict each other.
        AudioError: with ``refuse``, if clips are too short. The message names the first one.
    """

    def __init__(
        self,
        clips: LabelledClips,
        sample_rate: int,
        samples: int | None,
        views: int = 2,
        policy: Policy = "adjacent",
        short_clips: ShortClips = "circular",
        crop_fraction: float = 0.45,
        crop_overlap: bool | None = False,
        min_samples: int = 1,
        audio: Samples | None = None,
    ):
        check_policy(policy, views, crop_fraction, crop_overlap)
        if short_clips not in get_args(ShortClips):
            raise ConfigError(
                f"data.short_clips must be one of {', '.join(get_args(ShortClips))}, got "
                f"'{short_clips}'.",
            )
        self.fixed = policy in ("adjacent", "independent")
        # Whether every view has `samples` samples.
        self.filled = self.fixed or (policy == "whole" and samples is not None)
        if self.fixed and (samples is None or samples < 1):
            raise ConfigError(
                f"data.view_policy '{policy}' needs the length of a view (data.target_length, "
                "seconds).",
            )
        self.sample_rate, self.samples, self.views, self.policy = (
            sample_rate,
            samples,
            views,
            policy,
        )
        self.fraction, self.overlap, self.min_samples = crop_fraction, crop_overlap, min_samples
        self.repeats = self.filled and short_clips == "circular"  # whether short clips are repeated
        self.leaves_padding = not self.filled or short_clips == "zero"
        self.pin_memory = False  # whether to write batches to page-locked memory; set by the loader
        self.audio: Samples = FileAudio(clips.table) if audio is None else audio
        columns = (
            clips.table[name].to_numpy(np.int64, copy=True)
            for name in ("clip", "frames", "sample_rate")
        )
        self.clip, self.frames, self.rates = map(torch.from_numpy, columns)
        self.targets = torch.from_numpy(np.ascontiguousarray(clips.targets))
        if short_clips == "refuse" and self.filled:
            self._refuse_short()

    @property
    def row_bytes(self) -> int:
        """Size of all views of a clip in bytes; 0 if views differ in length."""
        return self.views * self.view_samples * self.audio.dtype.itemsize if self.filled else 0

    @property
    def view_samples(self) -> int:
        """Number of samples of a view, if all views have the same length."""
        assert self.samples is not None
        return self.samples

    def _refuse_short(self) -> None:
        available = self.frames * self.sample_rate // self.rates
        if (short := (available < self.view_samples).nonzero()).numel():
            first, seconds = int(short[0]), self.view_samples / self.sample_rate
            raise AudioError(
                f"{len(short)} of {len(self)} clips are shorter than a view of {seconds:g} s.\n"
                f"The first: {self.audio.name(first)} "
                f"({int(self.frames[first]) / int(self.rates[first]):.2f} s)\n"
                "Give a shorter data.target_length, or data.short_clips circular or zero."
            )

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, item: tuple[int, int]) -> Batch:
        """Return one clip, as a `Batch` without the batch dimension.

        Audio is ``[V, 1, T]``, length ``[V]``, targets ``[C]``, clip ``[]``, key ``[V]``.
        """
        batch = self.__getitems__([item])
        return Batch(
            audio=batch["audio"][0],
            length=batch["length"][0],
            targets=batch["targets"][0],
            clip=batch["clip"][0],
            key=batch["key"][0],
        )

    def __getitems__(self, items: Sequence[tuple[int, int]] | np.ndarray) -> Batch:
        """Return the batch for pairs ``(row, key of the first view)``, ``[B, 2]``."""
        rows, base = torch.as_tensor(np.asarray(items, dtype=np.int64)).unbind(dim=1)
        keys = base[:, None] + torch.arange(self.views)
        crops = self.crops(rows, keys)
        starts, spans, joint = (part.tolist() for part in crops)
        views = [
            self._read(row, *crop)
            for row, *crop in zip(rows.tolist(), starts, spans, joint, strict=True)
        ]
        audio, length = self._stack(views)
        targets, clip = self.targets[rows], self.clip[rows]
        return Batch(audio=audio, length=length, targets=targets, clip=clip, key=keys)

    def crops(self, rows: Tensor, keys: Tensor) -> Crops:
        """Draw crops of ``rows [B]`` with ``keys [B, V]``, in samples at the rate of the file."""
        frames, rates = self.frames[rows], self.rates[rows]
        if self.fixed:
            cut = adjacent if self.policy == "adjacent" else independent
            return cut(frames, rates, keys, self.view_samples, self.sample_rate)
        if self.samples is None:
            return self._inside(frames, keys)
        # Cut a random excerpt from the clip, which is the same for all its views.
        stretch = independent(
            frames,
            rates,
            (keys - view_of(keys))[:, :1],
            self.samples,
            self.sample_rate,
        )
        inside = self._inside(stretch.span[:, 0], keys)
        return inside._replace(start=inside.start + stretch.start)

    def _inside(self, frames: Tensor, keys: Tensor) -> Crops:
        if self.policy == "gapped":
            return gapped(frames, keys, self.fraction, self.overlap)
        return parts(frames, keys) if self.policy == "parts" else whole(frames, keys)

    def _read(self, row: int, starts: list[int], spans: list[int], joint: bool) -> list[np.ndarray]:
        """Read the views of a clip and resample them. Views may differ in length."""
        rate = int(self.rates[row])
        if joint:
            (stretch,) = self.audio.spans(row, [(starts[0], spans[0])])
            if rate != self.sample_rate:
                stretch = resample(stretch, rate, self.sample_rate, self.views * self.view_samples)
            return list(stretch.reshape(self.views, self.view_samples))
        views = self.audio.spans(row, list(zip(starts, spans, strict=True)))
        if rate == self.sample_rate:
            return views
        return [
            resample(view, rate, self.sample_rate, self._length_at_target(len(view), rate))
            for view in views
        ]

    def _length_at_target(self, span: int, rate: int) -> int:
        available = max(1, span * self.sample_rate // rate)
        return min(available, self.samples) if self.samples is not None else available

    def longest(self, length: Tensor) -> int:
        """Return the number of samples T of a batch whose views have ``length [B, V]``."""
        return self.view_samples if self.filled else max(int(length.max()), self.min_samples)

    def _stack(self, views: list[list[np.ndarray]]) -> tuple[Tensor, Tensor]:
        """Stack B lists of V arrays into audio ``[B, V, 1, T]`` and lengths ``[B, V]``."""
        length = torch.tensor([[len(view) for view in clip] for clip in views])
        longest = self.longest(length)
        audio = torch.empty(
            *length.shape,
            1,
            longest,
            dtype=self.audio.dtype,
            pin_memory=self.pin_memory,
        )
        out = audio.numpy()
        for b, clip in enumerate(views):
            for v, view in enumerate(clip):
                out[b, v, 0, : len(view)] = view
                if len(view) < longest:
                    out[b, v, 0, len(view) :] = (
                        np.resize(view, longest)[len(view) :] if self.repeats else 0
                    )
        return audio, torch.full_like(length, longest) if self.repeats else length


def as_is(batch: T) -> T:
    """Return the batch unchanged. This is the collate function for `Clips`."""
    return batch
