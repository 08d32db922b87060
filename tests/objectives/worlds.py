"""A small world for objectives: batches of noise, and an encoder that costs nothing."""

import torch
from torch import Tensor, nn

from semisupcon.objectives.base import Encode
from semisupcon.spec import Recorded


def make_batch(clips: int, views: int, samples: int = 16, targets: Tensor | None = None, seed: int = 0, dtype=torch.float32) -> dict:
    """A batch whose clips are random but reproducible."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "audio": torch.randn(clips, views, 1, samples, generator=generator, dtype=torch.float64).to(dtype),
        "length": torch.full((clips, views), samples),
        "targets": torch.zeros(clips, 0) if targets is None else targets.clone(),
        "clip": torch.arange(clips) + 1000,
        "key": (torch.arange(clips)[:, None] * 7919 + 12345 << 8) | torch.arange(views),
    }


class TinyEncoder(Recorded):
    """A linear layer on non-overlapping frames, with as many tasks as asked for."""

    sample_rate, min_samples, segment_samples = 8000, 4, 16

    def __init__(self, width: int = 6, norm: bool = False, tasks: list[str] | None = None):
        super().__init__()
        self.tasks = tuple(tasks or ())
        self.task_dims = dict.fromkeys(self.tasks, width)
        self.embedding_dim = width * max(len(self.tasks), 1)
        self.trunk = nn.Sequential(nn.Conv1d(1, width, 2, stride=2), nn.BatchNorm1d(width) if norm else nn.Identity(), nn.Tanh())
        self.ends = nn.ModuleList(nn.Linear(width, width) for _ in self.tasks)

    def features(self, x, length=None, task=None):
        return x

    def from_features(self, features, length=None, task=None):
        pooled = self.trunk(features).mean(dim=-1)
        if not self.tasks:
            return pooled
        chosen = self.tasks if task is None else (task,)
        return torch.cat([self.ends[self.tasks.index(name)](pooled) for name in chosen], dim=1)

    def forward(self, x, length=None, task=None):
        return self.from_features(self.features(x), length, task)

    def frames(self, x, task=None):
        return self.trunk(x)


def encode_with(encoder) -> Encode:
    """The encoder as a criterion sees it."""
    return Encode(encoder)
