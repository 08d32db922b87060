"""Keep, update or recompute the running statistics of batch norm (Ioffe and Szegedy 2015)."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(*modules: nn.Module) -> list[_BatchNorm]:
    """Return all batch-norm layers of the modules, including synchronised and lazy layers."""
    return [
        layer for module in modules for layer in module.modules() if isinstance(layer, _BatchNorm)
    ]


def tracking(*modules: nn.Module) -> list[_BatchNorm]:
    """Return the batch-norm layers of the modules that have running statistics."""
    return [layer for layer in batch_norms(*modules) if layer.track_running_stats]


@contextmanager
def statistics_kept(module: nn.Module) -> Iterator[None]:
    """Keep the running statistics of batch norm unchanged while a ``with`` block runs.

    Layers in training mode still normalise with batch statistics. Use it if the same forward pass
    is computed twice and must be counted once.
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
    """Set batch norm to training mode in a ``with`` block and to eval mode after it.

    Other layers keep their mode.
    """
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
    """Recompute the running statistics of batch norm while a ``with`` block runs.

    Afterwards they are averages over the batches of the block, and batch norm is in eval mode.
    """
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
    """Return a batch norm for ``[N, D]`` with given mean ``[D]`` and standard deviation ``[D]``.

    The layer has no weights. Standard deviations are limited to 1e6.
    """
    layer = nn.BatchNorm1d(len(mean), affine=False)
    running_mean, running_var = _moments(layer)
    running_mean.copy_(mean)
    running_var.copy_(scale**2).clamp_(max=1e12)
    return layer


def mean_and_scale(layer: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Return the mean ``[D]`` and standard deviation ``[D]`` of a batch norm in eval mode."""
    running_mean, running_var = _moments(layer)
    return running_mean.clone(), (running_var + layer.eps).sqrt()


def _count(layer: _BatchNorm) -> Tensor:
    assert layer.num_batches_tracked is not None  # layers with running statistics have a count
    return layer.num_batches_tracked


def _moments(layer: _BatchNorm) -> tuple[Tensor, Tensor]:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return layer.running_mean, layer.running_var
