"""Networks that follow another one slowly: the momentum encoder of MoCo and the target network of BYOL."""

import copy

import torch
from torch import nn


def follower(module: nn.Module) -> nn.Module:
    """A copy that no gradient reaches. Its batch-norm statistics are its own."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    """Move every parameter of ``slow`` towards ``fast``: slow = momentum slow + (1 - momentum) fast."""
    if parameters := list(slow.parameters()):
        torch._foreach_lerp_(parameters, list(fast.parameters()), 1 - momentum)
