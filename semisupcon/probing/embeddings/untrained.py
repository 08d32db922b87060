"""An untrained copy of a module whose constructor may load weights.

The module is built twice, with different seeds. A tensor that differs was drawn at random and is
kept. A tensor of one repeated value is a constant, such as a bias of zeros. Any other tensor may
have been loaded: its module must initialise it again with ``reset_parameters``, as the modules of
torch do. If none does, the untrained copy is refused, because it could hold trained values.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from semisupcon.errors import ConfigError

# Buffers of these packages are constants: windows, filter banks, statistics of the input.
CONSTANT = ("semisupcon", "torchaudio")
Module = TypeVar("Module", bound=nn.Module)
RESET = ("reset_parameters", "_reset_parameters")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's generator in the block and restore its state afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def untrained(build: Callable[[], Module], seed: int, name: str) -> Module:
    """Build a module and initialise everything that its constructor may have loaded.

    Args:
        build: builds the module.
        seed: seed of the initialisation.
        name: name of the module in errors.

    Raises:
        ConfigError: for a parameter or buffer that nothing initialises.
    """
    with seeded(seed):
        module = build()
        with seeded(seed + 1):
            other = build()
        fixed = _fixed(module, other)
        # Submodules first: a module may then set the values of its submodules.
        for part in reversed(list(module.modules())):
            if any(id(tensor) in fixed for tensor in _tensors(part)):
                before = {id(tensor): tensor._version for tensor in _tensors(part)}
                _reset(part)
                after = {id(tensor): tensor._version for tensor in _tensors(part)}
                # Changes in place are counted; a tensor that was replaced is not there any more.
                for key in before:
                    if after.get(key) != before[key]:
                        fixed.pop(key, None)
    if fixed:
        first = next(iter(fixed.values())).removeprefix("trunk.")  # of a wrapped module
        raise ConfigError(
            f"No untrained copy of {name} can be made: nothing initialises {first}"
            f"{f' and {len(fixed) - 1} other tensors' * (len(fixed) > 1)}, which its constructor "
            "may have loaded.\nGive its module a method reset_parameters() that initialises "
            "them, or leave out 'random'."
        )
    return module


def _fixed(module: nn.Module, other: nn.Module) -> dict[int, str]:
    """Tensors that the constructor may have loaded, by id: their names."""
    fixed: dict[int, str] = {}
    pairs = zip(module.named_modules(), other.modules(), strict=True)
    for (place, part), twin in pairs:
        theirs = dict(_own(twin))
        for name, tensor in _own(part):
            if isinstance(tensor, nn.Parameter):
                constant = _is_constant(tensor)
            else:
                known = type(part).__module__.partition(".")[0] in CONSTANT
                constant = known or _is_constant(tensor) or _is_index(tensor)
            drawn = name in theirs and not _same(tensor, theirs[name])
            if not (constant or drawn):
                fixed[id(tensor)] = f"{place}.{name}".lstrip(".")
    return fixed


def _own(part: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and buffers of a module itself, without those of its submodules."""
    return [
        *part.named_parameters(recurse=False),
        *part.named_buffers(recurse=False),
    ]


def _tensors(part: nn.Module) -> list[Tensor]:
    """Parameters and buffers of a module and of its submodules."""
    return [*part.parameters(), *part.buffers()]


def _reset(part: nn.Module) -> None:
    for name in RESET:
        method = getattr(part, name, None)
        if callable(method):
            with torch.no_grad():
                method()
            return


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b)


def _is_constant(tensor: Tensor) -> bool:
    """Whether all values are the same; a single value must be 0 or 1."""
    if tensor.numel() == 0:
        return True
    first = tensor.flatten()[0]
    return bool((tensor == first).all()) and (tensor.numel() > 1 or first.item() in (0, 1))


def _is_index(tensor: Tensor) -> bool:
    """Whether it is a mask, or the integers from 0."""
    if tensor.dtype == torch.bool:
        return True
    if tensor.is_floating_point() or tensor.is_complex():
        return False
    return torch.equal(tensor.flatten().long(), torch.arange(tensor.numel()))
