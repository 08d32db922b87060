"""Networks that follow another one slowly: the momentum encoder of MoCo and the target network of BYOL."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


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
        torch._foreach_lerp_(*map(list, zip(*pairs, strict=True)), 1 - momentum)


@contextmanager
def measuring(*networks: nn.Module) -> Iterator[None]:
    """What passes within is normalised by its own statistics, from which the batch norms learn; outside they keep to what they have learnt.

    Networks in evaluation mode, which no other layer leaves.
    """
    norms = [m for network in networks for m in network.modules() if isinstance(m, _BatchNorm)]
    for norm in norms:
        norm.train()
    try:
        yield
    finally:
        for norm in norms:
            norm.eval()
