"""Recording conditions of a clip: room, noise, equalisation and level.

They are drawn independently of the instrument. The recording is equalised to a random spectral
centroid, and its peaks are limited to a random crest factor, so that neither of them reveals the
instrument.
"""

from dataclasses import dataclass

import numpy as np
from scipy import fft

from semisupcon.datasets.synthesis.oscillators import SAMPLE_RATE, fall

TILTS = np.linspace(-1.5, 1.5, 61)  # exponents of the frequency; 1 is 6 dB per octave
BANDS = 96


@dataclass(frozen=True)
class Room:
    """Recording conditions of a clip.

    Attributes:
        decay: time in seconds in which the reverberation decays by 60 dB.
        wet: energy of the reverberation divided by that of the direct sound.
        damping: exponent of the attenuation of high frequencies in the reverberation.
        noise: level of the noise floor in dB below the music.
        hiss: spectrum of the noise, from 0 (low frequencies dominate) to 1 (white).
        centroid: spectral centroid in Hz after equalisation.
        crest: ratio of the highest peak to the root mean square.
        level: root mean square of the clip in dB relative to full scale.
    """

    decay: float
    wet: float
    damping: float
    noise: float
    hiss: float
    centroid: float
    crest: float
    level: float


def draw_room(rng: np.random.Generator, pitch: float) -> Room:
    """Draw recording conditions.

    The centroid depends on ``pitch`` (the tonic in Hz), so that equalisation does not remove the
    fundamental.
    """
    size = rng.uniform()
    noisy = rng.uniform() < 0.13
    return Room(
        decay=float(0.15 * 14**size),
        wet=float(0.01 * 40 ** rng.uniform()),
        damping=float(rng.uniform(0.2, 0.9)),
        noise=float(rng.uniform(13, 20) if noisy else rng.uniform(40, 60)),
        hiss=float(rng.uniform()),
        centroid=float(1500 * 2 ** rng.uniform(-0.6, 0.6) * (pitch / 200) ** 0.3),
        crest=float(rng.uniform(2.6, 3.8)),
        level=float(rng.uniform(-34, -14)),
    )


def centroid(magnitudes: np.ndarray) -> float:
    """Return the spectral centroid in Hz of magnitudes ``[F]`` up to half the sample rate."""
    frequencies = np.linspace(0, SAMPLE_RATE / 2, len(magnitudes), dtype=np.float32)
    return float((frequencies @ magnitudes) / (magnitudes.sum() + 1e-9))


def record(dry: np.ndarray, room: Room, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Apply recording conditions to a sound ``dry [T]``.

    Returns:
        The recording, ``[T]`` float32 in [-1, 1], and the spectral centroid of ``dry`` in Hz.
    """
    samples = len(dry)
    # The reverberation of the end of the clip wraps around to its beginning, as if music preceded
    # the clip.
    length = fft.next_fast_len(samples, real=True)
    tail = min(int(room.decay * SAMPLE_RATE), length)
    spectrum = fft.rfft(dry, length)
    magnitudes = np.abs(spectrum)
    brightness = centroid(magnitudes**2)

    frequencies = np.linspace(0, SAMPLE_RATE / 2, len(spectrum), dtype=np.float32)
    frequencies[0] = frequencies[1]
    spectrum *= _reverberation(room, tail, length, frequencies, rng)
    spectrum += _noise(room, spectrum, frequencies, rng)
    spectrum *= _colour(np.abs(spectrum), frequencies, room.centroid)
    wet = fft.irfft(spectrum, length)[:samples]

    for _ in range(2):  # the second pass limits loud attacks to the drawn crest factor
        wet *= np.float32(1 / (room.crest * np.sqrt(np.mean(wet * wet)) + 1e-9))
        wet = np.tanh(wet)
    edge = np.minimum(1, np.arange(samples, dtype=np.float32) / (0.005 * SAMPLE_RATE))
    wet *= edge * edge[::-1]
    wet *= 10 ** (room.level / 20) / (np.sqrt(np.mean(wet * wet)) + 1e-9)
    return wet.clip(-1, 1), brightness


def _white(rng: np.random.Generator, samples: int) -> np.ndarray:
    return (rng.random(samples, dtype=np.float32) - 0.5) * np.float32(np.sqrt(12))


def _reverberation(
    room: Room,
    tail: int,
    length: int,
    frequencies: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the response of direct sound, six early reflections, and a damped noise tail."""
    time = np.arange(tail, dtype=np.float32) / SAMPLE_RATE
    response = _white(rng, tail) * fall(time, room.decay)
    response[: int(0.01 * SAMPLE_RATE)] *= 0.2  # reflections arrive after the direct sound
    response[(rng.uniform(0.003, 0.05, size=6) * room.decay**0.5 * SAMPLE_RATE).astype(int)] += (
        rng.uniform(-8, 8, size=6)
    )
    diffuse = fft.rfft(response, length) * (frequencies / 100 + 1) ** -np.float32(room.damping)
    energy = np.mean(np.abs(diffuse) ** 2)
    return 1 + np.float32(np.sqrt(room.wet / energy)) * diffuse


def _noise(
    room: Room,
    spectrum: np.ndarray,
    frequencies: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the spectrum of a noise floor that falls with frequency."""
    noise = _white(rng, 2 * len(spectrum)).view(np.complex64) * (
        frequencies / 50 + 1
    ) ** -np.float32(1 - 0.9 * room.hiss)
    power = np.vdot(spectrum, spectrum).real / np.vdot(noise, noise).real
    return noise * np.float32(np.sqrt(power) * 10 ** (-room.noise / 20))


def _colour(magnitudes: np.ndarray, frequencies: np.ndarray, target: float) -> np.ndarray:
    """Return the gains ``[F]`` of an equaliser that moves the spectral centroid to ``target`` Hz.

    The gains are a power of the frequency, constant below 60 Hz. Inaudible low frequencies are
    removed.
    """
    edges = np.unique(np.geomspace(1, len(magnitudes) - 1, BANDS).astype(int))
    bands = np.add.reduceat(magnitudes, edges)
    centres = np.maximum(frequencies[edges] * 1.04, 60)
    gains = centres ** TILTS[:, None]
    centroids = (gains * bands * centres).sum(axis=1) / (gains * bands).sum(axis=1)
    tilt = np.interp(np.log(target), np.log(centroids), TILTS)
    gains = np.maximum(frequencies, 60) ** np.float32(tilt)
    gains *= np.minimum(1, frequencies / 30) ** 2  # high-pass at 30 Hz
    return gains
