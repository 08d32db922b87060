"""Precision of losses: similarities are computed in at least 32 bits, because 16 are too coarse."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Convert a tensor to float32; float64 is unchanged."""
    return x if x.dtype == torch.float64 else x.float()
