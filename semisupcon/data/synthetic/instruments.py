"""Ten instruments, ten ways of making sound.

Each instrument is a pure function of a *patch* (the settings of the one player of a clip), a pitch in Hz and a number of samples. All
patches are drawn from the same ranges: an instrument differs from another in how it sounds, not in how its settings are distributed. What
the instruments do share (detuned voices, breath, a metallic strike, the loudness envelope) is put on top by `note`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft

from semisupcon.data.synthetic.oscillators import SAMPLE_RATE, fall, harmonics_below, modes, read_table, sine, smoothed, wavetable

VOWELS = np.array(
    [[800, 1150, 2900], [450, 1900, 2700], [300, 2250, 3000], [450, 800, 2830], [325, 700, 2530]], dtype=np.float32
)  # a e i o u
MEMBRANE = np.array([1, 1.594, 2.136, 2.296, 2.653, 2.918])  # zeros of the Bessel functions: an ideal drum head
BAR = np.array([2.756, 5.404, 8.933])  # a free bar, without its fundamental


@dataclass(frozen=True)
class Patch:
    """The settings of a clip's player; constant within the clip.

    Attributes:
        tonic: frequency of the tonic in Hz, as tuned.
        brightness: 0 (few overtones) to 1 (many).
        shape: ``[16]`` numbers in [0, 1) that every instrument reads in its own way.
        attack: seconds until a note is at its loudest.
        ring: seconds until a note has fallen by 60 dB; infinite when it sounds as long as it is held.
        time: ``[T]`` seconds of the longest note, warped by the vibrato.
        noise: ``[T]`` white noise of unit variance.
        traits: which of `TRAITS` this player has.
    """

    tonic: float
    brightness: float
    shape: np.ndarray
    attack: float
    ring: float
    time: np.ndarray
    noise: np.ndarray
    traits: frozenset[str]


@dataclass(frozen=True)
class Instrument:
    """An instrument, and how often its players have a trait.

    Attributes:
        play: (patch, pitch, samples) to ``[T]`` float32, steady or with a decay of its own.
        sustains: whether a note can be held.
        chords: whether it can play several notes at once.
        traits: probability of each of `TRAITS`.
    """

    play: Callable[[Patch, float, int], np.ndarray]
    sustains: bool
    chords: bool
    traits: dict[str, float]


def _rolloff(patch: Patch, order: np.ndarray, steep: float, shallow: float) -> np.ndarray:
    spectrum = order ** -(steep + (shallow - steep) * patch.brightness)
    if "hollow" in patch.traits:
        spectrum[1::2] *= 0.08
    return spectrum


def _peaks(frequencies: np.ndarray, centres: np.ndarray, widths: np.ndarray, floor: float) -> np.ndarray:
    """Gain of resonances at ``centres [M]`` Hz for ``frequencies [H]``, ``[H]``."""
    return floor + (1 / (1 + ((frequencies[:, None] - centres) / widths) ** 2)).sum(axis=1)


def organ(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """Additive synthesis: drawbars over nine pipes."""
    order = harmonics_below(pitch)
    pipes = np.array([1, 2, 3, 4, 5, 6, 8, 10, 12])
    levels = (0.15 + patch.shape[:9]) * pipes ** (-1.2 + 1.1 * patch.brightness)
    if "hollow" in patch.traits:
        levels[pipes % 2 == 0] *= 0.08
    spectrum = np.zeros((1, len(order)), dtype=np.float32)
    sounding = pipes <= len(order)
    spectrum[0, pipes[sounding] - 1] = levels[sounding]
    return read_table(wavetable(spectrum), pitch * patch.time[:samples])


def strings(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """Additive synthesis: a bowed string (all harmonics) in a body of four resonances."""
    order = harmonics_below(pitch)
    centres = np.array([280, 480, 1000, 2600]) * (0.85 + 0.3 * patch.shape[:4])
    spectrum = _rolloff(patch, order, 1.6, 0.8) * _peaks(order * pitch, centres, centres / 5, 0.25)
    return read_table(wavetable(spectrum[None]), pitch * patch.time[:samples])


def brass(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """Additive synthesis whose spectrum opens with the loudness (Risset): partials come in one after the other."""
    order = harmonics_below(pitch)
    steps = np.linspace(3.2, 1.5 - 0.9 * patch.brightness, 6)[:, None]
    spectrum = order**-steps * _peaks(order * pitch, np.array([1200 + 600 * patch.shape[0]]), np.array([900.0]), 0.2)
    if "hollow" in patch.traits:
        spectrum[:, 1::2] *= 0.08
    time = np.arange(samples, dtype=np.float32) / SAMPLE_RATE
    opening = 0.05 + 0.12 * patch.shape[1]
    swell = 1 - fall(time, 2 * opening) * (1 - 0.3 * patch.shape[2]) - 0.35 * (1 - fall(time, 6 * opening))
    return read_table(wavetable(spectrum), pitch * patch.time[:samples], 5 * swell)


def choir(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """Formant synthesis: a glottal pulse through the formants of two vowels that turn into one another."""
    order = harmonics_below(pitch)
    size = 0.9 + 0.3 * patch.shape[0]
    first, second = (VOWELS[int(5 * u)] * size for u in patch.shape[1:3])
    widths = np.array([90, 120, 200])
    glottis = _rolloff(patch, order, 1.5, 0.7)
    spectrum = np.stack([glottis * _peaks(order * pitch, (1 - w) * first + w * second, widths, 0.02) for w in (0, 0.5, 1)])
    time = np.arange(samples, dtype=np.float32) / SAMPLE_RATE
    return read_table(wavetable(spectrum), pitch * patch.time[:samples], np.minimum(time * (1 + 3 * patch.shape[3]), 2))


def flute(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """Filtered noise: breath in narrow bands around a few harmonics (a slow noise times the tone), and a little of the tone itself."""
    order = harmonics_below(pitch)
    tone = read_table(wavetable(_rolloff(patch, order, 3.2, 1.6)[None]), pitch * patch.time[:samples])
    flutter = smoothed(patch.noise[:samples], 150 + int(250 * patch.shape[0]))
    return tone * (0.5 + 0.4 * patch.shape[1] + (0.4 + 0.5 * patch.shape[2]) * flutter)


def lead(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """Subtractive synthesis: a saw (or square) through a resonant low-pass whose cutoff an envelope closes."""
    order = harmonics_below(pitch)
    source = _rolloff(patch, order, 1.0, 1.0)
    cutoffs = np.maximum(pitch, 300) * np.geomspace(1.2, 16, 10)[:, None] / pitch
    ratio = order / cutoffs
    resonance = 0.12 + 0.4 * patch.shape[0]
    spectrum = source / np.sqrt((1 - ratio**2) ** 2 + (resonance * ratio) ** 2)
    time = np.arange(samples, dtype=np.float32) / SAMPLE_RATE
    closing = fall(time, 0.3 + 1.5 * patch.shape[1] ** 2)
    low = 0.5 + 4 * patch.brightness
    return read_table(
        wavetable(spectrum), pitch * patch.time[:samples], low + (2 + (7 - low) * patch.shape[2]).clip(0, 8.9 - low) * closing
    )


def bell(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """FM synthesis (Chowning 1973) with an irrational ratio: inharmonic partials that die away before the hum."""
    cycles, time = pitch * patch.time[:samples], np.arange(samples, dtype=np.float32) / SAMPLE_RATE
    ratio = (1.414, 1.5307, 2.236, 2.3704, 3.5015)[int(5 * patch.shape[0])]
    index = (0.12 + 0.35 * patch.brightness) * fall(time, 0.5 * patch.ring)
    beating = sine(cycles * (1 + 0.004 * patch.shape[1]))
    return sine(cycles + index * sine(ratio * cycles)) + 0.6 * beating * fall(time, 2 * patch.ring)


def electric_piano(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """FM synthesis with whole ratios: a warm body (1:1) and a tine that rings shortly."""
    cycles, time = pitch * patch.time[:samples], np.arange(samples, dtype=np.float32) / SAMPLE_RATE
    ratio = 2 if "hollow" in patch.traits else 1
    body = sine(cycles + (0.05 + 0.3 * patch.brightness) * fall(time, 0.7 * patch.ring) * sine(ratio * cycles))
    tine = 14 if 16 * pitch < 0.45 * SAMPLE_RATE else 7
    strike = (0.02 + 0.05 * patch.shape[0] + 0.03 * patch.brightness) * fall(time, 0.2 + 0.5 * patch.shape[1])
    return body + (0.4 + 0.5 * patch.shape[2]) * sine(cycles + strike * sine(tine * cycles))


def plucked_string(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """A string as a loop of delay and loss (Karplus and Strong 1983), solved on the frequency axis, so that any pitch is in tune."""
    length = 1 << 16
    omega = (2 * np.pi / length) * np.arange(length // 2 + 1, dtype=np.float32)
    period = SAMPLE_RATE / pitch
    damping = 0.45 - 0.38 * patch.brightness  # of the two-point average in the loop
    gain = 10 ** (-3 / (pitch * min(patch.ring, 2.5)))
    loop = np.exp(-1j * (period - damping) * omega) * (gain * (1 - damping) + gain * damping * np.exp(-1j * omega))
    place = 0.5 if "hollow" in patch.traits else 0.08 + 0.25 * patch.shape[0]
    burst = np.zeros(length, dtype=np.float32)
    burst[: int(period)] = patch.noise[: int(period)]
    pick = fft.rfft(burst) * (1 - 0.9 * np.exp(-1j * (place * period) * omega))
    pick[0] = 0
    out = fft.irfft(pick / (1 - loop), length)
    return np.pad(out, (0, max(0, samples - length)))[:samples]


def drums(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """Modal synthesis and noise: tonic notes are a tuned drum (modes of a membrane), the others a snare, a hat or another drum."""
    time = np.arange(samples, dtype=np.float32) / SAMPLE_RATE
    degree = round(12 * np.log2(pitch / patch.tonic)) % 12
    noise = patch.noise[:samples]
    if degree % 3 == 1:
        return _hat(noise) * fall(time, 0.1 + 0.25 * patch.shape[0]) * 0.7
    head = patch.tonic if degree % 3 == 2 else pitch
    # The skin is tighter just after the hit: the pitch falls by up to a tone within 50 ms.
    cycles = head * (patch.time[:samples] + 0.0015 * patch.shape[1] * (1 - fall(time, 0.15)))
    levels = (0.2 + 0.5 * patch.brightness) ** np.arange(6) * (0.5 + patch.shape[2:8])
    levels[0] = 1
    skin = modes(cycles, time, MEMBRANE, levels, patch.ring / MEMBRANE, head)
    snare = (0.6 if degree % 3 == 2 else 0.04 + 0.2 * patch.shape[8] * patch.brightness) * noise * fall(time, 0.08 + 0.2 * patch.shape[9])
    return skin + snare


def _hat(noise: np.ndarray) -> np.ndarray:
    return np.diff(noise, n=2, prepend=[0, 0]).astype(np.float32) * 0.4


TRAITS = ("breathy", "ensemble", "hollow", "metallic", "vibrato", "plucked")


def _odds(*values: float) -> dict[str, float]:
    return dict(zip(TRAITS, values, strict=True))


INSTRUMENTS: dict[str, Instrument] = {
    "bell": Instrument(bell, False, True, _odds(0.05, 0.15, 0.0, 0.9, 0.1, 1)),
    "brass": Instrument(brass, True, True, _odds(0.2, 0.25, 0.1, 0.0, 0.4, 0.15)),
    "choir": Instrument(choir, True, True, _odds(0.4, 0.75, 0.1, 0.0, 0.6, 0.05)),
    "drums": Instrument(drums, False, False, _odds(0.2, 0.05, 0.0, 0.5, 0.0, 1)),
    "electric_piano": Instrument(electric_piano, False, True, _odds(0.05, 0.35, 0.3, 0.45, 0.15, 1)),
    "flute": Instrument(flute, True, True, _odds(0.85, 0.1, 0.4, 0.0, 0.5, 0.15)),
    "lead": Instrument(lead, True, True, _odds(0.1, 0.45, 0.45, 0.15, 0.4, 0.35)),
    "organ": Instrument(organ, True, True, _odds(0.15, 0.35, 0.5, 0.15, 0.25, 0.2)),
    "plucked_string": Instrument(plucked_string, False, True, _odds(0.1, 0.2, 0.35, 0.25, 0.1, 1)),
    "strings": Instrument(strings, True, True, _odds(0.3, 0.8, 0.05, 0.0, 0.55, 0.2)),
}


def note(instrument: Instrument, patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """One note ``[T]`` float32 of about unit power at its loudest: the instrument, what its traits add, and the loudness envelope."""
    time = np.arange(samples, dtype=np.float32) / SAMPLE_RATE
    cents = (-7, 1, 8) if "ensemble" in patch.traits else (0,)
    tone = sum(instrument.play(patch, pitch * 2 ** (c * (1 + patch.shape[15]) / 1200), samples) for c in cents)
    head = tone[: SAMPLE_RATE // 5]
    tone = tone / np.float32(np.sqrt(np.mean(head * head)) + 1e-6)
    if "breathy" in patch.traits:
        tone = tone + np.float32(0.15 + 0.3 * patch.shape[14]) * (patch.noise[-samples:] + smoothed(patch.noise[-samples:], 12))
    if "metallic" in patch.traits:
        levels = 0.5 * np.array([0.8, 0.5, 0.3]) * (0.5 + patch.shape[11:14])
        tone = tone + modes(pitch * patch.time[:samples], time, BAR, levels, 0.9 / np.sqrt(BAR), pitch)
    tone = tone * (1 - fall(time, 2 * patch.attack))
    return tone if np.isinf(patch.ring) else tone * fall(time, patch.ring)
