"""Oscillators of the instruments: wavetables of harmonics, struck modes, and noise around a pitch.

All take *warped time* (seconds with vibrato), so that frequency times time is a phase in cycles
without integration.
"""

import numpy as np
from scipy import fft

SAMPLE_RATE = 22_050
TABLE = 1 << 12
MAX_HARMONICS = 200


def harmonics_below(pitch: float) -> np.ndarray:
    """Return the numbers ``[H]`` of the harmonics of a pitch (Hz) up to 0.45 times the sample rate.

    There are at most `MAX_HARMONICS`, and at least one.
    """
    return np.arange(
        1,
        min(MAX_HARMONICS, max(1, int(0.45 * SAMPLE_RATE / pitch))) + 1,
        dtype=np.float32,
    )


def wavetable(amplitudes: np.ndarray) -> np.ndarray:
    """Return one period of unit power for each of S spectra, as tables ``[S, TABLE + 1]`` float32.

    Input are amplitudes ``[S, H]`` of harmonics 1..H. The phases are those of Schroeder (1970), the
    same for all spectra: peaks are low, and neighbouring spectra mix without cancelling.
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
    """Play tables ``[S, TABLE + 1]`` at a phase ``[T]`` in cycles with linear interpolation.

    The error of harmonic 50 is 60 dB below it. ``position [T]`` in 0..S-1 mixes neighbouring
    spectra.
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
    """Return decaying sines of a struck body, ``[T]`` float32.

    They have ``ratios [M]`` of the pitch and decay by 60 dB in ``decays [M]`` seconds.
    """
    out = np.zeros(len(cycles), dtype=np.float32)
    for ratio, level, decay in zip(ratios, levels, decays, strict=True):
        if ratio * pitch < 0.45 * SAMPLE_RATE:
            out += np.float32(level) * sine(ratio * cycles) * fall(time, decay)
    return out


def sine(cycles: np.ndarray) -> np.ndarray:
    """Return a unit sine at a phase in cycles, in float32 after reduction in float64."""
    return np.sin(((cycles - np.floor(cycles)) * (2 * np.pi)).astype(np.float32))


def fall(time: np.ndarray, seconds: float) -> np.ndarray:
    """Return an exponential decay from 1, by 60 dB in ``seconds``, float32."""
    return np.exp(time * np.float32(-6.908 / seconds))


def smoothed(noise: np.ndarray, samples: int) -> np.ndarray:
    """Smooth white noise ``[T]`` of unit variance with a moving average; returns unit variance."""
    total = np.cumsum(noise, dtype=np.float64)
    out = np.empty_like(noise)
    out[:samples] = total[:samples]
    out[samples:] = total[samples:] - total[:-samples]
    return out / np.float32(np.sqrt(samples))
