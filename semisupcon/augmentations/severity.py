"""Augmentations of SemiSupCon by name and severity (Guinot et al. 2024, table 1).

The values are those of the published configurations. A severity s of 0 to 5 (2 in the paper) scales
all ranges and probabilities by m = s / 2. At severity 2:

| name | probability | drawn |
|---|---|---|
| gain | 0.4 | -15 to 5 dB |
| polarity_inversion | 0.6 | |
| add_colored_noise | 0.6 | 3 to 30 dB signal-to-noise ratio, decay -2 to 2 |
| filtering | 0.3 | one of band-pass, band-stop (200 to 4000 Hz), high-pass (200 to 2400 Hz), low-pass (150 to 7500 Hz) |
| pitch_shift | 0.6 | one of 14 ratios within 4 semitones (at 22,050 Hz) |
| delay | 0.6 | 100 to 500 ms |

The whole chain is applied with probability 0.8. This module also has corruptions, which are fixed
effects for robustness tests. They are always applied, either alone or in the tiers 5 to 10. A tier
has the six augmentations and some corruptions; higher tiers have more corruptions.
"""

from collections.abc import Callable

from semisupcon.augmentations.delay import Delay
from semisupcon.augmentations.effects import MP3, BitCrush, Chorus, Compression, Distortion
from semisupcon.augmentations.filters import BandPass, BandStop, HighPass, LowPass, OneFilterOf
from semisupcon.augmentations.frequency import TimeStretch
from semisupcon.augmentations.level import Gain, PolarityInversion
from semisupcon.augmentations.noise import AddColoredNoise
from semisupcon.augmentations.pitch import PitchShift, published_ratios
from semisupcon.augmentations.reverb import Reverb
from semisupcon.augmentations.timing import Reverse, SpliceOut
from semisupcon.augmentations.transform import Transform


def gain(m: float, sample_rate: int) -> Transform:
    return Gain(-15 * m, 5 * m, p=min(0.7, 0.4 * m))


def polarity_inversion(m: float, sample_rate: int) -> Transform:
    return PolarityInversion(p=min(0.8, 0.6 * m))


def add_colored_noise(m: float, sample_rate: int) -> Transform:
    return AddColoredNoise(sample_rate, 3 / m, 30 / m, -2 * m, 2 * m, p=min(0.8, 0.6 * m))


def filtering(m: float, sample_rate: int, shared_choices: bool = True) -> Transform:
    filters = [
        BandPass(sample_rate, 200, 4000, 0.5 * m, 1.99),
        BandStop(sample_rate, 200, 4000, 0.5 * m, 1.99),
        HighPass(sample_rate, 200 * m, min(sample_rate / 2, 2400 * m)),
        LowPass(sample_rate, max(75, 150 / m), 7500 / max(1, m)),
    ]
    return OneFilterOf(filters, "filtering", min(0.6, 0.3 * m), shared_choices)


def pitch_shift(m: float, sample_rate: int) -> Transform:
    # At low severity, some sample rates have no published ratio in the range. Draw continuous
    # ratios in this case.
    ratios = "published" if published_ratios(sample_rate, -4 * m, 4 * m) else "continuous"
    return PitchShift(sample_rate, -4 * m, 4 * m, ratios, p=min(0.75, 0.6 * m))


def delay(m: float, sample_rate: int) -> Transform:
    repeats, attenuation = int(2 * m), min(1.0, 0.5 * m)
    return Delay(
        sample_rate,
        100 / m,
        500,
        volumes=[0.5 * m - 0.2, 0.5 * m + 0.2],
        repeats=[max(0, repeats - 1), repeats + 1],
        attenuations=[attenuation - 0.2, attenuation + 0.2],
        p=min(0.6, 0.6 * m),
    )


PARAMETRIC: dict[str, Callable[[float, int], Transform]] = {
    f.__name__: f
    for f in (gain, polarity_inversion, add_colored_noise, filtering, pitch_shift, delay)
}


# SemiSupCon has implemented the corruptions with pedalboard and librosa. With these settings, the
# reverb of pedalboard is 8 dB louder than that of SoX and has half the damping.
CORRUPTIONS: dict[str, Callable[[int], Transform]] = {
    "time_stretch": lambda sample_rate: TimeStretch(0.7, 1.3, "zero", decimals=6),
    "splice_out": lambda sample_rate: SpliceOut(sample_rate, 8, 100),
    "reverb": lambda sample_rate: Reverb(sample_rate, 100, 100, 50, 50, 100, 100, wet_gain_db=8),
    "chorus": lambda sample_rate: Chorus(sample_rate, rate_hz=5, depth=1, mix=1),
    "distortion": lambda sample_rate: Distortion(9),
    "compression": lambda sample_rate: Compression(sample_rate, -30, 5),
    "reverse": lambda sample_rate: Reverse(),
    "bit_crush": lambda sample_rate: BitCrush(4),
    "mp3": lambda sample_rate: MP3(sample_rate, 9),
}

_ADDED = {
    5: ("time_stretch",),
    6: ("splice_out",),
    7: ("reverb", "chorus"),
    8: ("distortion",),
    9: ("compression", "reverse"),
    10: ("bit_crush", "mp3"),
}
TIERS: dict[str, tuple[str, ...]] = {
    f"tier_{tier}": (
        *PARAMETRIC,
        *(name for added, names in _ADDED.items() if added <= tier for name in names),
    )
    for tier in _ADDED
}


def chain_probability(severity: float) -> float:
    """Return the probability that a clip is augmented: 0.8 at severity 2."""
    return min(1.0, 0.8 * severity / 2)
