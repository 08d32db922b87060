"""Networks that follow another one slowly: the momentum encoder of MoCo and the target network of BYOL."""

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn
from torch.nn.functional import batch_norm
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
    """Batch norms in evaluation mode normalise what passes by the batches before it, and learn from it only then.

    So no output tells what else was in its batch, and the running statistics are those of this network, not of the one that it follows.
    """

    def learn(norm: _BatchNorm, inputs: tuple, _) -> None:
        with torch.no_grad():
            batch_norm(inputs[0], norm.running_mean, norm.running_var, training=True, momentum=norm.momentum)

    with ExitStack() as stack:
        for norm in (m for network in networks for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats):
            stack.callback(norm.register_forward_hook(learn).remove)
        yield
