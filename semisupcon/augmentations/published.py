"""The published augmentation chains of CLMR and MT-SLVR."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from semisupcon.augmentations.base import Chain, operator_key
from semisupcon.augmentations.delay import Delay
from semisupcon.augmentations.filters import HighPass, LowPass, OneFilterOf
from semisupcon.augmentations.frequency import TimeStretch
from semisupcon.augmentations.level import Gain, PolarityInversion
from semisupcon.augmentations.names import current_name
from semisupcon.augmentations.noise import AddColoredNoise, AddNoise
from semisupcon.augmentations.pitch import PitchShift
from semisupcon.augmentations.reverb import Reverb
from semisupcon.augmentations.timing import Fade, TimeMask, TimeShift
from semisupcon.augmentations.transform import Transform
from semisupcon.errors import ConfigError, nearest
from semisupcon.random import clip_key, integers, uniform


class CLMRChain(Chain):
    """Augmentation chain of CLMR (Spijkervet and Burgoyne 2021) with the published probabilities.

    The random crop of CLMR is done by the loader. Draws are independent for every view. Values are
    not clamped to [-1, 1], unlike by the gain of torchaudio-augmentations.

    Args:
        sample_rate: sample rate in Hz.
        polarity, noise, gain, filters, delay, pitch, reverb: probability of each operator; 0
            removes the operator.
    """

    def __init__(
        self,
        sample_rate: int,
        polarity: float = 0.8,
        noise: float = 0.01,
        gain: float = 0.3,
        filters: float = 0.8,
        delay: float = 0.3,
        pitch: float = 0.6,
        reverb: float = 0.6,
    ):
        high_low = [
            HighPass(sample_rate, 200, 1200, mel=False),
            LowPass(sample_rate, 2200, 4000, mel=False),
        ]
        transforms = [
            PolarityInversion(p=polarity),
            AddNoise(0.0001, 0.01, p=noise),
            Gain(-20, -1, p=gain),
            OneFilterOf(high_low, "high_low_pass", p=filters, shared_choices=False),
            Delay(
                sample_rate,
                200,
                450,
                volumes=[0.5],
                repeats=[1],
                attenuations=[1.0],
                first=1,
                delay_interval_ms=50,
                p=delay,
            ),
            PitchShift(sample_rate, -7, 7, p=pitch),
            Reverb(sample_rate, 0, 99, 0, 99, 0, 99, p=reverb),
        ]
        super().__init__([t for t in transforms if t.p > 0], shared_choices=False)


class RandomSubset(Chain):
    """Chain that applies a random number of operators in random order.

    All views of a clip get the same operators in the same order, but independent parameters.

    Args:
        transforms: the K operators.
        with_replacement: whether each step is drawn from all operators, so that an operator can be
            repeated. False uses each operator at most once.
        min_steps: minimum number of steps. The number of steps is uniform.
        max_steps: maximum number of steps; None is K.
    """

    def __init__(
        self,
        transforms: Sequence[Transform],
        with_replacement: bool = False,
        min_steps: int = 1,
        max_steps: int | None = None,
    ):
        super().__init__(transforms)
        self.steps = (min_steps, len(transforms) if max_steps is None else max_steps)
        if not 0 <= min_steps <= self.steps[1] or (
            self.steps[1] > len(transforms) and not with_replacement
        ):
            raise ConfigError(
                f"A random subset of {len(transforms)} operators cannot have {self.steps[0]} to "
                f"{self.steps[1]} steps."
            )
        self.with_replacement = with_replacement

    def order(self, key: Tensor) -> Tensor:
        """Draw the operator index of each step, ``[N, steps]`` int64; -1 after the last step."""
        clip, most, operators = clip_key(key), self.steps[1], len(self.transforms)
        if self.with_replacement:
            order = (uniform(clip, "operators", most) * operators).long()
        else:
            order = uniform(clip, "operators", operators).argsort(dim=1, stable=True)[:, :most]
        count = integers(clip, "steps", *self.steps)
        return order.masked_fill(torch.arange(most, device=key.device) >= count[:, None], -1)

    def stages(self, key: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield operator calls as (operator index, keys ``[N]``, mask ``[N]`` of the rows to
        change).

        ``key`` is on the CPU. Each call runs the operator that most rows need next, so that there
        are few calls with many rows. Rows are weighted by their number of remaining steps.
        Expensive operators are delayed until more rows need them.
        """
        order = torch.nn.functional.pad(self.order(key), (0, 1), value=-1)
        step, left = torch.zeros_like(key), (order >= 0).sum(1)
        cost = torch.tensor(
            [t.cost for t in self.transforms], dtype=torch.float64, device=key.device
        ).sqrt()
        while True:
            following = order.gather(1, step[:, None])[:, 0]
            waiting = torch.bincount(
                following + 1, (left - step).double(), minlength=len(self.transforms) + 1
            )[1:]
            k = int((waiting / cost).argmax())
            if not waiting[k]:
                return
            among = following == k
            yield k, operator_key(key, step), among
            step = step + among


class MTSLVRChain(RandomSubset):
    """Augmentation chain of MT-SLVR (Heggan et al. 2023): 1 to 7 of seven operators in random
    order.

    The published contrastive baselines draw operators with replacement. An operator is then applied
    with probability 0.434 instead of 4/7.

    Args:
        sample_rate: sample rate in Hz; 16,000 in the paper.
        augs_to_exclude: names of operators to leave out.
        p: probability that a drawn operator is applied.
        with_replacement: see `RandomSubset`.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        augs_to_exclude: list[str] | None = None,
        p: float = 1.0,
        with_replacement: bool = False,
    ):
        transforms = [
            PitchShift(sample_rate, -15, 15, "published", p=p),
            Fade(0.5, 0.5, p=p),
            AddColoredNoise(sample_rate, 3, 30, -1, 0, p=p, name="white_noise"),
            AddColoredNoise(sample_rate, 3, 30, -2, 2, p=p, name="mixed_noise"),
            TimeStretch(0.5, 1.5, p=p),
            TimeMask(0.125, p=p),
            TimeShift(-0.5, 0.5, p=p),
        ]
        names, excluded = (
            [t.name for t in transforms],
            [current_name(name) for name in augs_to_exclude or ()],
        )
        for name in excluded:
            if name not in names:
                raise ConfigError(
                    f"MT-SLVR has no operator {name!r}.{nearest(name, names)}\nIts operators: "
                    f"{', '.join(names)}."
                )
        super().__init__([t for t in transforms if t.name not in excluded], with_replacement)
