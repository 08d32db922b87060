"""The first seconds of each clip as small MP3 files inside a page."""

import io
from pathlib import Path

import numpy as np
import soundfile

from semisupcon.audio.reading import probe_file, read
from semisupcon.errors import AudioError
from semisupcon.paths import system_path

RATE = 16_000  # Hz
QUALITY = 0.9  # of MP3 with variable bit rate, 0 (best) to 1


def preview(file: str, start: float, seconds: float) -> bytes:
    """A span of a file as MP3: mono, 16 kHz; empty if it cannot be read.

    Args:
        file: audio file.
        start: seconds.
        seconds: length; less at the end of the file.
    """
    path = Path(system_path(file).decode("utf-8", "surrogateescape"))
    try:
        info = probe_file(path)
        first = min(round(start * info.sample_rate), max(0, info.frames - 1))
        frames = min(round(seconds * info.sample_rate), info.frames - first)
        audio = read(path, first, frames, RATE)
    except AudioError:
        return b""
    out = io.BytesIO()
    soundfile.write(
        out,
        np.clip(audio, -1, 1),
        RATE,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode="VARIABLE",
        compression_level=QUALITY,
    )
    return out.getvalue()
