"""Transforms that combine other transforms: a chain applies all, `OneOf` chooses one."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from semisupcon.augmentations.blocks import check
from semisupcon.augmentations.plans import (
    ChainDecision,
    Decision,
    Plan,
    Seen,
    decide,
    decides,
    later,
    perform,
)
from semisupcon.augmentations.transform import Transform
from semisupcon.errors import ConfigError
from semisupcon.random import clip_key, derive, uniform, view_of
from semisupcon.spec import Recorded


def operator_key(key: Tensor, position: int | Tensor) -> Tensor:
    """Derive the key of the operator at ``position`` of a chain.

    The views of a clip get keys with the same `clip_key`.
    """
    return clip_key(derive(clip_key(key), position)) | view_of(key)


class Chain(Recorded):
    """A chain of transforms that are applied in sequence.

    Attributes:
        operators: names of the K operators; repeated names are numbered.
        parameter_names: for each operator, the names of its parameters.

    Args:
        transforms: transforms in the order of application.
        p: probability that the whole chain is applied to a row.
        shared_choices: whether the decision to apply the chain is drawn once for all views of a
            clip. True is the behaviour of SemiSupCon: at severity 2, both views of 20 % of the
            pairs remain unaugmented.

    Raises:
        ConfigError: if ``transforms`` is empty, or ``p`` is outside [0, 1].
    """

    transforms: Sequence[Transform]  # a ModuleList, whose member type mypy does not know

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
        """Augment audio ``[N, C, T]`` with keys ``[N]``.

        Returns the audio, ``applied [N, K]`` bool, and ``parameters [N, K, P]`` (NaN for absent
        parameters and for operators that were not applied).

        Raises:
            ValueError: if audio or keys have the wrong shape or type.
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
        """Yield steps as (operator index, keys ``[N]``, mask ``[N]`` of the rows to change)."""
        among = self.coin(key)
        for position in range(len(self.transforms)):
            yield position, operator_key(key, position), among

    def plan(self, key: Tensor, samples: int) -> Plan:
        """Draw the random numbers of `forward` for keys ``[N]`` on the CPU.

        Copy the plan to the device with its method ``to``.
        """
        return Plan(self.decide(key, samples))

    def decide(self, key: Tensor, samples: int) -> ChainDecision:
        """Draw the decisions of all steps for keys ``[N]`` on the CPU."""
        stages = [
            (k, decide(self.transforms[k], keys, samples, among))
            for k, keys, among in self.stages(key)
        ]
        return ChainDecision.of(stages, Seen(self.parameter_names, len(key), key.device))

    def run(self, audio: Tensor, plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
        """Augment ``audio [N, C, T]`` with a plan on its device, with the results of `forward`."""
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
        """Return a mask ``[N]`` (bool) of the rows to which the chain is applied."""
        return uniform(clip_key(key) if self.shared_choices else key, "chain")[:, 0] < self.p


class OneOf(Transform):
    """Apply one of several transforms, chosen uniformly.

    The first reported parameter is the index of the chosen transform.

    Args:
        transforms: the candidates.
        name: name of the operator.
        p: probability that a candidate is applied.
        shared_choices: whether the candidate is drawn once for all views of a clip, as in
            SemiSupCon.
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
        """Merge the masks of changed rows and the parameters of all candidates."""
        applied = torch.stack([touched for touched, _ in seen]).any(0)
        which = torch.where(applied, choice.float(), torch.nan)[:, None]
        return applied, torch.cat([which, *(values for _, values in seen)], 1)

    def choice(self, key: Tensor) -> Tensor:
        """Return the index of the chosen candidate of each row, ``[N]`` int64."""
        u = uniform(clip_key(key) if self.shared_choices else key, "choice")[:, 0]
        return (u * len(self.transforms)).long()
