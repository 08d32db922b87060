"""Running statistics of batch norm (Ioffe and Szegedy 2015): left alone, learned apart from the network, or measured anew."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(*modules: nn.Module) -> list[_BatchNorm]:
    """All batch-norm layers, also synchronised and lazy ones, in order."""
    return [layer for module in modules for layer in module.modules() if isinstance(layer, _BatchNorm)]


def tracking(*modules: nn.Module) -> list[_BatchNorm]:
    """The batch-norm layers that keep running statistics."""
    return [layer for layer in batch_norms(*modules) if layer.track_running_stats]


@contextmanager
def statistics_kept(module: nn.Module) -> Iterator[None]:
    """Training mode normalises by batch statistics in the block, and leaves the running ones as they are.

    For a forward pass that is computed again and must count once.
    """
    layers = tracking(module)
    before = [(layer.momentum, _count(layer).clone()) for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, (momentum, count) in zip(layers, before, strict=True):
            layer.momentum = momentum
            _count(layer).copy_(count)


@contextmanager
def statistics_learned(*modules: nn.Module) -> Iterator[None]:
    """Batch norm is in training mode in the block and in evaluation mode after it; other layers keep their mode."""
    layers = batch_norms(*modules)
    for layer in layers:
        layer.train()
    try:
        yield
    finally:
        for layer in layers:
            layer.eval()


@contextmanager
def statistics_measured(module: nn.Module) -> Iterator[None]:
    """Running statistics become the averages over the batches of the block; batch norm is in evaluation mode after it."""
    layers = tracking(module)
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    try:
        with statistics_learned(*layers):
            yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def standardiser(mean: Tensor, scale: Tensor) -> nn.BatchNorm1d:
    """A batch norm ``[N, D]`` without weights that starts at mean ``[D]`` and standard deviation ``[D]``; an infinite one becomes 1e6."""
    layer = nn.BatchNorm1d(len(mean), affine=False)
    running_mean, running_var = _moments(layer)
    running_mean.copy_(mean)
    running_var.copy_(scale**2).clamp_(max=1e12)
    return layer


def mean_and_scale(layer: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Mean ``[D]`` and standard deviation ``[D]`` by which a batch norm standardises in evaluation mode."""
    running_mean, running_var = _moments(layer)
    return running_mean.clone(), (running_var + layer.eps).sqrt()


def _count(layer: _BatchNorm) -> Tensor:
    assert layer.num_batches_tracked is not None  # a layer that tracks has all three
    return layer.num_batches_tracked


def _moments(layer: _BatchNorm) -> tuple[Tensor, Tensor]:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return layer.running_mean, layer.running_var
