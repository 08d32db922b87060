"""Cut a clip into segments for an encoder: consecutive segments, or one per second.

Segments have the length with which the encoder was pretrained. The last of the consecutive segments
is completed with the beginning of the clip (circular padding, as for short clips in training). Thus
all samples are used, and no silence is added.

The functions with ``blocks`` in their names take a clip in consecutive blocks and keep only a few
segments in memory.
"""

from collections.abc import Iterable, Iterator

import numpy as np

PIECE = 1 << 20  # maximum number of samples of a piece, unless a segment is longer


def cut(audio: np.ndarray, segment: int) -> np.ndarray:
    """Cut a clip ``[T]`` into consecutive segments ``[n, segment]``, n = ceil(T / segment).

    The last segment is completed with the beginning of the clip.
    """
    return np.resize(audio, (-(-len(audio) // segment), segment))


def windows_per_second(audio: np.ndarray, segment: int, sample_rate: int) -> np.ndarray:
    """Return one segment per second of a clip, ``[n, segment]`` with n = ceil(T / sample_rate).

    Segments are centred on the seconds. At the ends of the clip, they are moved so that they lie
    inside the clip.
    """
    pieces = windows_of_blocks([audio], segment, sample_rate)
    return np.concatenate([np.zeros((0, segment), audio.dtype), *pieces])


def segments_of_blocks(blocks: Iterable[np.ndarray], segment: int) -> Iterator[np.ndarray]:
    """Cut a clip in blocks ``[n]`` into the segments of `cut`; yield them in pieces
    ``[k, segment]``.

    A clip without samples yields nothing.
    """
    beginning = rest = np.zeros(0, np.float32)
    for block in blocks:
        if len(beginning) < segment:
            beginning = np.concatenate([beginning, block[: segment - len(beginning)]])
        rest = np.concatenate([rest, block])
        if whole := len(rest) - len(rest) % segment:
            yield rest[:whole].reshape(-1, segment)
            rest = rest[whole:]
    if len(rest):
        yield np.resize(
            np.concatenate([rest, beginning]) if len(beginning) == segment else rest,
            (1, segment),
        )


def whole_of_blocks(blocks: Iterable[np.ndarray], shortest: int) -> Iterator[np.ndarray]:
    """Join a clip in blocks ``[n]``; yield it as one row ``[1, T]``.

    A clip shorter than ``shortest`` samples is repeated to this length.

    A clip without samples yields nothing.
    """
    clip = np.concatenate([np.zeros(0, np.float32), *blocks])
    if len(clip):
        yield (clip if len(clip) >= shortest else np.resize(clip, shortest))[None]


def windows_of_blocks(
    blocks: Iterable[np.ndarray],
    segment: int,
    sample_rate: int,
) -> Iterator[np.ndarray]:
    """Cut a clip in blocks ``[n]`` into one segment per second, as `windows_per_second` does.

    Yields the segments in pieces ``[k, segment]``.

    A clip without samples yields nothing.
    """
    kept, first, total, second = np.zeros(0, np.float32), 0, 0, 0
    most = max(1, PIECE // segment)

    def start(second: int) -> int:
        return max(0, second * sample_rate + (sample_rate - segment) // 2)

    for block in blocks:
        kept, total = np.concatenate([kept, block]), total + len(block)
        while start(second) + segment <= total:
            places: list[int] = []
            while len(places) < most and start(second) + segment <= total:
                places.append(start(second) - first)
                second += 1
            yield np.stack([kept[p : p + segment] for p in places])
        # Later segments need only samples after their start, or those of the last segment of the
        # clip.
        unused = max(0, min(start(second), total - segment) - first)
        kept, first = kept[unused:], first + unused
    left = -(-total // sample_rate) - second
    if left > 0:
        window = np.resize(kept, segment) if total < segment else kept[-segment:]
        for i in range(0, left, most):
            yield np.repeat(window[None], min(most, left - i), axis=0)
