"""Pitch shift that keeps the duration: resampling, then time stretching by WSOLA.

SemiSupCon and MT-SLVR use torch-pitch-shift, which does not draw from a continuous range. It
chooses among ratios whose numerator and denominator both divide the sample rate. `published_ratios`
returns this set: 14 ratios within 4 semitones at 22,050 Hz, and 14 within 15 semitones at 16 kHz
(which are all within an octave).
"""

from fractions import Fraction
from functools import lru_cache
from math import log2
from typing import Any

import torch
from torch import Tensor

from semisupcon.augmentations.chirp import change_rates
from semisupcon.augmentations.fourier import change_rate, resampling_sizes
from semisupcon.augmentations.level import check_range
from semisupcon.augmentations.plans import Plan
from semisupcon.augmentations.transform import Transform
from semisupcon.augmentations.wsola import hop_size, stretch
from semisupcon.errors import ConfigError
from semisupcon.random import integers, uniform_between


@lru_cache(maxsize=64)
def published_ratios(
    sample_rate: int, min_semitones: float, max_semitones: float
) -> tuple[Fraction, ...]:
    """Return the ratios of two divisors of ``sample_rate`` in a range, except 1, ascending."""
    divisors = [d for d in range(1, sample_rate + 1) if sample_rate % d == 0]
    low, high = (2 ** (s / 12) for s in (min_semitones, max_semitones))
    return tuple(
        sorted(
            {Fraction(a, b) for a in divisors for b in divisors if low <= a / b <= high and a != b}
        )
    )


NEAR = 0.3  # largest relative change of speed with a search range of half a hop


def shift_pitch(audio: Tensor, ratios: list[float], sample_rate: int) -> Tensor:
    """Multiply the frequencies of each row of ``audio [n, C, T]`` by its ratio; the length is kept.

    The error of the pitch is about half a cent.
    """
    samples = audio.shape[-1]
    if audio.device.type != "cpu":
        plan = Plan(shift_plan(ratios, samples)).to(audio.device)
        return shift_on_device(audio, sample_rate, **plan.decisions)
    played: dict[int, Tensor] = {}
    step = audio.new_empty(len(ratios))
    for ratio in set(ratios):
        rows = [row for row, r in enumerate(ratios) if r == ratio]
        faster, used = change_rate(audio[rows], ratio)
        step[rows] = 1 / used
        for row, signal in zip(rows, faster, strict=True):
            played[row] = signal
    longest = max(signal.shape[-1] for signal in played.values())
    batch = audio.new_zeros(*audio.shape[:2], longest)
    for row, signal in played.items():
        batch[row, :, : signal.shape[-1]] = signal
    # For small shifts the drift per hop is small, so a smaller search range is enough. The range
    # depends only on the ratio of the row.
    hop, output = hop_size(sample_rate), torch.empty_like(audio)
    near = (step - 1).abs() <= NEAR
    for chosen, reach in ((near, hop // 2), (~near, hop)):
        if chosen.any():
            output[chosen] = stretch(batch[chosen], step[chosen], samples, hop, reach)
    return output


def shift_plan(ratios: list[float], samples: int) -> dict[str, Any]:
    """Compute the arguments of `shift_on_device` for rows of ``samples`` samples, on the CPU."""
    sizes = [resampling_sizes(samples + min(samples, 64), ratio) for ratio in ratios]
    distinct = {pair: index for index, pair in enumerate(dict.fromkeys(sizes))}
    n, m = torch.tensor(list(distinct)).unbind(1)
    step = torch.tensor([1 / (before / after) for before, after in sizes])
    near = (step - 1).abs() <= NEAR
    return {
        "sizes": (n, m),
        "which": torch.tensor([distinct[pair] for pair in sizes]),
        "step": step,
        "longest": int(m.max()),
        "bins": int(torch.minimum(n, m).max()) // 2 + 1,
        "groups": [mask.nonzero()[:, 0] for mask in (near, ~near)],
    }


def shift_on_device(
    audio: Tensor,
    sample_rate: int,
    sizes: tuple[Tensor, Tensor],
    which: Tensor,
    step: Tensor,
    longest: int,
    bins: int,
    groups: list[Tensor],
) -> Tensor:
    """Shift the pitch of rows on an accelerator, with few kernel launches; see `shift_pitch`.

    All rows are resampled at once. WSOLA runs on two groups of rows.

    Args:
        audio: ``[n, C, T]``.
        sample_rate: sample rate in Hz.
        sizes: two tensors ``[S]``, the first and second sizes from `resampling_sizes`.
        which: ``[n]`` int64, the index of the sizes of each row.
        step: ``[n]``, second size divided by first size of each row.
        longest: the largest second size.
        bins: number of bins, see `change_rates`.
        groups: indices of the rows with a search range of half a hop, and of those with one hop.
    """
    hop, samples = hop_size(sample_rate), audio.shape[-1]
    faster = change_rates(audio.float(), *sizes, which, longest, bins).to(audio.dtype)
    step, output = step.to(audio.dtype), torch.empty_like(audio)
    for rows, reach in zip(groups, (hop // 2, hop), strict=True):
        if len(rows):
            output.index_copy_(0, rows, stretch(faster[rows], step[rows], samples, hop, reach))
    return output


class PitchShift(Transform):
    """Multiply all frequencies of a clip by a random ratio; the length is kept.

    Args:
        sample_rate: sample rate in Hz.
        min_semitones: lowest shift in semitones.
        max_semitones: highest shift in semitones.
        ratios: "published" draws uniformly from `published_ratios`; "continuous" draws semitones
            uniformly.
        p: probability that the transform is applied to a row.

    Raises:
        ConfigError: if ``ratios`` has an unknown value, or if no published ratio is in the range
            (then use "continuous").
    """

    parameter_names = ("semitones",)
    block_samples = 1 << 22
    cost = 6.0

    def __init__(
        self,
        sample_rate: int,
        min_semitones: float = -4.0,
        max_semitones: float = 4.0,
        ratios: str = "continuous",
        p: float = 1.0,
    ):
        super().__init__(p)
        check_range(self, "the shift in semitones", min_semitones, max_semitones)
        if ratios not in ("published", "continuous"):
            raise ConfigError(f"PitchShift: ratios is 'published' or 'continuous', got {ratios!r}.")
        self.sample_rate = sample_rate
        self.range = (min_semitones, max_semitones)
        self.ratios = published_ratios(sample_rate, *self.range) if ratios == "published" else None
        if self.ratios == ():
            raise ConfigError(
                f"No published pitch ratio lies between {min_semitones} and {max_semitones} "
                f"semitones at {sample_rate} Hz.\n"
                f"Use ratios: continuous."
            )

    def draw(self, key: Tensor, samples: int) -> Tensor:
        if self.ratios is None:
            return uniform_between(key, "semitones", *self.range)[:, None]
        semitones = torch.tensor([12 * log2(r) for r in self.ratios], device=key.device)
        return semitones[integers(key, "ratio", 0, len(self.ratios) - 1)][:, None]

    def prepare(self, parameters: Tensor, key: Tensor, samples: int) -> dict[str, Any]:
        ratios = [2 ** (s / 12) for s in parameters[:, 0].tolist()]
        return {"ratios": ratios, "plan": shift_plan(ratios, samples)}

    def apply(
        self,
        audio: Tensor,
        parameters: Tensor,
        key: Tensor,
        ratios: list[float],
        plan: dict[str, Any],
    ) -> Tensor:
        if audio.device.type == "cpu":
            return shift_pitch(audio, ratios, self.sample_rate)
        return shift_on_device(audio, self.sample_rate, **plan)
