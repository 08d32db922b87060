"""Read any span of an audio file as mono float32 at a given sample rate.

A span is read by seeking, without decoding all audio before it. Its samples equal those of the
fully decoded file.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr

from semisupcon.audio.decoding import MP3_PREROLL, AudioFile
from semisupcon.audio.opening import open_audio
from semisupcon.errors import AudioError


class AudioInfo(NamedTuple):
    """Length in frames (samples per channel), sample rate in Hz, and channels of a file."""

    frames: int
    sample_rate: int
    channels: int


def probe_file(path: str | Path) -> AudioInfo:
    """Return length, sample rate and channels of a file without decoding it.

    Raises:
        AudioError: if the file is missing or not audio.
    """
    with open_audio(path) as file:
        return AudioInfo(file.frames, file.samplerate, file.channels)


def read(
    path: str | Path,
    start: int = 0,
    frames: int | None = None,
    sample_rate: int | None = None,
) -> np.ndarray:
    """Read a span of a file as mono float32, in about [-1, 1]. Channels are averaged.

    Args:
        path: wav, flac, ogg, mp3 or another format of libsndfile. The format is detected from the
            content, not from the name.
        start: first sample, at the sample rate of the file.
        frames: number of samples at the sample rate of the file; None reads to the end.
        sample_rate: resample to this rate; None keeps the sample rate of the file.

    Returns:
        ``[frames]`` without resampling, else about ``[frames * sample_rate / rate of the file]``.

    Raises:
        AudioError: if the file is missing, not audio or damaged, has impossible sample values, or
            ends before the end of the span.
    """
    (audio,), own_rate = read_spans(path, [(start, frames)])
    return resample(audio, own_rate, sample_rate or own_rate)


def read_spans(
    path: str | Path,
    spans: Sequence[tuple[int, int | None]],
    length: int | None = None,
) -> tuple[list[np.ndarray], int]:
    """Read several spans ``(start, frames)`` of a file while opening it once.

    Args:
        length: length of the file in samples from an earlier scan. If given, the length is not
            determined again.

    Returns:
        Mono arrays ``[frames]`` at the sample rate of the file, and this rate in Hz.

    Raises:
        AudioError: for the reasons given in `read`.
    """
    with open_audio(path, length) as file:
        return spans_from(file, spans), file.samplerate


def spans_from(file: AudioFile, spans: Sequence[tuple[int, int | None]]) -> list[np.ndarray]:
    """Read spans ``(start, frames)`` of an open file as mono arrays ``[frames]``.

    Raises the errors of `AudioFile.read`.
    """
    return [_read_span(file, start, frames) for start, frames in spans]


def _read_span(file: AudioFile, start: int, frames: int | None) -> np.ndarray:
    if start:
        file.seek(start)
    elif file.tell():
        file.seek(0)
    parts = list(mono_blocks(file, frames))
    return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.float32), *parts])


def mono_blocks(file: AudioFile, frames: int | None = None) -> Iterator[np.ndarray]:
    """Iterate over the rest of an open file, or its next ``frames`` samples, in blocks ``[n]``.

    Channels are averaged.

    Raises:
        AudioError: if the file has fewer samples, or impossible sample values.
    """
    start, found = file.tell(), 0
    for block in file.blocks(frames):
        found += len(block)
        yield block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
    if frames is not None and found < frames:
        raise AudioError(
            f"The audio ends early: {found} samples instead of {frames} from sample {start} "
            f"on.\nIn: {file.path}\n"
            "The file is damaged, or has changed since it was scanned; replace or remove it."
        )


def resample(
    audio: np.ndarray,
    own_rate: int,
    sample_rate: int,
    samples: int | None = None,
) -> np.ndarray:
    """Resample ``[n]`` float32 from ``own_rate`` to ``sample_rate`` Hz (soxr, quality HQ).

    Args:
        samples: exact length of the result. A result that differs by rounding is cut or padded with
            zeros. None keeps the length.
    """
    if own_rate != sample_rate and len(audio):
        audio = soxr.resample(audio, own_rate, sample_rate)
    if samples is not None and len(audio) != samples:
        audio = (
            audio[:samples] if len(audio) > samples else np.pad(audio, (0, samples - len(audio)))
        )
    return np.ascontiguousarray(audio, dtype=np.float32)


__all__ = [
    "MP3_PREROLL",
    "AudioInfo",
    "mono_blocks",
    "open_audio",
    "probe_file",
    "read",
    "read_spans",
    "resample",
    "spans_from",
]
