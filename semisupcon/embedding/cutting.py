"""How a clip is cut into the segments that an encoder is given: consecutive ones, or one a second.

A clip is cut into consecutive segments of the length the encoder was pretrained on. The last one is filled up with the clip's own beginning
(circular padding, as short clips are padded in training), so that every sample counts and no silence is added.

The functions on blocks do the same for a clip that comes block by block; they keep no more than a few segments.
"""

from collections.abc import Iterable, Iterator

import numpy as np

PIECE = 1 << 20  # samples of a piece at most, where a segment is not longer


def cut(audio: np.ndarray, segment: int) -> np.ndarray:
    """All consecutive segments ``[n, segment]`` of a clip ``[T]``, n = ceil(T / segment); the last continues with the clip's beginning."""
    return np.resize(audio, (-(-len(audio) // segment), segment))


def windows_per_second(audio: np.ndarray, segment: int, sample_rate: int) -> np.ndarray:
    """Segments ``[n, segment]`` centred on each of the n = ceil(T / sample_rate) seconds of a clip, moved inwards at its ends."""
    pieces = windows_of_blocks([audio], segment, sample_rate)
    return np.concatenate([np.zeros((0, segment), audio.dtype), *pieces])


def segments_of_blocks(blocks: Iterable[np.ndarray], segment: int) -> Iterator[np.ndarray]:
    """`cut` for a clip that comes as blocks ``[n]``: pieces ``[k, segment]``, which joined are its segments; none for no samples."""
    beginning = rest = np.zeros(0, np.float32)
    for block in blocks:
        if len(beginning) < segment:
            beginning = np.concatenate([beginning, block[: segment - len(beginning)]])
        rest = np.concatenate([rest, block])
        if whole := len(rest) - len(rest) % segment:
            yield rest[:whole].reshape(-1, segment)
            rest = rest[whole:]
    if len(rest):
        yield np.resize(np.concatenate([rest, beginning]) if len(beginning) == segment else rest, (1, segment))


def windows_of_blocks(blocks: Iterable[np.ndarray], segment: int, sample_rate: int) -> Iterator[np.ndarray]:
    """`windows_per_second` for a clip that comes as blocks ``[n]``: pieces ``[k, segment]``; none for no samples."""
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
        # What windows to come may need: they lie within the last segment at the clip's end.
        unused = max(0, min(start(second), total - segment) - first)
        kept, first = kept[unused:], first + unused
    left = -(-total // sample_rate) - second
    if left > 0:
        window = np.resize(kept, segment) if total < segment else kept[-segment:]
        for i in range(0, left, most):
            yield np.repeat(window[None], min(most, left - i), axis=0)
