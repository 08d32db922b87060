"""Pooling of a sequence of frames to one vector. Frames of padding are excluded by a mask."""

import torch
from torch import Tensor, nn

from semisupcon.spec import Recorded


class Pool(Recorded):
    """Base class of pooling: frames ``[N, D, F]`` or maps ``[N, D, bands, F]`` to ``[N, D]``.

    Subclasses define ``forward(maps, mask)``; ``mask`` is ``[N, F]`` bool, True for valid frames,
    or None if all are valid.
    """

    def connect(self, width: int) -> None:
        """Build layers for a trunk of ``width`` channels. The encoder calls this method once."""

    def forward(self, maps: Tensor, mask: Tensor | None = None) -> Tensor:
        raise TypeError(f"{type(self).__name__} defines no forward(maps, mask)")


def mean_over_frames(frames: Tensor, mask: Tensor | None) -> Tensor:
    """Average ``[N, D, F]`` over the frames of ``mask [N, F]``; None means all frames."""
    if mask is None:
        return frames.mean(dim=-1)
    mask = mask[:, None].to(frames.dtype)
    return (frames * mask).sum(dim=-1) / mask.sum(dim=-1)


def max_over_frames(frames: Tensor, mask: Tensor | None) -> Tensor:
    """Take the maximum of ``[N, D, F]`` over frames of ``mask [N, F]``; None means all frames."""
    return (
        frames.amax(dim=-1)
        if mask is None
        else frames.masked_fill(~mask[:, None], float("-inf")).amax(dim=-1)
    )


def without_bands(maps: Tensor) -> Tensor:
    """Average ``[N, D, bands, F]`` over bands; ``[N, D, F]`` is returned unchanged."""
    return maps.mean(dim=2) if maps.dim() == 4 else maps


class AveragePool(Pool):
    """Mean over frames, and over bands if the input has them."""

    def forward(self, maps: Tensor, mask: Tensor | None = None) -> Tensor:
        return mean_over_frames(without_bands(maps), mask)


class MaxPool(Pool):
    """Maximum over frames, and over bands if the input has them, as in COLA."""

    def forward(self, maps: Tensor, mask: Tensor | None = None) -> Tensor:
        return max_over_frames(maps.amax(dim=2) if maps.dim() == 4 else maps, mask)


class MaxPlusMeanPool(Pool):
    """Maximum plus mean over frames, after averaging over bands (PANNs, Kong et al. 2020)."""

    def forward(self, maps: Tensor, mask: Tensor | None = None) -> Tensor:
        frames = without_bands(maps)
        return max_over_frames(frames, mask) + mean_over_frames(frames, mask)


class AttentionPool(Pool):
    """Weighted mean over frames with learned weights, after averaging over bands.

    A network of two layers computes a score for each frame. The weights are the softmax of the
    scores over frames.

    Args:
        hidden: width of the scoring layer.
    """

    def __init__(self, hidden: int = 128):
        super().__init__()
        self.hidden = hidden

    def connect(self, width: int) -> None:
        self.score = nn.Sequential(
            nn.Conv1d(width, self.hidden, 1), nn.Tanh(), nn.Conv1d(self.hidden, 1, 1)
        )

    def forward(self, maps: Tensor, mask: Tensor | None = None) -> Tensor:
        frames = without_bands(maps)
        scores = self.score(frames)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], float("-inf"))
        return torch.einsum("ndf,nf->nd", frames, scores[:, 0].softmax(dim=-1).to(frames.dtype))
