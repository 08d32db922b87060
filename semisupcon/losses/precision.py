"""Precision of losses: similarities are never computed in 16 bits, which is too coarse."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Convert to float32; float64 is unchanged."""
    return x if x.dtype == torch.float64 else x.float()
