"""Ten instruments, each with its own method of synthesis.

Each instrument is a pure function of a *patch* (the settings of the player of a clip), a pitch in
Hz and a number of samples. All patches are drawn from the same ranges, so instruments differ in
sound, not in the distribution of their settings. `players.note` adds common features (detuned
voices, breath, a metallic strike, the loudness envelope).
"""

from dataclasses import dataclass

import numpy as np
from scipy import fft

from semisupcon.datasets.synthesis.oscillators import (
    SAMPLE_RATE,
    fall,
    harmonics_below,
    modes,
    read_table,
    sine,
    smoothed,
    wavetable,
)

# ah, eh, oh
VOWELS = np.array([[800, 1150, 2900], [400, 1900, 2600], [450, 800, 2830]], dtype=np.float32)
BODY = np.array([280, 550, 1150, 2700, 4200])  # Hz: the resonances of a bowed instrument
# zeros of the Bessel functions: an ideal drum head
MEMBRANE = np.array([1, 1.594, 2.136, 2.296, 2.653, 2.918])


@dataclass(frozen=True)
class Patch:
    """Settings of the player of a clip; constant within the clip.

    Attributes:
        tonic: frequency of the tonic in Hz, as tuned.
        brightness: 0 (few overtones) to 1 (many).
        shape: ``[16]`` numbers in [0, 1) with a meaning specific to each instrument.
        attack: seconds until a note is loudest.
        ring: seconds until a note has decayed by 60 dB; infinite if it sounds as long as it is
            held.
        seconds: ``[T]`` float32, time since the beginning of a note.
        warped: ``[T]`` float64, the same with vibrato: a frequency times this is a phase in cycles.
        noise: ``[T]`` white noise of unit variance.
        traits: those of `players.TRAITS` that this player has.
    """

    tonic: float
    brightness: float
    shape: np.ndarray
    attack: float
    ring: float
    seconds: np.ndarray
    warped: np.ndarray
    noise: np.ndarray
    traits: frozenset[str]


def organ(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """Additive synthesis: drawbars over five or six pipes, and a key click."""
    order = harmonics_below(pitch)
    pipes = np.array([1, 3, 5, 7, 9]) if "hollow" in patch.traits else np.array([1, 2, 3, 4, 6, 8])
    pipes = pipes[pipes <= len(order)]
    spectrum = np.zeros((1, len(order)), dtype=np.float32)
    spectrum[0, pipes - 1] = (0.5 + 0.5 * patch.shape[: len(pipes)]) * pipes ** (
        -0.6 + 0.6 * patch.brightness
    )
    click = (
        np.float32(0.2 + 0.5 * patch.shape[6])
        * patch.noise[:samples]
        * fall(patch.seconds[:samples], 0.02)
    )
    return read_table(wavetable(spectrum), pitch * patch.warped[:samples]) + click


def strings(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """Additive synthesis of a bowed string in a body with five resonances.

    The string has all harmonics, and slip noise once per period.
    """
    order = harmonics_below(pitch)
    centres = BODY * (0.95 + 0.1 * patch.shape[:5])
    spectrum = _rolloff(patch, order, 1.3, 0.7) * _resonances(
        order * pitch,
        centres,
        centres / 6,
        0.12,
    )
    cycles = pitch * patch.warped[:samples]
    bow = np.float32(0.12) * patch.noise[:samples] * (1 + sine(cycles))
    return read_table(wavetable(spectrum[None]), cycles) + bow


def brass(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """Additive synthesis whose bandwidth grows with loudness (Risset 1969)."""
    order = harmonics_below(pitch)
    steps = np.linspace(3.5, 1.2 - 0.8 * patch.brightness, 6)[:, None]
    spectrum = order**-steps * _resonances(
        order * pitch,
        np.array([1300 + 200 * patch.shape[0]]),
        np.array([500.0]),
        0.15,
    )
    if "hollow" in patch.traits:
        spectrum[:, 1::2] *= 0.08
    time = patch.seconds[:samples]
    opening = (0.4 if "sweeping" in patch.traits else 0.1) * (1 + patch.shape[1])
    swell = (
        1
        - fall(time, opening) * np.float32(1 - 0.3 * patch.shape[2])
        - np.float32(0.35) * (1 - fall(time, 3 * opening))
    )
    return read_table(wavetable(spectrum), pitch * patch.warped[:samples], 5 * swell)


def choir(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """Formant synthesis: a glottal pulse through the formants of one or two vowels."""
    order = harmonics_below(pitch)
    number = int(len(VOWELS) * patch.shape[1])
    first, second = VOWELS[number], VOWELS[number - 1 if "sweeping" in patch.traits else number]
    size = 0.95 + 0.15 * patch.shape[0]
    widths = np.array([70, 90, 140])
    glottis = _rolloff(patch, order, 1.4, 0.6)
    spectrum = np.stack(
        [
            glottis
            * _resonances(order * pitch, size * ((1 - w) * first + w * second), widths, 0.006)
            for w in (0, 0.5, 1)
        ],
    )
    position = np.minimum(patch.seconds[:samples] * np.float32(4 + 4 * patch.shape[3]), 2)
    return read_table(wavetable(spectrum), pitch * patch.warped[:samples], position)


def flute(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """Filtered noise: narrow bands around a few harmonics, plus some tone."""
    tone = read_table(
        wavetable(_rolloff(patch, harmonics_below(pitch), 3, 1.5)[None]),
        pitch * patch.warped[:samples],
    )
    flutter = smoothed(patch.noise[:samples], 60 + int(120 * patch.shape[0]))
    return tone * (
        np.float32(0.4 + 0.2 * patch.shape[1]) + np.float32(0.7 + 0.3 * patch.shape[2]) * flutter
    )


def lead(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """Subtractive synthesis: saw or square through a resonant low-pass with an envelope."""
    order = harmonics_below(pitch)
    ratio = order * pitch / np.geomspace(350, 7000, 10)[:, None]
    damping = 0.08 + 0.15 * patch.shape[0]
    spectrum = _rolloff(patch, order, 1.0, 1.0) / np.sqrt(
        (1 - ratio**2) ** 2 + (damping * ratio) ** 2,
    )
    closing = fall(patch.seconds[:samples], 0.3 + 1.2 * patch.shape[1])
    sweep = 3 + 2 * patch.shape[2] if "sweeping" in patch.traits else 0.5 + patch.shape[2]
    position = np.float32(0.3 + 3.5 * patch.brightness) + np.float32(sweep) * closing
    return read_table(wavetable(spectrum), pitch * patch.warped[:samples], position)


def bell(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """FM synthesis (Chowning 1973), irrational ratio: decaying partials and a beating hum."""
    cycles, time = pitch * patch.warped[:samples], patch.seconds[:samples]
    ratio = (1.414, 2.414, 3.5015)[int(3 * patch.shape[0])]
    index = np.float32((1.2 + 1.6 * patch.brightness) / (2 * np.pi)) * fall(time, 1.5 * patch.ring)
    hum = sine(cycles * (1 + 0.004 * patch.shape[1]))
    return sine(cycles + index * sine(ratio * cycles)) + np.float32(0.6) * hum


def electric_piano(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """FM synthesis, integer ratios: a body (1:1, or 1:2 for odd harmonics) and a short tine."""
    cycles, time = pitch * patch.warped[:samples], patch.seconds[:samples]
    body_index = np.float32((0.3 + 0.9 * patch.brightness) / (2 * np.pi)) * fall(time, patch.ring)
    body = sine(cycles + body_index * sine((2 if "hollow" in patch.traits else 1) * cycles))
    tine = 14 if 16 * pitch < 0.45 * SAMPLE_RATE else 7
    tine_index = np.float32((0.15 + 0.3 * patch.shape[0]) / (2 * np.pi)) * fall(
        time,
        0.3 + 0.5 * patch.shape[1],
    )
    return body + np.float32(0.4 + 0.5 * patch.shape[2]) * sine(
        cycles + tine_index * sine(tine * cycles),
    )


def plucked_string(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """A loop of delay and loss (Karplus and Strong 1983), solved in the frequency domain.

    The frequency domain allows any pitch to be in tune.
    """
    ring = min(patch.ring, 2.5)
    # After the ring time the loop has decayed by 60 dB, so wrap-around is negligible.
    length = fft.next_fast_len(max(samples, int(ring * SAMPLE_RATE)), real=True)
    omega = np.arange(length // 2 + 1) * (2 * np.pi / length)
    period = SAMPLE_RATE / pitch
    damping = np.float32(0.45 - 0.38 * patch.brightness)  # of the two-point average in the loop
    loss = np.float32(10 ** (-3 / (pitch * ring))) * (1 - damping + damping * _delay(omega, 1))
    place = 0.5 if "hollow" in patch.traits else 0.08 + 0.25 * patch.shape[0]
    burst = np.zeros(length, dtype=np.float32)
    burst[: int(period)] = patch.noise[: int(period)]
    spectrum = (
        fft.rfft(burst)
        * (1 - np.float32(0.9) * _delay(omega, place * period))
        / (1 - loss * _delay(omega, period - damping))
    )
    spectrum[0] = 0
    return fft.irfft(spectrum, length)[:samples]


def drums(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """Modal synthesis and noise: a tuned drum for tonic notes, else snare, hat or other drum."""
    time, noise = patch.seconds[:samples], patch.noise[:samples]
    degree = round(12 * np.log2(pitch / patch.tonic)) % 12
    if degree % 3 == 1:
        hat = np.diff(noise, n=2, prepend=np.zeros(2, dtype=np.float32))
        return np.float32(0.3) * hat * fall(time, 0.1 + 0.25 * patch.shape[0])
    is_snare = degree % 3 == 2
    head = patch.tonic if is_snare else pitch
    # The skin is tighter just after the hit: the pitch falls within 50 ms.
    cycles = head * (patch.warped[:samples] + 0.0015 * patch.shape[1] * (1 - fall(time, 0.15)))
    levels = (0.2 + 0.5 * patch.brightness) ** np.arange(6) * (0.5 + patch.shape[2:8])
    levels[0] = 1
    skin = modes(cycles, time, MEMBRANE, levels, patch.ring / MEMBRANE, head)
    rattle = 0.6 if is_snare else 0.04 + 0.2 * patch.shape[8] * patch.brightness
    return skin + np.float32(rattle) * noise * fall(time, 0.08 + 0.2 * patch.shape[9])


def _rolloff(patch: Patch, order: np.ndarray, steep: float, shallow: float) -> np.ndarray:
    """Harmonics ``[H]`` that fall off by a power between ``steep`` (dark) and ``shallow`` (bright).

    Even harmonics are almost removed for a hollow sound.
    """
    spectrum = order ** -np.float32(steep + (shallow - steep) * patch.brightness)
    if "hollow" in patch.traits:
        spectrum[1::2] *= 0.08
    return spectrum


def _resonances(
    frequencies: np.ndarray,
    centres: np.ndarray,
    widths: np.ndarray,
    floor: float,
) -> np.ndarray:
    """Gains ``[H]`` of resonances at ``centres [M]`` Hz, ``widths [M]`` Hz wide, over a floor."""
    return floor + (1 / (1 + ((frequencies[:, None] - centres) / widths) ** 2)).sum(axis=1)


def _delay(omega: np.ndarray, samples: float | np.floating) -> np.ndarray:
    """Frequency response of a fractional delay at angular frequencies ``[F]`` per sample."""
    angle = (samples * omega).astype(np.float32)
    response = np.empty(len(omega), dtype=np.complex64)
    response.real, response.imag = np.cos(angle), -np.sin(angle)
    return response
