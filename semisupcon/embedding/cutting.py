"""Cut a clip into segments for an encoder: consecutive segments, or one per second.

Segments have the length that the encoder was pretrained on. The last consecutive segment is filled
up with the beginning of the clip (circular padding, as for short clips in training), so that all
samples are used and no silence is added.

The functions on blocks do the same for a clip that arrives in blocks. They keep only a few segments
in memory.
"""

from collections.abc import Iterable, Iterator

import numpy as np

PIECE = 1 << 20  # maximum samples per piece, unless a segment is longer


def cut(audio: np.ndarray, segment: int) -> np.ndarray:
    """Cut a clip ``[T]`` into consecutive segments ``[n, segment]``, n = ceil(T / segment).

    The last segment continues with the beginning of the clip.
    """
    return np.resize(audio, (-(-len(audio) // segment), segment))


def windows_per_second(audio: np.ndarray, segment: int, sample_rate: int) -> np.ndarray:
    """Return one segment per second of a clip, ``[n, segment]`` with n = ceil(T / sample_rate).

    Segments are centred on the seconds, and moved inwards at the ends of the clip.
    """
    pieces = windows_of_blocks([audio], segment, sample_rate)
    return np.concatenate([np.zeros((0, segment), audio.dtype), *pieces])


def segments_of_blocks(blocks: Iterable[np.ndarray], segment: int) -> Iterator[np.ndarray]:
    """Yield the segments of `cut` in pieces ``[k, segment]``, for a clip in blocks ``[n]``.

    Yields nothing for a clip without samples.
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
    """Yield a clip in blocks ``[n]`` as one row ``[1, T]``; one shorter than ``shortest`` samples is
    repeated to this length.

    Yields nothing for a clip without samples.
    """
    clip = np.concatenate([np.zeros(0, np.float32), *blocks])
    if len(clip):
        yield (clip if len(clip) >= shortest else np.resize(clip, shortest))[None]


def windows_of_blocks(
    blocks: Iterable[np.ndarray],
    segment: int,
    sample_rate: int,
) -> Iterator[np.ndarray]:
    """Yield `windows_per_second` in pieces ``[k, segment]``, for a clip in blocks ``[n]``.

    Yields nothing for a clip without samples.
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
        # Later windows lie within the last segment at the end of the clip, or after their start.
        unused = max(0, min(start(second), total - segment) - first)
        kept, first = kept[unused:], first + unused
    left = -(-total // sample_rate) - second
    if left > 0:
        window = np.resize(kept, segment) if total < segment else kept[-segment:]
        for i in range(0, left, most):
            yield np.repeat(window[None], min(most, left - i), axis=0)
