"""Ten instruments with ten different methods of synthesis.

Each instrument is a function of a *patch* (the settings of the player of a clip), a pitch in Hz and
a number of samples. The patches of all instruments are drawn from the same ranges, so that
instruments differ in their sound and not in the distribution of their settings. `players.note` adds
features that all instruments can have: detuned voices, breath, a metallic strike, and the loudness
envelope.
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

# Formants of the vowels ah, eh and oh in Hz.
VOWELS = np.array([[800, 1150, 2900], [400, 1900, 2600], [450, 800, 2830]], dtype=np.float32)
BODY = np.array([280, 550, 1150, 2700, 4200])  # Hz, resonances of a bowed instrument
# Frequency ratios of the modes of an ideal drum head, from zeros of Bessel functions.
MEMBRANE = np.array([1, 1.594, 2.136, 2.296, 2.653, 2.918])


@dataclass(frozen=True)
class Patch:
    """Settings of the player of a clip, which are constant within the clip.

    Attributes:
        tonic: tuned frequency of the tonic in Hz.
        brightness: 0 (few overtones) to 1 (many).
        shape: ``[16]`` numbers in [0, 1), whose meaning depends on the instrument.
        attack: seconds from the onset of a note to its maximum loudness.
        ring: seconds in which a note decays by 60 dB; infinite for a note that does not decay while
            it is held.
        seconds: ``[T]`` float32, time since the onset of a note in seconds.
        warped: ``[T]`` float64, this time with vibrato. The product of a frequency and it is a
            phase in cycles.
        noise: ``[T]`` white noise of unit variance.
        traits: the traits among `players.TRAITS` that this player has.
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
    """Play an organ by additive synthesis: five or six pipes with drawbars, and a key click."""
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
    """Play bowed strings by additive synthesis, in a body with five resonances.

    The spectrum has all harmonics. Slip noise occurs once per period.
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
    """Play brass by additive synthesis, with a bandwidth that grows with loudness (Risset 1969)."""
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
    """Play a choir by formant synthesis: a glottal pulse with the formants of one or two vowels."""
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
    """Play a flute by filtered noise: narrow bands around a few harmonics, plus a tone."""
    tone = read_table(
        wavetable(_rolloff(patch, harmonics_below(pitch), 3, 1.5)[None]),
        pitch * patch.warped[:samples],
    )
    flutter = smoothed(patch.noise[:samples], 60 + int(120 * patch.shape[0]))
    return tone * (
        np.float32(0.4 + 0.2 * patch.shape[1]) + np.float32(0.7 + 0.3 * patch.shape[2]) * flutter
    )


def lead(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """Play a lead by subtractive synthesis: saw or square with a resonant low-pass."""
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
    """Play a bell by FM synthesis with an irrational ratio (Chowning 1973).

    Partials decay, and a second sine beats with the hum tone.
    """
    cycles, time = pitch * patch.warped[:samples], patch.seconds[:samples]
    ratio = (1.414, 2.414, 3.5015)[int(3 * patch.shape[0])]
    index = np.float32((1.2 + 1.6 * patch.brightness) / (2 * np.pi)) * fall(time, 1.5 * patch.ring)
    hum = sine(cycles * (1 + 0.004 * patch.shape[1]))
    return sine(cycles + index * sine(ratio * cycles)) + np.float32(0.6) * hum


def electric_piano(patch: Patch, pitch: float, samples: int) -> np.ndarray:
    """Play an electric piano by FM synthesis with integer ratios.

    The body has the ratio 1:1 (1:2 for odd harmonics). A short tine is added.
    """
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
    """Play a plucked string: a loop of delay and loss (Karplus and Strong 1983).

    The loop is solved in the frequency domain, so that any pitch is in tune.
    """
    ring = min(patch.ring, 2.5)
    # After ``ring`` seconds the loop has decayed by 60 dB, so the wrap-around of the FFT is
    # negligible.
    length = fft.next_fast_len(max(samples, int(ring * SAMPLE_RATE)), real=True)
    omega = np.arange(length // 2 + 1) * (2 * np.pi / length)
    period = SAMPLE_RATE / pitch
    damping = np.float32(0.45 - 0.38 * patch.brightness)  # weight of the loop's average
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
    """Play drums by modal synthesis and noise.

    Notes on the tonic are a tuned drum. Other notes are a snare, a hi-hat or another drum.
    """
    time, noise = patch.seconds[:samples], patch.noise[:samples]
    degree = round(12 * np.log2(pitch / patch.tonic)) % 12
    if degree % 3 == 1:
        hat = np.diff(noise, n=2, prepend=np.zeros(2, dtype=np.float32))
        return np.float32(0.3) * hat * fall(time, 0.1 + 0.25 * patch.shape[0])
    is_snare = degree % 3 == 2
    head = patch.tonic if is_snare else pitch
    # The drum head is tighter just after the stroke, so the pitch falls within 50 ms.
    cycles = head * (patch.warped[:samples] + 0.0015 * patch.shape[1] * (1 - fall(time, 0.15)))
    levels = (0.2 + 0.5 * patch.brightness) ** np.arange(6) * (0.5 + patch.shape[2:8])
    levels[0] = 1
    skin = modes(cycles, time, MEMBRANE, levels, patch.ring / MEMBRANE, head)
    rattle = 0.6 if is_snare else 0.04 + 0.2 * patch.shape[8] * patch.brightness
    return skin + np.float32(rattle) * noise * fall(time, 0.08 + 0.2 * patch.shape[9])


def _rolloff(patch: Patch, order: np.ndarray, steep: float, shallow: float) -> np.ndarray:
    """Return amplitudes ``[H]`` of harmonics that fall with a power of their number.

    The exponent is between ``steep`` (dark) and ``shallow`` (bright). For a hollow sound, even
    harmonics are attenuated.
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
    """Return the gains ``[H]`` of M resonances, given by centres and widths in Hz, plus a floor."""
    return floor + (1 / (1 + ((frequencies[:, None] - centres) / widths) ** 2)).sum(axis=1)


def _delay(omega: np.ndarray, samples: float | np.floating) -> np.ndarray:
    """Return the response ``[F]`` of a fractional delay at angular frequencies ``omega [F]``."""
    angle = (samples * omega).astype(np.float32)
    response = np.empty(len(omega), dtype=np.complex64)
    response.real, response.imag = np.cos(angle), -np.sin(angle)
    return response
