"""Data loaders for fine-tuning: random segments for training, whole clips for evaluation."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from semisupcon.audio.scan import scan
from semisupcon.data.clips import Clips, as_is
from semisupcon.datasets.base import LabelledClips
from semisupcon.encoders.base import Encoder
from semisupcon.probing.embeddings.embedder import clip_segments
from semisupcon.probing.embeddings.encoders import Subject
from semisupcon.probing.methods.base import FineTuning
from semisupcon.random import make_keys, permutation, stable_hash


class Passes:
    """Batch sampler that yields arrays ``[N, 2]`` of row and key.

    Each pass has all clips in a new random order. The key of a clip determines its random crop.

    Args:
        names: names of the clips.
        batch_size: clips per batch.
        seed: seed of orders and keys.
    """

    def __init__(self, names: tuple[str, ...], batch_size: int, seed: int):
        self.clips = torch.tensor([stable_hash(name) for name in names])
        self.batch_size, self.seed, self.passes = batch_size, seed, 0

    def __len__(self) -> int:
        return -(-len(self.clips) // self.batch_size)

    def __iter__(self) -> Iterator[np.ndarray]:
        order = permutation(len(self.clips), "finetune", self.seed, self.passes)
        keys = make_keys(
            self.seed, torch.full_like(order, self.passes), self.clips[order], views=1
        )[:, 0]
        self.passes += 1
        pairs = torch.stack([order, keys], dim=1).numpy()
        # Batch norm fails for a batch of one clip: add a last single clip to the previous batch.
        cuts = [
            c for c in range(self.batch_size, len(pairs), self.batch_size) if len(pairs) - c > 1
        ]
        yield from np.split(pairs, cuts)


def training_loader(
    task: LabelledClips, encoder: Encoder, options: FineTuning, seed: int
) -> DataLoader:
    """Return a data loader with one random segment of each training clip per pass."""
    train = task.select(task.rows("train"))
    files = [str(file) for file in train.files]
    facts = scan(files)
    clip = [stable_hash(path) for path in train.paths]
    table = train.assign(
        path=files, clip=clip, frames=facts["frames"], sample_rate=facts["sample_rate"]
    )
    clips = Clips(
        table, encoder.sample_rate, encoder.segment_samples, views=1, policy="independent"
    )
    passes = Passes(train.paths, options.batch_size, seed)
    # Ignore the type check: the batch sampler yields arrays instead of lists.
    return DataLoader(clips, batch_sampler=passes, collate_fn=as_is)  # type: ignore[arg-type]


class Tracks(torch.utils.data.Dataset):
    """Dataset of whole clips, as segments ``[n, segment]`` and targets ``[C]``.

    Args:
        task: labelled clips.
        rows: rows of the clips.
        segments: function that returns the segments of the clip in a row.
    """

    def __init__(
        self, task: LabelledClips, rows: np.ndarray, segments: Callable[[int], np.ndarray]
    ):
        self.task, self.rows, self.segments = task, rows, segments

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        row = int(self.rows[index])
        return torch.from_numpy(self.segments(row)), torch.from_numpy(self.task.targets[row])


def tracks(task: LabelledClips, split: str, subject: Subject) -> DataLoader:
    """Return a data loader of all clips of a split, in order, without batches."""
    return DataLoader(
        Tracks(task, task.rows(split), lambda row: clip_segments(task.files[row], subject)),
        batch_size=None,
    )
