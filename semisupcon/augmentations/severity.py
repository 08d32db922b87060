"""The augmentations of SemiSupCon by name and severity (Guinot et al. 2024, table 1, as resolved by the published configurations).

A severity s of 0 to 5 (2 in the paper) scales every range and probability through m = s / 2.
"""

from collections.abc import Callable

from semisupcon.augmentations.base import Transform
from semisupcon.augmentations.level import Gain, PolarityInversion
from semisupcon.augmentations.noise import AddColoredNoise


def gain(m: float, sample_rate: int) -> Transform:
    return Gain(-15 * m, 5 * m, p=min(0.7, 0.4 * m))


def polarity_inversion(m: float, sample_rate: int) -> Transform:
    return PolarityInversion(p=min(0.8, 0.6 * m))


def add_colored_noise(m: float, sample_rate: int) -> Transform:
    return AddColoredNoise(sample_rate, 3 / m, 30 / m, -2 * m, 2 * m, p=min(0.8, 0.6 * m))


PARAMETRIC: dict[str, Callable[[float, int], Transform]] = {f.__name__: f for f in (gain, polarity_inversion, add_colored_noise)}


def chain_probability(severity: float) -> float:
    """The probability that a clip is augmented at all: 0.8 at severity 2."""
    return min(1.0, 0.8 * severity / 2)
