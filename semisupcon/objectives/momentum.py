"""Networks that follow another one slowly: the momentum encoder of MoCo and the target network of BYOL."""

import copy

import torch
from torch import nn


def follower(module: nn.Module) -> nn.Module:
    """A copy that no gradient reaches. Its batch-norm statistics are its own."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, momentum: float, statistics: bool = False) -> None:
    """Move every parameter of ``slow`` towards ``fast``: slow = momentum slow + (1 - momentum) fast.

    Args:
        slow: a `follower` of ``fast``.
        fast: the network that is trained.
        momentum: in [0, 1).
        statistics: move the running statistics too (EMAN, Cai et al. 2021), for a follower that is kept in evaluation mode.
    """
    pairs = list(zip(slow.parameters(), fast.parameters(), strict=True))
    if statistics:
        pairs += [(a, b) for a, b in zip(slow.buffers(), fast.buffers(), strict=True) if a.is_floating_point()]
    if pairs:
        torch._foreach_lerp_(*map(list, zip(*pairs, strict=True)), 1 - momentum)
