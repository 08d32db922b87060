"""Reading audio: any format of libsndfile, any span of it, as mono float32 at the rate asked for.

A span is read by seeking, without decoding what lies before it, and equals the same samples of the decoded file.
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
    """What a file holds: frames (samples a channel), sample rate in Hz, channels."""

    frames: int
    sample_rate: int
    channels: int


def probe_file(path: str | Path) -> AudioInfo:
    """Length and form of a file, without decoding it.

    Raises:
        AudioError: if the file is missing or no audio.
    """
    with open_audio(path) as file:
        return AudioInfo(file.frames, file.samplerate, file.channels)


def read(path: str | Path, start: int = 0, frames: int | None = None, sample_rate: int | None = None) -> np.ndarray:
    """A span of a file: mean of its channels, float32, in about [-1, 1].

    Args:
        path: wav, flac, ogg, mp3 and whatever else libsndfile knows; told by content, not by name.
        start: first sample, at the file's own rate.
        frames: number of samples at the file's own rate; None reads to the end.
        sample_rate: resample to this rate; None keeps the file's own.

    Returns:
        ``[frames]``, or about ``frames * sample_rate / own rate`` samples when resampled.

    Raises:
        AudioError: if the file is missing, no audio or damaged, holds values that no audio has, or ends before the span does.
    """
    (audio,), own_rate = read_spans(path, [(start, frames)])
    return resample(audio, own_rate, sample_rate or own_rate)


def read_spans(path: str | Path, spans: Sequence[tuple[int, int | None]], length: int | None = None) -> tuple[list[np.ndarray], int]:
    """Several spans ``(start, frames)`` of one file, opened once: mono arrays at the file's own rate, and that rate; raises as `read`.

    Args:
        length: samples of the file where a scan has found them; spares looking for them again.
    """
    with open_audio(path, length) as file:
        return [_read_span(file, start, frames) for start, frames in spans], file.samplerate


def _read_span(file: AudioFile, start: int, frames: int | None) -> np.ndarray:
    if start:
        file.seek(start)
    elif file.tell():
        file.seek(0)
    parts = list(mono_blocks(file, frames))
    return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.float32), *parts])


def mono_blocks(file: AudioFile, frames: int | None = None) -> Iterator[np.ndarray]:
    """The rest of an open file, or its next ``frames`` samples, averaged over channels: blocks ``[n]``.

    Raises:
        AudioError: if there are fewer, or values that no audio has.
    """
    start, found = file.tell(), 0
    for block in file.blocks(frames):
        found += len(block)
        yield block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
    if frames is not None and found < frames:
        raise AudioError(
            f"The audio ends early: {found} samples instead of {frames} from sample {start} on.\nIn: {file.path}\n"
            "The file is damaged, or has changed since it was scanned; replace or remove it."
        )


def resample(audio: np.ndarray, own_rate: int, sample_rate: int, samples: int | None = None) -> np.ndarray:
    """Band-limited resampling (soxr, HQ) of ``[n]`` float32 at ``own_rate`` Hz.

    Args:
        samples: exact length of the result, cut or continued with zeros by the sample or two that rounding leaves; None takes it as it comes.
    """
    if own_rate != sample_rate and len(audio):
        audio = soxr.resample(audio, own_rate, sample_rate)
    if samples is not None and len(audio) != samples:
        audio = audio[:samples] if len(audio) > samples else np.pad(audio, (0, samples - len(audio)))
    return np.ascontiguousarray(audio, dtype=np.float32)


__all__ = ["MP3_PREROLL", "AudioInfo", "mono_blocks", "open_audio", "probe_file", "read", "read_spans", "resample"]
