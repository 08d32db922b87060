"""Base classes of augmentations, with parameters drawn per example from its key.

A transform maps audio ``[N, C, T]`` and keys ``[N]`` to audio, a mask of changed rows, and their
parameters, shared by all channels (C is 1 in a batch). The output for a key does not depend on the
other rows. To write one: subclass `Transform`, name its parameters, define `draw` and
`apply`. On the CPU, `modify` processes rows in blocks. On an accelerator, `decide` draws parameters
on the host and `perform` computes on the device; see `semisupcon.augmentations.plans`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from semisupcon.augmentations.blocks import change_rows, check, in_blocks
from semisupcon.augmentations.names import snake_case
from semisupcon.augmentations.plans import (
    ChainDecision,
    Decision,
    Plan,
    Seen,
    accepted,
    decide,
    decides,
    later,
    perform,
)
from semisupcon.errors import ConfigError
from semisupcon.random import clip_key, derive, uniform, view_of
from semisupcon.spec import Recorded


def operator_key(key: Tensor, position: int | Tensor) -> Tensor:
    """Key of the operator at ``position`` of a chain; views of a clip share its `clip_key`."""
    return clip_key(derive(clip_key(key), position)) | view_of(key)


class Transform(Recorded):
    """Base class of one operator, applied to each row with probability ``p``, out of place.

    Attributes:
        name: name in ``aug_list``, ``operators``, logs and augmentation prediction. Default: class
            name in snake case; empty for an abstract class. Random draws do not depend on it.
        parameter_names: names of the P values reported per row, with units.
        block_samples: approximate block size in samples on the CPU.
        cost: cost of a call relative to a simple operator; `RandomSubset` calls expensive operators
            with more rows at once.

    Args:
        p: probability that a row is touched, drawn per row.

    Raises:
        ConfigError: if ``p`` does not lie in [0, 1].
    """

    name: str = ""
    parameter_names: tuple[str, ...] = ()
    block_samples: int = 1 << 19
    cost: float = 1.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = snake_case(cls.__name__)

    def __init__(self, p: float = 1.0):
        super().__init__()
        if not 0 <= p <= 1:
            raise ConfigError(
                f"{type(self).__name__}: the probability p must lie between 0 and 1, got {p}."
            )
        self.p = p

    def draw(self, key: Tensor, samples: int) -> Tensor:
        """Parameters ``[n, P]`` float32 of n rows of ``samples`` samples."""
        return torch.empty(len(key), 0, device=key.device)

    def prepare(self, parameters: Tensor, key: Tensor, samples: int) -> dict[str, Any]:
        """Tensors (copied to the device later) and numbers for `apply`, computed on the host.

        Args:
            parameters: ``[n, P]``, on the CPU.
            key: ``[n]``, on the CPU.
            samples: length of a row.
        """
        return {}

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor, **prepared: Any) -> Tensor:
        """Transform rows ``[n, C, T]`` (may overwrite them); parameters ``[n, P]``, key ``[n]``."""
        raise ConfigError(
            f"The augmentation {type(self).__name__} defines no apply(audio, parameters, key)."
        )

    def forward(self, audio: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Augmented audio, ``applied [N]`` bool (false: bit-identical), and ``parameters [N, P]``
        (NaN where not applied).

        Raises:
            ValueError: if the audio is not floating point ``[N, C, T]`` with T > 0, or the keys are
                not int64 ``[N]``.
        """
        check(audio, key)
        if audio.device.type == "cpu":
            return self.modify(audio.clone(), key)
        plan = Plan(decide(self, key.cpu(), audio.shape[-1])).to(audio.device)
        return perform(self, audio.clone(), plan.decisions)

    def modify(
        self, audio: Tensor, key: Tensor, among: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Same as `forward`, in place, and only for rows of the mask ``among [N]``."""
        applied, parameters = self.drawn(key, audio.shape[-1], among)
        rows = _in_order(applied, parameters)

        def work(block: Tensor) -> None:
            arguments = self._arguments(parameters[block], key[block], audio.shape[-1])
            change_rows(audio, block, lambda x: self.apply(x, **arguments))

        in_blocks(work, rows, audio, self.block_samples)
        return audio, applied, parameters

    def decide(self, key: Tensor, samples: int, among: Tensor | None = None) -> Decision:
        """Draw the mask and parameters of `modify` on the host.

        Args:
            key: ``[N]`` on the CPU.
            samples: length of a row.
            among: ``[N]`` bool on the CPU, rows that may be changed; None means all.
        """
        applied, parameters = self.drawn(key, samples, among)
        rows = _in_order(applied, parameters)
        if not len(rows):
            return Decision(applied, parameters, None)
        arguments = self._arguments(parameters[rows], key[rows], samples)
        return Decision(applied, parameters, {"rows": rows, "arguments": arguments})

    def _arguments(self, parameters: Tensor, key: Tensor, samples: int) -> dict[str, Any]:
        prepared = self.prepare(parameters, key, samples)
        return {"parameters": parameters, "key": key, **accepted(self.apply, prepared)}

    def perform(self, audio: Tensor, work: Any) -> Tensor:
        """Change rows of ``audio [N, C, T]`` in place, on its device; ``work`` of a `Decision`."""
        if work is None:
            return audio
        return change_rows(audio, work["rows"], lambda x: self.apply(x, **work["arguments"]))

    def drawn(self, key: Tensor, samples: int, among: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mask of changed rows ``[N]`` bool and parameters ``[N, P]``, NaN elsewhere."""
        applied = self.chosen(key, among)
        parameters = torch.full((len(key), len(self.parameter_names)), torch.nan, device=key.device)
        drawn = self.draw(key[applied], samples)
        if drawn.shape[1:] != parameters.shape[1:]:
            expected = f"[n, {parameters.shape[1]}], a column for each of parameter_names"
            raise ConfigError(
                f"{type(self).__name__}.draw must return {expected}, got {list(drawn.shape)}."
            )
        parameters[applied] = drawn
        return applied, parameters

    def chosen(self, key: Tensor, among: Tensor | None) -> Tensor:
        """Mask ``[N]`` bool of rows drawn with probability ``p``, within ``among``."""
        applied = uniform(key, "applied")[:, 0] < self.p
        return applied if among is None else applied & among

    def extra_repr(self) -> str:
        return f"{self.name}, p={self.p:g}"


def _in_order(applied: Tensor, parameters: Tensor) -> Tensor:
    """Changed rows ``[n]``, sorted by the first parameter: similar rows of a block share work."""
    rows = applied.nonzero()[:, 0]
    return rows[parameters[rows, 0].argsort(stable=True)] if parameters.shape[1] else rows


class Chain(Recorded):
    """Transforms applied in sequence.

    Attributes:
        operators: names of the K operators; repeated names get a number.
        parameter_names: for each operator, the names of its parameters.

    Args:
        transforms: transforms in the order of application.
        p: probability that the chain is applied to a row.
        shared_choices: draw this once for all views of a clip, as published: all or none are
            augmented (SemiSupCon: at severity 2, 20 % of pairs are clean on both sides).

    Raises:
        ConfigError: if ``transforms`` is empty, or ``p`` does not lie in [0, 1].
    """

    transforms: Sequence[Transform]  # a ModuleList; mypy does not know the type of its members

    def __init__(
        self,
        transforms: Sequence[Transform],
        p: float = 1.0,
        shared_choices: bool = True,
    ):
        super().__init__()
        if not transforms:
            raise ConfigError("A chain of augmentations needs at least one transform.")
        if not 0 <= p <= 1:
            raise ConfigError(f"The probability of the chain must lie between 0 and 1, got {p}.")
        self.transforms = cast("Sequence[Transform]", nn.ModuleList(transforms))
        self.p, self.shared_choices = p, shared_choices
        names = [t.name for t in transforms]
        self.operators = tuple(
            f"{n}_{names[:i].count(n) + 1}" if names[:i].count(n) else n
            for i, n in enumerate(names)
        )
        self.parameter_names = tuple(t.parameter_names for t in transforms)

    def forward(self, audio: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Augmented audio ``[N, C, T]``, ``applied [N, K]`` bool, and ``parameters [N, K, P]`` (NaN
        where absent or not applied).

        Raises:
            ValueError: for audio or keys of the wrong shape or type.
        """
        check(audio, key)
        if audio.device.type != "cpu" and decides(self):
            return self.run(audio, self.plan(key.cpu(), audio.shape[-1]).to(audio.device))
        audio, seen = audio.clone(), Seen(self.parameter_names, len(key), audio.device)
        for k, keys, among in self.stages(key.to(audio.device)):
            audio, touched, values = self.transforms[k].modify(audio, keys, among)
            seen.add(k, touched, values)
        return audio, *seen.stacked()

    def stages(self, key: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield for each step: operator index, its keys ``[N]``, mask ``[N]`` of rows to change."""
        among = self.coin(key)
        for position in range(len(self.transforms)):
            yield position, operator_key(key, position), among

    def plan(self, key: Tensor, samples: int) -> Plan:
        """Host-side draws of `forward` for keys ``[N]``; copy it to the device with ``to``."""
        return Plan(self.decide(key, samples))

    def decide(self, key: Tensor, samples: int) -> ChainDecision:
        """Decisions of all stages; ``key [N]`` is on the CPU."""
        stages = [
            (k, decide(self.transforms[k], keys, samples, among))
            for k, keys, among in self.stages(key)
        ]
        return ChainDecision.of(stages, Seen(self.parameter_names, len(key), key.device))

    def run(self, audio: Tensor, plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
        """Same as `forward`, with a plan on the device of ``audio [N, C, T]``."""
        audio, decision = audio.clone(), plan.decisions
        seen = (
            Seen(self.parameter_names, len(audio), audio.device)
            if decision.applied is None
            else None
        )
        for k, stage in decision.stages:
            audio, touched, values = perform(self.transforms[k], audio, stage)
            if seen is not None:
                seen.add(k, touched, values)
        return audio, *(decision[1:] if seen is None else seen.stacked())

    def coin(self, key: Tensor) -> Tensor:
        """Mask ``[N]`` bool of rows to which the chain is applied."""
        return uniform(clip_key(key) if self.shared_choices else key, "chain")[:, 0] < self.p


class OneOf(Transform):
    """One of several transforms, chosen uniformly; the first reported parameter is its index.

    Args:
        transforms: candidates.
        name: name of the operator.
        p: probability that a candidate is applied.
        shared_choices: draw the candidate once for all views of a clip, as published.
    """

    transforms: Sequence[Transform]

    def __init__(
        self,
        transforms: Sequence[Transform],
        name: str = "one_of",
        p: float = 1.0,
        shared_choices: bool = True,
    ):
        super().__init__(p)
        if not transforms:
            raise ConfigError("OneOf needs at least one transform to choose from.")
        self.transforms = cast("Sequence[Transform]", nn.ModuleList(transforms))
        self.name, self.shared_choices = name, shared_choices
        self.parameter_names = (
            "choice",
            *(f"{t.name}.{n}" for t in transforms for n in t.parameter_names),
        )

    def modify(
        self, audio: Tensor, key: Tensor, among: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        among, choice = self.chosen(key, among), self.choice(key)
        seen = []
        for index, transform in enumerate(self.transforms):
            audio, *touched = transform.modify(
                audio, operator_key(key, index), among & (choice == index)
            )
            seen.append(touched)
        return audio, *self._together(choice, seen)

    def decide(self, key: Tensor, samples: int, among: Tensor | None = None) -> Decision:
        among, choice = self.chosen(key, among), self.choice(key)
        chosen = [
            decide(t, operator_key(key, i), samples, among & (choice == i))
            for i, t in enumerate(self.transforms)
        ]
        if any(d.later for d in chosen):
            return later(key, among)
        return Decision(*self._together(choice, [d[:2] for d in chosen]), [d.work for d in chosen])

    def perform(self, audio: Tensor, work: Any) -> Tensor:
        for transform, part in zip(self.transforms, work, strict=True):
            audio = transform.perform(audio, part)
        return audio

    @staticmethod
    def _together(choice: Tensor, seen: Sequence[Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
        """Mask of changed rows and parameters of all candidates, from those of each."""
        applied = torch.stack([touched for touched, _ in seen]).any(0)
        which = torch.where(applied, choice.float(), torch.nan)[:, None]
        return applied, torch.cat([which, *(values for _, values in seen)], 1)

    def choice(self, key: Tensor) -> Tensor:
        """Index of the chosen candidate of each row, ``[N]`` int64."""
        u = uniform(clip_key(key) if self.shared_choices else key, "choice")[:, 0]
        return (u * len(self.transforms)).long()
