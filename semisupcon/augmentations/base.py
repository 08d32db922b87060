"""What a transform is: parameters drawn per example from its key, applied to the chosen rows of a batch at once, on the batch's device.

A transform takes audio ``[N, C, T]`` (C = 1 in the batch; every transform also takes several channels, which share their parameters) and keys
``[N]``, and returns the audio, which rows it touched, and with what parameters. The same key gives the same sound whatever the neighbours.
To write one: subclass `Transform`, name its parameters, and give it `draw` and `apply`.
"""

import re
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from semisupcon.augmentations.blocks import in_blocks
from semisupcon.errors import ConfigError
from semisupcon.random import clip_key, derive, uniform, view_of
from semisupcon.spec import Recorded


def operator_key(key: Tensor, position: int | Tensor) -> Tensor:
    """The key of the operator at ``position`` of a chain; it keeps its view, so that `clip_key` of it is still shared by a clip's views."""
    return clip_key(derive(clip_key(key), position)) | view_of(key)


def snake_case(name: str) -> str:
    """``time_stretch`` of ``TimeStretch``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class Transform(Recorded):
    """One operator. It never changes its input, and touches a row with probability ``p``.

    Attributes:
        name: of the operator in ``aug_list``, in ``operators`` of a chain, in logs and in augmentation prediction. By default the class name
            in snake case; empty for a base class that does nothing itself. No draw depends on it.
        parameter_names: names of the P values it reports per row, with their units.
        block_samples: on the CPU it works through its rows in blocks of about so many samples.

    Args:
        p: probability that a row is touched, drawn per row.

    Raises:
        ConfigError: if ``p`` does not lie in [0, 1].
    """

    name: str = ""
    parameter_names: tuple[str, ...] = ()
    block_samples: int = 1 << 19

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = snake_case(cls.__name__)

    def __init__(self, p: float = 1.0):
        super().__init__()
        if not 0 <= p <= 1:
            raise ConfigError(f"{type(self).__name__}: the probability p must lie between 0 and 1, got {p}.")
        self.p = p

    def draw(self, key: Tensor, samples: int) -> Tensor:
        """Parameters ``[n, P]`` float32 of n rows of ``samples`` samples."""
        return torch.empty(len(key), 0, device=key.device)

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor) -> Tensor:
        """The operator itself, on rows ``[n, C, T]`` that it owns, with their parameters ``[n, P]`` and keys ``[n]``."""
        raise NotImplementedError

    def forward(self, audio: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Augmented audio, ``applied [N]`` bool (false: bit-identical), and ``parameters [N, P]`` (NaN where not applied).

        Raises:
            ValueError: if the audio is not floating point ``[N, C, T]`` with T > 0, or the keys are not int64 ``[N]``.
        """
        check(audio, key)
        return self.modify(audio.clone(), key)

    def modify(self, audio: Tensor, key: Tensor, among: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """As `forward`, but free to write into ``audio``, and confined to the rows of the mask ``among [N]``."""
        applied, parameters = self.drawn(key, audio.shape[-1], among)
        rows = applied.nonzero()[:, 0]
        if parameters.shape[1]:
            rows = rows[
                parameters[rows, 0].argsort(stable=True)
            ]  # rows with like parameters share a block, and what depends on the parameter

        def work(block: Tensor) -> None:
            x = audio[block]
            y = self.apply(x.to(torch.promote_types(x.dtype, torch.float32)), parameters[block], key[block])
            audio[block] = y.to(x.dtype)

        in_blocks(work, rows, audio, self.block_samples)
        return audio, applied, parameters

    def drawn(self, key: Tensor, samples: int, among: Tensor | None) -> tuple[Tensor, Tensor]:
        """Which rows are touched, ``[N]`` bool, and with what parameters, ``[N, P]``, NaN elsewhere."""
        applied = self.chosen(key, among)
        parameters = torch.full((len(key), len(self.parameter_names)), torch.nan, device=key.device)
        parameters[applied] = self.draw(key[applied], samples)
        return applied, parameters

    def chosen(self, key: Tensor, among: Tensor | None) -> Tensor:
        """``[N]`` bool: the rows on which the coin of this transform says yes."""
        applied = uniform(key, "applied")[:, 0] < self.p
        return applied if among is None else applied & among

    def extra_repr(self) -> str:
        return f"{self.name}, p={self.p:g}"


class Chain(Recorded):
    """Transforms one after the other.

    Attributes:
        operators: their K names; a repeated one gets a number.
        parameter_names: for each operator, the names of its parameters.

    Args:
        transforms: what to run, in this order.
        p: probability that a row goes through the chain at all.
        shared_choices: draw that coin once for all views of a clip, as published: then a clip has all of its views augmented or none
            (SemiSupCon: 20 % of pairs are clean on both sides at severity 2). False draws it for each view.

    Raises:
        ConfigError: if there is nothing to run, or ``p`` does not lie in [0, 1].
    """

    transforms: Sequence[Transform]  # A ModuleList, whose members mypy takes for any modules.

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
        self.operators = tuple(f"{n}_{names[:i].count(n) + 1}" if names[:i].count(n) else n for i, n in enumerate(names))
        self.parameter_names = tuple(t.parameter_names for t in transforms)

    def forward(self, audio: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Augmented audio ``[N, C, T]``, ``applied [N, K]`` bool, and ``parameters [N, K, P]`` (NaN where absent or not applied).

        Raises:
            ValueError: for audio or keys of the wrong shape or type.
        """
        check(audio, key)
        audio, among = audio.clone(), self.coin(key)
        applied, parameters = [], []
        for position, transform in enumerate(self.transforms):
            audio, touched, values = transform.modify(audio, operator_key(key, position), among)
            applied.append(touched)
            parameters.append(values)
        return audio, torch.stack(applied, 1), self.stack(parameters)

    def coin(self, key: Tensor) -> Tensor:
        """``[N]`` bool: the rows that go through the chain."""
        return uniform(clip_key(key) if self.shared_choices else key, "chain")[:, 0] < self.p

    def stack(self, parameters: list[Tensor]) -> Tensor:
        """``[N, K, P]`` of K blocks ``[N, P_k]``, filled up with NaN."""
        width = max(values.shape[1] for values in parameters)
        return torch.stack([torch.nn.functional.pad(v, (0, width - v.shape[1]), value=torch.nan) for v in parameters], 1)


class OneOf(Transform):
    """One of several transforms, each equally likely; which one is its first reported parameter.

    Args:
        transforms: the candidates.
        name: what the whole is called.
        p: probability that any of them runs.
        shared_choices: draw the candidate once for all views of a clip (as published), not for each view.
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
        self.parameter_names = ("choice", *(f"{t.name}.{n}" for t in transforms for n in t.parameter_names))

    def modify(self, audio: Tensor, key: Tensor, among: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        among, choice = self.chosen(key, among), self.choice(key)
        applied, parameters = torch.zeros_like(among), []
        for index, transform in enumerate(self.transforms):
            audio, touched, values = transform.modify(audio, operator_key(key, index), among & (choice == index))
            applied |= touched
            parameters.append(values)
        return audio, applied, torch.cat([torch.where(applied, choice.float(), torch.nan)[:, None], *parameters], 1)

    def choice(self, key: Tensor) -> Tensor:
        """``[N]`` int64: the position of the candidate of each row."""
        u = uniform(clip_key(key) if self.shared_choices else key, "choice")[:, 0]
        return (u * len(self.transforms)).long()


def check(audio: Tensor, key: Tensor) -> None:
    """Refuse what no transform can take.

    Raises:
        ValueError: if the audio is not floating point ``[N, C, T]`` with T > 0, or the keys are not int64 ``[N]``.
    """
    if audio.ndim != 3 or not audio.is_floating_point() or audio.shape[1] == 0 or audio.shape[2] == 0:
        raise ValueError(f"augmentations take floating-point audio [N, C, T] with C, T > 0, got {audio.dtype} {list(audio.shape)}")
    if key.shape != audio.shape[:1] or key.dtype != torch.int64:
        raise ValueError(f"augmentations take one int64 key a row, got {key.dtype} {list(key.shape)} for {len(audio)} rows")
