"""Plans: the random draws of a chain for a batch, made on the CPU and copied to the device.

The keys (seeds) of the views alone determine which rows an operator changes, and its parameters. On
an accelerator, these draws would need hundreds of small kernels. The CPU would also wait for the
device each time an operator selects the rows to change. Instead, `Transform.decide` draws on the
CPU, in a process or thread of the loader. `Plan` packs the drawn tensors into one buffer.
`Transform.perform` then computes on the device without synchronisation.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

ALIGNMENT = 16  # bytes; a multiple of the size of all element types


class Decision(NamedTuple):
    """Random draws of one transform for the rows of a batch.

    Attributes:
        applied: ``[N]`` bool, the rows that the transform changes. None if the transform draws on
            the device.
        parameters: ``[N, P]`` float32, NaN for unchanged rows. None if the transform draws on the
            device.
        work: input of `Transform.perform`: tensors and numbers in dictionaries, lists and tuples.
        later: whether the transform draws on the device. In this case, ``work`` has the arguments
            ``key`` and ``among`` of `Transform.modify`.
    """

    applied: Any
    parameters: Any
    work: Any
    later: bool = False


class _Place(NamedTuple):
    """Offset in bytes, type and shape of a tensor in the buffer of a `Plan`."""

    offset: int
    dtype: torch.dtype
    shape: tuple[int, ...]


class Plan:
    """Random draws of a transform or chain, with all tensors in one buffer.

    Args:
        tree: nested decisions of a transform or chain, with tensors on the CPU.

    Attributes:
        buffer: all tensors, ``[bytes]`` uint8.
    """

    def __init__(self, tree: Any):
        parts: list[tuple[_Place, Tensor]] = []
        size = 0

        def packed(tree: Any) -> Any:
            nonlocal size
            if not isinstance(tree, Tensor):
                return _rebuilt(tree, packed)
            place = _Place(size, tree.dtype, tuple(tree.shape))
            parts.append((place, tree))
            size += -(-tree.nbytes // ALIGNMENT) * ALIGNMENT
            return place

        self._tree = packed(tree)
        self.buffer = torch.zeros(size, dtype=torch.uint8)
        for place, tensor in parts:
            self._view(self.buffer, place).copy_(tensor)

    @staticmethod
    def _view(buffer: Tensor, place: _Place) -> Tensor:
        count = torch.Size(place.shape).numel()
        size = count * place.dtype.itemsize
        return buffer[place.offset : place.offset + size].view(place.dtype).view(place.shape)

    def _with(self, buffer: Tensor) -> "Plan":
        other = Plan.__new__(Plan)
        other._tree, other.buffer = self._tree, buffer
        return other

    def pin_memory(self, *_: Any) -> "Plan":
        """Copy the plan to page-locked memory, for asynchronous copies to a device."""
        return self._with(self.buffer.pin_memory())

    def to(self, device: torch.device | str, non_blocking: bool = True) -> "Plan":
        """Copy the plan to a device, in a single copy."""
        return self._with(self.buffer.to(device, non_blocking=non_blocking))

    @property
    def decisions(self) -> Any:
        """The nested decisions, whose tensors are views of the buffer."""
        return self._unpacked(self._tree)

    def _unpacked(self, tree: Any) -> Any:
        if isinstance(tree, _Place):
            return self._view(self.buffer, tree)
        return _rebuilt(tree, self._unpacked)


def _rebuilt(tree: Any, change: Any) -> Any:
    if isinstance(tree, dict):
        return {name: change(value) for name, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*map(change, tree))
    if isinstance(tree, list | tuple):
        return type(tree)(map(change, tree))
    return tree


def accepted(apply: Callable[..., Any], prepared: dict[str, Any]) -> dict[str, Any]:
    """Return the prepared arguments that ``apply`` accepts.

    A subclass may override ``apply`` with fewer arguments than its base class.
    """
    if not prepared:
        return prepared
    names = _names(getattr(apply, "__func__", apply))
    return (
        prepared
        if names is None
        else {name: value for name, value in prepared.items() if name in names}
    )


@lru_cache(maxsize=256)
def _names(function: Callable[..., Any]) -> frozenset[str] | None:
    known = inspect.signature(function).parameters
    return None if any(p.kind is p.VAR_KEYWORD for p in known.values()) else frozenset(known)


def decides(transform: object) -> bool:
    """Return whether a transform draws its random numbers on the CPU.

    False for a class that overrides `modify` or `forward` but neither `decide` nor `perform`.
    """
    for cls in type(transform).__mro__:
        if {"decide", "perform"} & cls.__dict__.keys():
            return True
        if {"modify", "forward"} & cls.__dict__.keys():
            return False
    return False


class Seen:
    """Collects the changed rows and parameters of each operator of a chain.

    If an operator runs twice on a row, the parameters of the last run are kept.

    Args:
        parameter_names: for each of the K operators, the names of its parameters.
        rows: number of rows, N.
        device: device of the added tensors.
    """

    def __init__(self, parameter_names: Sequence[Sequence[str]], rows: int, device: torch.device):
        self.applied = [torch.zeros(rows, dtype=torch.bool, device=device) for _ in parameter_names]
        self.parameters = [
            torch.full((rows, len(names)), torch.nan, device=device) for names in parameter_names
        ]

    def add(self, k: int, applied: Tensor, parameters: Tensor) -> None:
        """Record the changed rows ``applied [N]`` and ``parameters [N, P]`` of operator ``k``."""
        self.applied[k] = self.applied[k] | applied
        self.parameters[k] = torch.where(applied[:, None], parameters, self.parameters[k])

    def stacked(self) -> tuple[Tensor, Tensor]:
        """Return masks ``[N, K]`` (bool) and parameters ``[N, K, P]``, padded with NaN."""
        width = max(values.shape[1] for values in self.parameters)
        padded = [
            torch.nn.functional.pad(v, (0, width - v.shape[1]), value=torch.nan)
            for v in self.parameters
        ]
        return torch.stack(self.applied, 1), torch.stack(padded, 1)


class ChainDecision(NamedTuple):
    """Random draws of a chain for the rows of a batch.

    Attributes:
        stages: pairs of a transform index and its `Decision`, in the order of execution.
        applied: ``[N, K]`` bool, the rows that each operator changes. None if an operator draws on
            the device.
        parameters: ``[N, K, P]`` float32. None if an operator draws on the device.
    """

    stages: list[tuple[int, Decision]]
    applied: Tensor | None
    parameters: Tensor | None

    @classmethod
    def of(cls, stages: list[tuple[int, Decision]], seen: Seen) -> "ChainDecision":
        """Build the decision of a chain from the decisions of its stages.

        If all draws are known, ``applied`` and ``parameters`` are stacked and removed from the
        stages.
        """
        if any(d.later for _, d in stages):
            return cls(stages, None, None)
        for k, decision in stages:
            seen.add(k, decision.applied, decision.parameters)
        return cls(
            [(k, d._replace(applied=None, parameters=None)) for k, d in stages], *seen.stacked()
        )


def decide(transform: Any, key: Tensor, samples: int, among: Tensor | None = None) -> Decision:
    """Return the draws of a transform, or a `Decision` to draw later on the device."""
    if decides(transform):
        return transform.decide(key, samples, among)
    return later(key, torch.ones_like(key, dtype=torch.bool) if among is None else among)


def later(key: Tensor, among: Tensor) -> Decision:
    """Return the `Decision` of a transform that draws on the device."""
    return Decision(None, None, {"key": key, "among": among}, True)


def perform(transform: Any, audio: Tensor, decision: Decision) -> tuple[Tensor, Any, Any]:
    """Apply a transform according to its decision, on the device of ``audio [N, C, T]``.

    Calls `modify` if the transform draws on the device, else `perform`. Returns the audio,
    ``applied [N]`` and ``parameters [N, P]``.
    """
    if decision.later:
        return transform.modify(audio, **decision.work)
    return transform.perform(audio, decision.work), decision.applied, decision.parameters
