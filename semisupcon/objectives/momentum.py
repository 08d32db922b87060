"""Momentum copies of networks: the key encoder of MoCo and the target network of BYOL."""

import copy

import torch
from torch import nn


def follower(module: nn.Module) -> nn.Module:
    """Return a copy of a module without gradients. The copy has separate batch-norm statistics."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    """Update the parameters of a momentum copy: slow = momentum * slow + (1 - momentum) * fast.

    Args:
        slow: momentum copy of ``fast``, made by `follower`.
        fast: the trained network.
        momentum: number in [0, 1).
    """
    pairs = list(zip(slow.parameters(), fast.parameters(), strict=True))
    if pairs:
        torch._foreach_lerp_([p for p, _ in pairs], [p for _, p in pairs], 1 - momentum)
