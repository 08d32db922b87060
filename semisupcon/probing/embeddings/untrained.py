"""Build an untrained copy of a module whose constructor may load weights.

The module is built twice, with different seeds. A tensor that differs between both was drawn at
random and is kept. A tensor with only one value is a constant, such as a bias of zeros. Any other
tensor may have been loaded, so its module must initialise it with ``reset_parameters``, as modules
of torch do. If there is no such method, an error is raised, because the copy could have trained
values.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from semisupcon.errors import ConfigError

# In modules of these packages, buffers are constants: windows, filter banks, input statistics.
CONSTANT = ("semisupcon", "torchaudio")
Module = TypeVar("Module", bound=nn.Module)
RESET = ("reset_parameters", "_reset_parameters")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Context manager that seeds torch's generator in its block and restores it afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def untrained(build: Callable[[], Module], seed: int, name: str) -> Module:
    """Build a module, and initialise all tensors that its constructor may have loaded.

    Args:
        build: function that builds the module.
        seed: seed of the initialisation.
        name: name of the module for messages.

    Raises:
        ConfigError: if a parameter or buffer may have been loaded and no method initialises it.
    """
    with seeded(seed):
        module = build()
        with seeded(seed + 1):
            other = build()
        fixed = _fixed(module, other)
        # Reset submodules before their parents, which may set values of their submodules.
        for part in reversed(list(module.modules())):
            if any(id(tensor) in fixed for tensor in _tensors(part)):
                before = {id(tensor): tensor._version for tensor in _tensors(part)}
                _reset(part)
                after = {id(tensor): tensor._version for tensor in _tensors(part)}
                # A tensor counts as initialised if `_reset` has changed it in place or replaced it.
                for key in before:
                    if after.get(key) != before[key]:
                        fixed.pop(key, None)
    if fixed:
        first = next(iter(fixed.values())).removeprefix("trunk.")  # prefix of a wrapped module
        raise ConfigError(
            f"No untrained copy of {name} can be made: nothing initialises {first}"
            f"{f' and {len(fixed) - 1} other tensors' * (len(fixed) > 1)}, which its constructor "
            "may have loaded.\nGive its module a method reset_parameters() that initialises "
            "them, or leave out 'random'."
        )
    return module


def _fixed(module: nn.Module, other: nn.Module) -> dict[int, str]:
    """Find the tensors that the constructor may have loaded.

    Args:
        module: the module.
        other: the same module built with another seed.

    Returns:
        Name of each such tensor, by the ``id`` of the tensor.
    """
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
    """Return the parameters and buffers of a module, without those of its submodules."""
    return [
        *part.named_parameters(recurse=False),
        *part.named_buffers(recurse=False),
    ]


def _tensors(part: nn.Module) -> list[Tensor]:
    """Return the parameters and buffers of a module and of its submodules."""
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
    """Return whether all values of a tensor are equal. A single value must be 0 or 1."""
    if tensor.numel() == 0:
        return True
    first = tensor.flatten()[0]
    return bool((tensor == first).all()) and (tensor.numel() > 1 or first.item() in (0, 1))


def _is_index(tensor: Tensor) -> bool:
    """Return whether a tensor is a boolean mask, or has the integers from 0 in order."""
    if tensor.dtype == torch.bool:
        return True
    if tensor.is_floating_point() or tensor.is_complex():
        return False
    return torch.equal(tensor.flatten().long(), torch.arange(tensor.numel()))
