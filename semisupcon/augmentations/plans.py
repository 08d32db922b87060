"""Plans: what a chain does to a batch, decided on the host and copied to the device at once.

Which rows an operator changes, and with what parameters, depends on the keys alone. On an accelerator
these decisions would cost hundreds of small kernels, and the host would wait for each list of rows.
So `Transform.decide` makes them on the CPU, in a loader's process or thread, a `Plan` packs all their
tensors into one buffer, and `Transform.perform` computes on the device without waiting for it.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

ALIGNMENT = 16  # bytes: every dtype may start there


class Decision(NamedTuple):
    """What one transform does to the rows of a batch.

    Attributes:
        applied: ``[N]`` bool; None where only the transform itself can tell, on the device.
        parameters: ``[N, P]`` float32, NaN where not applied; None likewise.
        work: what `Transform.perform` needs: tensors and numbers in dictionaries, lists, and tuples.
        later: whether the transform decides only on the device: ``work`` holds the key and mask of its `modify`.
    """

    applied: Any
    parameters: Any
    work: Any
    later: bool = False


class _Place(NamedTuple):
    """Where a tensor lies in the buffer."""

    offset: int
    dtype: torch.dtype
    shape: tuple[int, ...]


class Plan:
    """A tree of decisions whose tensors lie in one buffer.

    Args:
        tree: decisions of a transform or chain, on the CPU.

    Attributes:
        buffer: ``[bytes]`` uint8.
    """

    def __init__(self, tree: Any):
        parts: list[tuple[_Place, Tensor]] = []
        self._size = 0
        self._tree = self._packed(tree, parts)
        self.buffer = torch.zeros(self._size, dtype=torch.uint8)
        for place, tensor in parts:
            self._view(self.buffer, place).copy_(tensor)

    def _packed(self, tree: Any, parts: list[tuple[_Place, Tensor]]) -> Any:
        if isinstance(tree, Tensor):
            place = _Place(self._size, tree.dtype, tuple(tree.shape))
            parts.append((place, tree))
            size = tree.numel() * tree.element_size()
            self._size += -(-size // ALIGNMENT) * ALIGNMENT
            return place
        return _rebuilt(tree, lambda value: self._packed(value, parts))

    @staticmethod
    def _view(buffer: Tensor, place: _Place) -> Tensor:
        count = torch.Size(place.shape).numel()
        size = count * place.dtype.itemsize
        return buffer[place.offset : place.offset + size].view(place.dtype).view(place.shape)

    def _with(self, buffer: Tensor) -> "Plan":
        other = Plan.__new__(Plan)
        other._tree, other._size, other.buffer = self._tree, self._size, buffer
        return other

    def pin_memory(self, *_: Any) -> "Plan":
        """The plan in page-locked memory, from which a device copies without waiting."""
        return self._with(self.buffer.pin_memory())

    def to(self, device: torch.device | str, non_blocking: bool = True) -> "Plan":
        """The plan on a device; one copy."""
        return self._with(self.buffer.to(device, non_blocking=non_blocking))

    @property
    def decisions(self) -> Any:
        """The tree, its tensors being views of the buffer."""
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
    """The arguments that ``apply`` takes: a subclass may override it without those of the class it extends."""
    if not prepared:
        return prepared
    names = _names(getattr(apply, "__func__", apply))
    return prepared if names is None else {name: value for name, value in prepared.items() if name in names}


@lru_cache(maxsize=256)
def _names(function: Callable[..., Any]) -> frozenset[str] | None:
    known = inspect.signature(function).parameters
    return None if any(p.kind is p.VAR_KEYWORD for p in known.values()) else frozenset(known)


def decides(transform: object) -> bool:
    """Whether a transform decides on the host: false for a class that overrides `modify` or `forward` without `decide`."""
    for cls in type(transform).__mro__:
        if "decide" in cls.__dict__:
            return True
        if {"modify", "forward"} & cls.__dict__.keys():
            return False
    return False


class Seen:
    """The rows that each operator of a chain changed, and its parameters; of an operator that comes twice, those of the last time.

    Args:
        parameter_names: of each of the K operators.
        rows: N.
        device: of what is added.
    """

    def __init__(self, parameter_names: Sequence[Sequence[str]], rows: int, device: torch.device):
        self.applied = [torch.zeros(rows, dtype=torch.bool, device=device) for _ in parameter_names]
        self.parameters = [torch.full((rows, len(names)), torch.nan, device=device) for names in parameter_names]

    def add(self, k: int, applied: Tensor, parameters: Tensor) -> None:
        """Operator ``k`` changed the rows ``applied [N]`` with ``parameters [N, P]``."""
        self.applied[k] = self.applied[k] | applied
        self.parameters[k] = torch.where(applied[:, None], parameters, self.parameters[k])

    def stacked(self) -> tuple[Tensor, Tensor]:
        """``[N, K]`` bool and ``[N, K, P]``, filled up with NaN."""
        width = max(values.shape[1] for values in self.parameters)
        padded = [torch.nn.functional.pad(v, (0, width - v.shape[1]), value=torch.nan) for v in self.parameters]
        return torch.stack(self.applied, 1), torch.stack(padded, 1)


class ChainDecision(NamedTuple):
    """What a chain does to the rows of a batch.

    Attributes:
        stages: pairs of the position of a transform and its `Decision`, in the order of work.
        applied: ``[N, K]`` bool; None where only some transform itself can tell, on the device.
        parameters: ``[N, K, P]`` float32; None likewise.
    """

    stages: list[tuple[int, Decision]]
    applied: Tensor | None
    parameters: Tensor | None

    @classmethod
    def of(cls, stages: list[tuple[int, Decision]], seen: Seen) -> "ChainDecision":
        """Where all decisions are known, their rows and parameters are put together, and do not travel one by one."""
        if any(d.later for _, d in stages):
            return cls(stages, None, None)
        for k, decision in stages:
            seen.add(k, decision.applied, decision.parameters)
        return cls([(k, Decision(None, None, d.work, False)) for k, d in stages], *seen.stacked())


def decide(transform: Any, key: Tensor, samples: int, among: Tensor | None = None) -> Decision:
    """`Transform.decide`; for a transform that does not decide on the host, the arguments of its `modify`."""
    if decides(transform):
        return transform.decide(key, samples, among)
    return later(key, torch.ones_like(key, dtype=torch.bool) if among is None else among)


def later(key: Tensor, among: Tensor) -> Decision:
    """The decision to decide on the device."""
    return Decision(None, None, {"key": key, "among": among}, True)


def perform(transform: Any, audio: Tensor, decision: Decision) -> tuple[Tensor, Any, Any]:
    """`Transform.perform` of any transform: audio, ``applied [N]``, and ``parameters [N, P]``, all on the device."""
    if decision.later:
        return transform.modify(audio, **decision.work)
    return transform.perform(audio, decision.work), decision.applied, decision.parameters
