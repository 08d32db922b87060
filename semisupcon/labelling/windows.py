"""Cut audio into windows of a given length and hop, each of which is predicted like a clip.

Windows start at 0, hop, 2 hop, ... Audio that remains after the last whole window gets one more,
which is moved inwards to end with the file. A file shorter than a window is one window.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from semisupcon.embedding import cut
from semisupcon.embedding.batches import Form
from semisupcon.embedding.cutting import PIECE, whole_of_blocks
from semisupcon.errors import ConfigError

LONGEST = 3600  # seconds of a window


@dataclass(frozen=True)
class Windows:
    """Windows of audio at one sample rate.

    Attributes:
        length: samples per window.
        hop: seconds from one window to the next.
        sample_rate: Hz.
    """

    length: int
    hop: float
    sample_rate: int

    def start(self, number: int) -> int:
        """First sample of a window that is not the last."""
        return round(number * self.hop * self.sample_rate)

    def starts(self, total: int) -> np.ndarray:
        """First samples of all windows of a file with ``total`` samples, ``[n]`` int64."""
        number = max(0, int((total - self.length) / (self.hop * self.sample_rate)) - 1)
        while self.start(number) + self.length <= total:
            number += 1
        whole = [self.start(k) for k in range(number)]
        last = max(0, total - self.length)
        covered = whole[-1] + self.length if whole else 0
        more = total > covered and (not whole or self.start(number) < total)
        return np.array([*whole, last] if more else whole, dtype=np.int64)

    def times(self, total: int) -> tuple[np.ndarray, np.ndarray]:
        """Begin and end of all windows in seconds, ``[n]`` each, to the microsecond."""
        starts = self.starts(total)
        ends = np.minimum(starts + self.length, total)
        return np.round(starts / self.sample_rate, 6), np.round(ends / self.sample_rate, 6)


def windows_for(encoder: Form, window: float | None, hop: float | None) -> Windows:
    """Windows for an encoder; without a length, those of its segments, and without a hop, windows
    that follow one another.

    Args:
        encoder: gives sample rate and segment length.
        window, hop: seconds.

    Raises:
        ConfigError: for a window above an hour or shorter than the encoder accepts, or a hop below
            a sample.
    """
    rate = encoder.sample_rate
    length = encoder.segment_samples if window is None else round(window * rate)
    if length < encoder.min_samples or length < 1:
        raise ConfigError(
            f"--window must be at least {encoder.min_samples / rate:.4g} s for this encoder, got "
            f"{window:g}."
        )
    if length > LONGEST * rate:
        raise ConfigError(
            f"--window must be at most {LONGEST} s, because a window is held in memory, got "
            f"{window:g}."
        )
    hop = length / rate if hop is None else hop
    if hop * rate < 1:
        raise ConfigError(f"--hop must be at least one sample (1/{rate} s), got {hop:g}.")
    return Windows(length, hop, rate)


def segments_a_window(encoder: Form, windows: Windows) -> int:
    """Number of segments of the encoder that a whole window is cut into."""
    if getattr(encoder, "whole_clips", False):
        return 1
    return -(-windows.length // encoder.segment_samples)


def windows_of_blocks(
    blocks: Iterable[np.ndarray], encoder: Form, windows: Windows
) -> Iterator[np.ndarray]:
    """Yield the segments of all windows in pieces ``[k, segment]``, for a clip in blocks ``[n]``.

    A window is cut as a clip of its length. Yields nothing for a clip without samples.
    """
    kept, first, total, number = np.zeros(0, np.float32), 0, 0, 0
    most = max(1, PIECE // max(windows.length, encoder.segment_samples))

    def pieces(places: list[int], length: int) -> Iterator[np.ndarray]:
        for i in range(0, len(places), most):
            rows = [_segments(kept[p - first :][:length], encoder) for p in places[i : i + most]]
            yield np.concatenate(rows)

    for block in blocks:
        kept, total = np.concatenate([kept, block]), total + len(block)
        places: list[int] = []
        while windows.start(number) + windows.length <= total:
            places.append(windows.start(number))
            number += 1
        yield from pieces(places, windows.length)
        # A last window may lie within the last window's length at the end of the clip.
        unused = max(0, min(windows.start(number), total - windows.length) - first)
        kept, first = kept[unused:], first + unused
    rest = windows.starts(total)[number:].tolist() if total else []
    yield from pieces(rest, windows.length)


def _segments(window: np.ndarray, encoder: Form) -> np.ndarray:
    if getattr(encoder, "whole_clips", False):
        return next(whole_of_blocks([window], encoder.min_samples))
    return cut(window, encoder.segment_samples)
