"""Draw the player of a clip, and render one note of this player.

Traits of players, such as breath or detuned voices, occur with several instruments, with different
probabilities. They correlate with the instrument but do not identify it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from semisupcon.datasets.synthesis import instruments
from semisupcon.datasets.synthesis.instruments import Patch
from semisupcon.datasets.synthesis.oscillators import SAMPLE_RATE, fall, modes, smoothed

BAR = np.array([2.756, 5.404, 8.933])  # mode ratios of a free bar, without the first
DETUNED = (-8, 1, 9)  # cents
TRAITS = (
    "breathy",
    "decaying",
    "ensemble",
    "hollow",
    "metallic",
    "sweeping",
    "swelling",
    "vibrato",
)


@dataclass(frozen=True)
class Instrument:
    """An instrument and the probabilities of the traits of its players.

    Attributes:
        play: function (patch, pitch in Hz, number of samples T) that returns ``[T]`` float32.
        odds: probability of each trait, in the order of `TRAITS`.
        chords: whether the instrument can play several notes at once.
    """

    play: Callable[[Patch, float, int], np.ndarray]
    odds: tuple[float, ...]
    chords: bool = True


INSTRUMENTS: dict[str, Instrument] = {
    # The numbers are the probabilities of the traits breathy, decaying, ensemble, hollow, metallic,
    # sweeping, swelling and vibrato, in this order.
    "bell": Instrument(instruments.bell, (0.00, 1.0, 0.05, 0.00, 0.75, 0.00, 0.00, 0.05)),
    "brass": Instrument(instruments.brass, (0.10, 0.1, 0.10, 0.05, 0.00, 0.50, 0.45, 0.20)),
    "choir": Instrument(instruments.choir, (0.25, 0.0, 0.55, 0.05, 0.00, 0.25, 0.25, 0.40)),
    "drums": Instrument(
        instruments.drums, (0.00, 1.0, 0.00, 0.00, 0.20, 0.00, 0.00, 0.00), chords=False
    ),
    "electric_piano": Instrument(
        instruments.electric_piano, (0.00, 1.0, 0.15, 0.20, 0.15, 0.00, 0.00, 0.05)
    ),
    "flute": Instrument(instruments.flute, (0.75, 0.1, 0.05, 0.15, 0.00, 0.00, 0.15, 0.35)),
    "lead": Instrument(instruments.lead, (0.00, 0.3, 0.15, 0.30, 0.05, 0.65, 0.10, 0.15)),
    "organ": Instrument(instruments.organ, (0.05, 0.1, 0.15, 0.55, 0.05, 0.00, 0.05, 0.10)),
    "plucked_string": Instrument(
        instruments.plucked_string, (0.05, 1.0, 0.05, 0.20, 0.15, 0.00, 0.00, 0.05)
    ),
    "strings": Instrument(instruments.strings, (0.15, 0.1, 0.60, 0.00, 0.00, 0.00, 0.60, 0.35)),
}


def draw_patch(
    rng: np.random.Generator,
    instrument: Instrument,
    tonic: float,
    seconds: float,
) -> Patch:
    """Draw the settings of the player of a clip.

    Args:
        tonic: frequency of the tonic in Hz.
        seconds: length of the longest note in seconds.
    """
    traits = frozenset(
        t for t, odds in zip(TRAITS, instrument.odds, strict=True) if rng.uniform() < odds
    )
    time = np.arange(int(seconds * SAMPLE_RATE) + 2) / SAMPLE_RATE
    rate, depth, phase = rng.uniform(4.5, 7), rng.uniform(0.015, 0.035), rng.uniform(0, 2 * np.pi)
    wobble = (
        depth / (2 * np.pi * rate) * (np.cos(phase) - np.cos(2 * np.pi * rate * time + phase))
        if "vibrato" in traits
        else 0
    )
    ring, attack = 0.5 * 5 ** rng.uniform(), rng.uniform()
    decaying = "decaying" in traits
    return Patch(
        tonic=tonic,
        brightness=float(rng.uniform()),
        shape=rng.uniform(size=16),
        attack=float(
            0.002 * 5**attack if decaying else (0.05 if "swelling" in traits else 0.01) * 3**attack,
        ),
        ring=float(ring) if decaying else float("inf"),
        seconds=time.astype(np.float32),
        warped=time + wobble,
        noise=(rng.random(len(time), dtype=np.float32) - np.float32(0.5)) * np.float32(np.sqrt(12)),
        traits=traits,
    )


def note(instrument: Instrument, patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """Render one note, ``[T]`` float32, with a maximum power of about 1.

    The note combines the sound of the instrument, the traits of the player and the loudness
    envelope.
    """
    time = patch.seconds[:samples]
    cents = [c * (1 + patch.shape[15]) for c in DETUNED] if "ensemble" in patch.traits else [0]
    tone = np.asarray(sum(instrument.play(patch, pitch * 2 ** (c / 1200), samples) for c in cents))
    beginning = tone[: SAMPLE_RATE // 5]
    tone /= np.sqrt(np.mean(beginning * beginning)) + np.float32(1e-6)
    if "breathy" in patch.traits:
        noise = patch.noise[::-1][:samples]
        tone += np.float32(0.1 + 0.15 * patch.shape[14]) * (
            np.float32(0.3) * noise + smoothed(noise, 5)
        )
    if "metallic" in patch.traits:
        levels = np.array([0.6, 0.4, 0.25]) * (0.5 + patch.shape[11:14])
        tone += modes(pitch * patch.warped[:samples], time, BAR, levels, 0.9 / np.sqrt(BAR), pitch)
    tone *= 1 - fall(time, 2 * patch.attack)
    return tone if np.isinf(patch.ring) else tone * fall(time, patch.ring)
