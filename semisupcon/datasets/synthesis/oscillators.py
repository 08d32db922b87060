"""Oscillators of the synthetic instruments: wavetables, modes of struck bodies, smoothed noise.

Their time is *warped time*: seconds with vibrato. The product of a constant frequency and warped
time is the phase in cycles, so no integration is needed.
"""

import numpy as np
from scipy import fft

SAMPLE_RATE = 22_050
TABLE = 1 << 12
MAX_HARMONICS = 200


def harmonics_below(pitch: float) -> np.ndarray:
    """Return the numbers 1..H of the harmonics of a pitch (Hz) below 0.45 times the sample rate.

    H is at least 1 and at most `MAX_HARMONICS`.
    """
    return np.arange(
        1,
        min(MAX_HARMONICS, max(1, int(0.45 * SAMPLE_RATE / pitch))) + 1,
        dtype=np.float32,
    )


def wavetable(amplitudes: np.ndarray) -> np.ndarray:
    """Return one period with unit power of each of S spectra, ``[S, TABLE + 1]`` float32.

    The input are amplitudes ``[S, H]`` of the harmonics 1..H. Phases are those of Schroeder (1970),
    which give low peaks. They are the same for all spectra, so that neighbouring spectra do not
    cancel when they are mixed.
    """
    order = np.arange(amplitudes.shape[1])
    phases = np.exp(-1j * np.pi * order * (order + 1) / amplitudes.shape[1])
    power = np.sqrt((amplitudes**2).sum(axis=1, keepdims=True) / 2 + 1e-12)
    spectrum = np.zeros((len(amplitudes), TABLE // 2 + 1), dtype=np.complex64)
    spectrum[:, 1 : amplitudes.shape[1] + 1] = amplitudes / power * phases
    period = fft.irfft(spectrum, TABLE, axis=1) * (TABLE / 2)
    return np.concatenate([period, period[:, :1]], axis=1)


def read_table(
    tables: np.ndarray,
    cycles: np.ndarray,
    position: np.ndarray | None = None,
) -> np.ndarray:
    """Read wavetables ``[S, TABLE + 1]`` at phases ``[T]`` in cycles, with linear interpolation.

    ``position [T]`` in 0..S-1 mixes neighbouring tables. The interpolation error of harmonic 50 is
    60 dB below this harmonic.
    """
    place = cycles * TABLE
    column = place.astype(np.int64)
    between = (place - column).astype(np.float32)
    column &= TABLE - 1
    if position is None:
        return _read_row(tables[0], column, between)
    row = np.minimum(position.astype(np.int64), len(tables) - 2)
    column += row * (TABLE + 1)
    flat = tables.ravel()
    low = _read_row(flat, column, between)
    column += TABLE + 1
    return low + (position - row).astype(np.float32) * (_read_row(flat, column, between) - low)


def _read_row(table: np.ndarray, column: np.ndarray, between: np.ndarray) -> np.ndarray:
    left = table.take(column)
    return left + between * (table[1:].take(column, mode="clip") - left)


def modes(
    cycles: np.ndarray,
    time: np.ndarray,
    ratios: np.ndarray,
    levels: np.ndarray,
    decays: np.ndarray,
    pitch: float,
) -> np.ndarray:
    """Return the sum of decaying sines of a struck body, ``[T]`` float32.

    The M sines have frequencies of ``ratios [M]`` times the pitch, amplitudes ``levels [M]``, and
    decay by 60 dB in ``decays [M]`` seconds.
    """
    out = np.zeros(len(cycles), dtype=np.float32)
    for ratio, level, decay in zip(ratios, levels, decays, strict=True):
        if ratio * pitch < 0.45 * SAMPLE_RATE:
            out += np.float32(level) * sine(ratio * cycles) * fall(time, decay)
    return out


def sine(cycles: np.ndarray) -> np.ndarray:
    """Return the sine of a phase in cycles as float32; the phase is reduced in float64."""
    return np.sin(((cycles - np.floor(cycles)) * (2 * np.pi)).astype(np.float32))


def fall(time: np.ndarray, seconds: float) -> np.ndarray:
    """Return an exponential decay from 1 by 60 dB in ``seconds``, float32."""
    return np.exp(time * np.float32(-6.908 / seconds))


def smoothed(noise: np.ndarray, samples: int) -> np.ndarray:
    """Smooth white noise ``[T]`` with a moving average; the variance remains 1."""
    total = np.cumsum(noise, dtype=np.float64)
    out = np.empty_like(noise)
    out[:samples] = total[:samples]
    out[samples:] = total[samples:] - total[:-samples]
    return out / np.float32(np.sqrt(samples))
