"""Audio as mono blocks at the rate asked for: decoded, averaged and resampled a block at a time.

Memory does not grow with the length of a file. The blocks, joined, are the samples that `semisupcon.audio.reading.read` gives, bit for bit.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soxr

from semisupcon.audio.opening import open_audio
from semisupcon.audio.reading import mono_blocks

BLOCK = 1 << 18  # samples of a block at most, after resampling


def read_blocks(
    path: str | Path,
    sample_rate: int | None = None,
    frames: int | None = None,
    silent: Callable[[str], None] = lambda reason: None,
) -> Iterator[np.ndarray]:
    """A whole file as blocks of mono float32.

    Args:
        path: any file that `open_audio` opens.
        sample_rate: Hz of the blocks; None keeps the file's own.
        frames: number of samples to read, at the file's own rate; None reads to the end.
        silent: called at the end of a file that is silence, with the reason that `semisupcon.audio.values.silence` gives.

    Yields:
        ``[n]`` float32, n about `BLOCK` at most; never empty.

    Raises:
        AudioError: if the file cannot be used, or ends before ``frames`` do.
    """
    with open_audio(path, frames) as file:
        own_rate, stream = file.samplerate, None
        if sample_rate not in (None, own_rate):
            stream = soxr.ResampleStream(own_rate, sample_rate, 1, dtype="float32")
        # A block may become longer by resampling.
        most = max(1, BLOCK * own_rate // (sample_rate or own_rate))
        for mono in mono_blocks(file, frames):
            for i in range(0, len(mono), most):
                part = mono[i : i + most]
                block = part if stream is None else stream.resample_chunk(part)
                if len(block):
                    yield block
        if stream is not None:
            rest = stream.resample_chunk(np.zeros(0, np.float32), last=True)
            yield from (rest[i : i + BLOCK] for i in range(0, len(rest), BLOCK))
        if file.silence:
            silent(file.silence)
