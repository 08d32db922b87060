"""Read an audio file in mono blocks at a given sample rate.

Each block is decoded, averaged over channels and resampled separately, so memory use does not
depend on the length of the file. The concatenated blocks are bit-identical to the result of
`semisupcon.audio.reading.read`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soxr

from semisupcon.audio.opening import open_audio
from semisupcon.audio.reading import mono_blocks

BLOCK = 1 << 18  # maximum number of samples of a block, after resampling


def read_blocks(
    path: str | Path,
    sample_rate: int | None = None,
    frames: int | None = None,
    silent: Callable[[str], None] = lambda reason: None,
) -> Iterator[np.ndarray]:
    """Iterate over a whole file in blocks of mono float32.

    Args:
        path: any file that `open_audio` opens.
        sample_rate: sample rate of the blocks in Hz; None keeps the sample rate of the file.
        frames: number of samples to read, at the sample rate of the file; None reads to the end.
        silent: function that is called at the end of a silent file with the text that
            `semisupcon.audio.values.silence` returns.

    Yields:
        ``[n]`` float32; n is at least 1 and at most about `BLOCK`.

    Raises:
        AudioError: if the file cannot be decoded, or has fewer than ``frames`` samples.
    """
    with open_audio(path, frames) as file:
        own_rate, stream = file.samplerate, None
        if sample_rate not in (None, own_rate):
            stream = soxr.ResampleStream(own_rate, sample_rate, 1, dtype="float32")
        # Resampling to a higher rate makes a block longer.
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
