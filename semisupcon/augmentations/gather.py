"""Cut pieces from audio, or delay it, by a different number of samples in every row."""

import torch
from torch import Tensor


def pieces(audio: Tensor, start: Tensor, length: int) -> Tensor:
    """Cut pieces of ``length`` samples from every row.

    Args:
        audio: ``[N, C, T]``.
        start: int64 ``[N]`` or ``[N, K]``, the first sample of each piece, in 0..T - length. All
            channels are cut at the same positions.
        length: number of samples of a piece.

    Returns:
        Pieces ``[N, C, length]`` or ``[N, C, K, length]``.
    """
    windows = audio.unfold(-1, length, 1)  # a view, so that indexing copies contiguous samples
    row = torch.arange(len(audio), device=audio.device)
    channel = torch.arange(audio.shape[1], device=audio.device)
    if start.ndim == 1:
        return windows[row[:, None], channel, start[:, None]]
    return windows[row[:, None, None], channel[:, None], start[:, None]]


def delayed(audio: Tensor, shift: Tensor, longest: int) -> Tensor:
    """Delay rows of ``audio [N, C, T]`` by ``shift [N]`` samples in 0..longest, zero-padded."""
    longest = min(longest, audio.shape[-1])
    return pieces(
        torch.nn.functional.pad(audio, (longest, 0)),
        longest - shift.clamp(max=longest),
        audio.shape[-1],
    )
