"""Networks that follow another one slowly: the momentum encoder of MoCo and the target network of BYOL."""

import copy

import torch
from torch import nn


def follower(module: nn.Module) -> nn.Module:
    """A copy that no gradient reaches. Its batch-norm statistics are its own."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    """Move every parameter of ``slow`` towards ``fast``: slow = momentum slow + (1 - momentum) fast.

    Args:
        slow: a `follower` of ``fast``.
        fast: the network that is trained.
        momentum: in [0, 1).
    """
    pairs = list(zip(slow.parameters(), fast.parameters(), strict=True))
    if pairs:
        torch._foreach_lerp_([p for p, _ in pairs], [p for _, p in pairs], 1 - momentum)
