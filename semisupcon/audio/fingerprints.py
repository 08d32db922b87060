"""Compute and compare acoustic fingerprints, to find several recordings of the same audio.

The recordings may differ in format, bit depth, sample rate, gain and start.

A fingerprint is a small spectrogram with 32 bands, each a fifth of an octave wide, and 31 frames
per second. Levels are in steps of half a decibel below the loudest level. The frames are aligned to
the loudest moment, so that silence at the beginning does not change them. Two recordings match if
their levels hardly differ after alignment in time and gain.

Candidate pairs are found in a k-d tree of spectral envelopes. An envelope is computed every second
from a segment of four seconds. Matching n recordings therefore needs far fewer than n * n
comparisons, and an excerpt is found inside a longer recording.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from semisupcon.audio.reading import resample

RATE = 8000  # Hz
WINDOW, HOP = 1024, 256
BANDS, LOWEST, HIGHEST = 32, 60.0, 3600.0  # Hz
STEP, RANGE = 0.5, 50.0  # dB; resolution of the levels, and their range below the loudest level
# Emphasis of high bands in dB per octave, because most sounds have most of their energy in a few
# low bands.
TILT = 4.0
MAX_DIFFERENCE = 1.4  # dB, root mean square over the audible levels
MIN_CORRELATION = 0.9  # of the level changes of two recordings; not required for steady sounds
STEADY = 1.0  # dB; a sound whose levels change by less is steady
STRETCH, EVERY = 125, 31  # frames; the length of four seconds and the hop of one second
# Number of coefficients of an envelope, and search radius in dB (root mean square).
_COEFFICIENTS, _RADIUS = 12, 2.0
_AUDIBLE = 16.0  # dB above the softest level; softer sound is ignored, as codecs drop it
_MIN_CELLS = 64
_MIN_OVERLAP = 0.5  # minimum overlap, as a share of the shorter recording
_QUERIES = 4096


class Match(NamedTuple):
    """A matching pair: indices of the recordings in ``a`` and ``b``, and their difference in dB."""

    a: int
    b: int
    difference: float


def fingerprint(audio: np.ndarray, rate: int) -> np.ndarray:
    """Compute the fingerprint of a recording.

    Args:
        audio: ``[n]`` float, of any scale.
        rate: sample rate in Hz.

    Returns:
        ``[F, 32]`` int8, F about 31 frames per second. Values are from 0 (the loudest level) to
            -100, in half decibels. F is 0 for silence, audio shorter than 20 ms, and audio with NaN
            or infinity.
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
    """Find pairs of recordings that contain the same audio.

    The common part must be at least half of the shorter recording. A recording shorter than four
    seconds is not found inside a longer one.

    Args:
        a: fingerprints ``[F, 32]`` of n recordings.
        b: fingerprints of m other recordings; None compares each pair of recordings in ``a`` once.

    Returns:
        Pairs sorted by their indices. If ``b`` is None, the first index of a pair is the smaller
        one.
    """
    pairs = sorted(_candidates(a, a if b is None else b, within=b is None))
    others = a if b is None else b
    found = ((i, j, difference(a[i], others[j])) for i, j in pairs)
    return [Match(i, j, apart) for i, j, apart in found if apart <= MAX_DIFFERENCE]


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Return the root mean square difference of two fingerprints in dB after alignment in time.

    The difference is infinite if no alignment is found.
    """
    if len(a) and np.array_equal(a, b):
        return 0.0
    best = np.inf
    x, y = (STEP * each.astype(np.float32) for each in (a, b))
    # An excerpt may begin between two frames, so the second recording is also shifted by parts of a
    # frame. Clear matches and clear differences need no shift.
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
    """Return the window ``[1024]`` and triangular filters ``[513, 32]`` on a logarithmic scale.

    Each filter covers at least one line of the spectrum.
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
    """Return ``(i, j, k)`` such that ``x[i : i + k]`` and ``y[j : j + k]`` are most similar.

    ``x [n, B]`` and ``y [m, B]`` are levels. A constant difference (gain) is ignored.
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
    """Return the root mean square difference of levels ``[k, B]`` in dB, after removing the gain.

    The difference is infinite if the changes of the levels over time do not correlate.
    """
    gain = 0.0
    for _ in range(2):
        audible = np.maximum(x, y + gain) > _AUDIBLE - RANGE
        if audible.sum() < _MIN_CELLS:
            return np.inf
        gain = float(np.median((x - y)[audible]))
    floor = abs(gain) - RANGE  # below this level, one recording has no values
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
    """Return the pairs of recordings that have a segment with nearly the same envelope."""
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
    """Return the envelopes ``[k, 24]`` of the segments of all recordings.

    The second result is the index ``[k]`` of the recording of each segment. An envelope is the
    cosine transform of the mean and standard deviation of the levels over time, 12 coefficients
    each.
    """
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
