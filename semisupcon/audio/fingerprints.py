"""Acoustic fingerprints: find recordings of the same audio in other formats or versions.

Matches may differ in format, bit depth, sample rate, gain and start.

A fingerprint is a small spectrogram: 32 bands of a fifth of an octave, 31 frames per second, levels
in steps of half a decibel below the loudest. Time is counted from the loudest moment, so a leading
offset does not change the frames. Two recordings are the same audio if their levels, aligned in
time and gain, hardly differ. Candidate pairs come from a k-d tree of spectral envelopes of
four-second stretches. Matching n recordings therefore needs far fewer than n * n comparisons, and
an excerpt is found inside a longer recording.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from semisupcon.audio.reading import resample

RATE = 8000  # Hz
WINDOW, HOP = 1024, 256
BANDS, LOWEST, HIGHEST = 32, 60.0, 3600.0  # Hz
STEP, RANGE = 0.5, 50.0  # dB: resolution of the levels, and range below the loudest level
# dB per octave added to the levels, because most sounds have most energy in a few low bands
TILT = 4.0
MAX_DIFFERENCE = 1.4  # dB, root mean square over the audible levels
MIN_CORRELATION = 0.9  # of the changes of the levels over time; not required for a steady sound
STEADY = 1.0  # dB; a sound whose levels change by less is steady
STRETCH, EVERY = 125, 31  # frames: four seconds, every second
# coefficients of an envelope; search radius in dB, root mean square
_COEFFICIENTS, _RADIUS = 12, 2.0
_AUDIBLE = 16.0  # dB above the softest level; lossy encoders drop masked sound below it
_MIN_CELLS = 64
_MIN_OVERLAP = 0.5  # share of the shorter recording
_QUERIES = 4096


class Match(NamedTuple):
    """Positions of the recordings ``a`` and ``b``, and the difference of their levels in dB."""

    a: int
    b: int
    difference: float


def fingerprint(audio: np.ndarray, rate: int) -> np.ndarray:
    """Compute the fingerprint of a recording.

    Args:
        audio: ``[n]`` float, any scale.
        rate: sample rate in Hz.

    Returns:
        ``[F, 32]`` int8 with about 31 frames per second: half decibels below the loudest level, 0
            to -100. F is 0 for silence, audio shorter than 20 ms, and audio with values that are
            not finite.
    """
    audio = resample(np.asarray(audio, np.float32), rate, RATE)
    if len(audio) < RATE // 50 or not np.isfinite(audio).all() or not audio.any():
        return np.zeros((0, BANDS), np.int8)
    audio = audio / np.abs(audio).max()
    energy = np.concatenate([[0.0], np.cumsum(audio.astype(np.float64) ** 2)])
    length = min(WINDOW, len(audio))
    loudest = int(np.argmax(energy[length:] - energy[:-length]))
    audio = np.pad(audio, (WINDOW // 2 + -loudest % HOP, WINDOW // 2 + HOP))
    frames = np.lib.stride_tricks.sliding_window_view(audio, WINDOW)[::HOP]
    window, bank = _tables()
    parts = (frames[start : start + 1024] * window for start in range(0, len(frames), 1024))
    power = np.concatenate([np.abs(np.fft.rfft(part, axis=1)) ** 2 @ bank for part in parts])
    levels = 10 * np.log10(power + 1e-12)
    return np.rint(np.maximum(levels - levels.max(), -RANGE) / STEP).astype(np.int8)


def match(a: Sequence[np.ndarray], b: Sequence[np.ndarray] | None = None) -> list[Match]:
    """Find pairs of recordings with the same audio, or where one holds at least half of the other.

    Recordings shorter than four seconds are matched as a whole, not inside longer ones.

    Args:
        a: fingerprints ``[F, 32]`` of n recordings.
        b: fingerprints of m other recordings; None compares the recordings of ``a`` with each
            other, each pair once.

    Returns:
        Pairs sorted by their positions; ``a < b`` in each pair if ``b`` is None.
    """
    pairs = sorted(_candidates(a, a if b is None else b, within=b is None))
    others = a if b is None else b
    found = ((i, j, difference(a[i], others[j])) for i, j in pairs)
    return [Match(i, j, apart) for i, j, apart in found if apart <= MAX_DIFFERENCE]


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Return the root mean square difference of two fingerprints in dB at the best alignment.

    It is infinite if no alignment fits.
    """
    if len(a) and np.array_equal(a, b):
        return 0.0
    best = np.inf
    x, y = (STEP * each.astype(np.float32) for each in (a, b))
    # Shift the second recording by parts of a frame too: an excerpt may begin anywhere. The shift
    # changes little for a copy or for another recording.
    for part in (0, 0.5, 0.25, 0.75):
        shifted = y if part == 0 else (1 - part) * y[:-1] + part * y[1:]
        if len(x) and len(shifted):
            start_x, start_y, length = _aligned(x, shifted)
            best = min(
                best,
                _apart(x[start_x : start_x + length], shifted[start_y : start_y + length]),
            )
        if not MAX_DIFFERENCE / 2 < best < 3 * MAX_DIFFERENCE:
            break
    return best


@cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Window ``[1024]`` and triangular filters ``[513, 32]`` on a logarithmic frequency scale.

    The lowest filters cover at least one line of the spectrum.
    """
    edges = LOWEST * (HIGHEST / LOWEST) ** (np.arange(BANDS + 2) / (BANDS + 1))
    lines = np.fft.rfftfreq(WINDOW, 1 / RATE)[:, None]
    rising, falling = (
        (lines - edges[:-2]) / np.diff(edges)[:-1],
        (edges[2:] - lines) / np.diff(edges)[1:],
    )
    bank = np.minimum(rising, falling).clip(min=0)
    nearest, band = np.abs(lines - edges[1:-1]).argmin(axis=0), np.arange(BANDS)
    bank[nearest, band] = np.maximum(bank[nearest, band], 0.5)
    bank *= (edges[1:-1] / 1000) ** (TILT / (10 * np.log10(2)))
    return np.hanning(WINDOW + 1)[:-1].astype(np.float32), bank.astype(np.float32)


def _aligned(x: np.ndarray, y: np.ndarray) -> tuple[int, int, int]:
    """Starts ``(i, j)`` and frames of the most similar stretch of ``x [n, B]`` and ``y [m, B]``.

    Most similar means the smallest difference up to a constant.
    """
    n, m = len(x), len(y)
    x, y = x + RANGE, y + RANGE
    size = 1 << (n + m - 1).bit_length()
    products = np.fft.irfft(
        (np.fft.rfft(x, size, axis=0) * np.fft.rfft(y, size, axis=0).conj()).sum(axis=1),
        size,
    )
    least = max(1, int(np.ceil(_MIN_OVERLAP * min(n, m))))
    lags = np.arange(least - m, n - least + 1)
    start_x, start_y = np.maximum(lags, 0), np.maximum(-lags, 0)
    length = np.minimum(n - start_x, m - start_y)

    def sums(values: np.ndarray, start: np.ndarray) -> np.ndarray:
        total = np.concatenate([[0.0], values.sum(axis=1, dtype=np.float64).cumsum()])
        return total[start + length] - total[start]

    cells = length * x.shape[1]
    squares = sums(x * x, start_x) + sums(y * y, start_y) - 2 * products[lags % size]
    apart = squares / cells - ((sums(x, start_x) - sums(y, start_y)) / cells) ** 2
    best = int(np.argmin(apart))
    return int(start_x[best]), int(start_y[best]), int(length[best])


def _apart(x: np.ndarray, y: np.ndarray) -> float:
    """Root mean square difference of levels ``[k, B]`` in dB after removing one gain.

    It is infinite if the changes of the levels over time do not correlate.
    """
    gain = 0.0
    for _ in range(2):
        audible = np.maximum(x, y + gain) > _AUDIBLE - RANGE
        if audible.sum() < _MIN_CELLS:
            return np.inf
        gain = float(np.median((x - y)[audible]))
    floor = abs(gain) - RANGE  # below it, one of the two is out of range
    x, y = np.maximum(x, floor), np.maximum(y + gain, floor)
    audible = np.maximum(x, y) > floor + _AUDIBLE
    if audible.sum() < _MIN_CELLS:
        return np.inf
    count = np.maximum(audible.sum(axis=0), 1)
    p, q = ((v - (v * audible).sum(axis=0) / count) * audible for v in (x, y))
    powers = float((p * p).sum()), float((q * q).sum())
    if max(powers) > STEADY**2 * audible.sum() and (p * q).sum() < MIN_CORRELATION * np.sqrt(
        powers[0] * powers[1],
    ):
        return np.inf
    return float(np.sqrt(((x - y)[audible] ** 2).mean()))


def _candidates(
    a: Sequence[np.ndarray],
    b: Sequence[np.ndarray],
    within: bool,
) -> set[tuple[int, int]]:
    """Pairs of recordings that have a stretch with nearly the same envelope."""
    from scipy.spatial import cKDTree

    envelopes, owners = _envelopes(b)
    queries, askers = (envelopes, owners) if within else _envelopes(a)
    found: set[tuple[int, int]] = set()
    if not len(envelopes) or not len(queries):
        return found
    tree = cKDTree(envelopes)
    for start in range(0, len(queries), _QUERIES):
        near = tree.query_ball_point(queries[start : start + _QUERIES], _RADIUS)
        for asker, places in zip(askers[start : start + _QUERIES].tolist(), near, strict=True):
            found.update(
                (asker, owner) for owner in owners[places].tolist() if not within or asker < owner
            )
    return found


def _envelopes(fingerprints: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Envelope ``[k, 2 * 12]`` of every stretch of every recording, and its recording ``[k]``."""
    order = np.arange(1, _COEFFICIENTS + 1)
    cosines = np.cos(np.pi * (np.arange(BANDS)[:, None] + 0.5) * order / BANDS) * np.sqrt(2) / BANDS
    rows, owners = [], []
    for owner, levels in enumerate(fingerprints):
        for start in range(0, max(1, len(levels) - STRETCH + EVERY), EVERY) if len(levels) else ():
            stretch = STEP * levels[start : start + STRETCH].astype(np.float32)
            stretch = stretch[stretch.max(axis=1) > stretch.max() - RANGE / 2]
            rows.append(
                np.concatenate([stretch.mean(axis=0) @ cosines, stretch.std(axis=0) @ cosines]),
            )
            owners.append(owner)
    return np.array(rows, np.float32).reshape(len(rows), 2 * _COEFFICIENTS), np.array(
        owners,
        dtype=np.int64,
    )
