"""Reading audio: any format of libsndfile, any span of it, as mono float32 at the rate asked for.

A span is read by seeking, without decoding what lies before it, and equals the same samples of the decoded file. For that, decoding starts
early and drops what comes before the span: in mp3, because a frame borrows bits from those before it and overlaps with them; in Opus, because
its predictors need time to settle; in Vorbis, because libsndfile (1.2.2) seeks a block off inside the last page of a file.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf
import soxr

from semisupcon.audio.containers import last_ogg_page
from semisupcon.errors import AudioError

MP3_PREROLL = 18_432  # 16 frames of 1,152 samples: at low bit rates the reservoir spans that many
OPUS_PREROLL = 2  # seconds; the 80 ms of its specification leave errors of 1e-3
_VORBIS_BLOCK = 8192
_BLOCK = 1 << 18


class AudioInfo(NamedTuple):
    """What a file's header says: frames (samples a channel), sample rate in Hz, channels. Of an mp3 the number of frames may be a guess."""

    frames: int
    sample_rate: int
    channels: int


@contextlib.contextmanager
def open_audio(path: str | Path) -> Iterator[sf.SoundFile]:
    """An open file; whatever libsndfile complains of, here or while it is in use, becomes an `AudioError` that names the file."""
    try:
        with sf.SoundFile(path) as file:
            yield file
    except (sf.SoundFileError, OSError) as error:
        what = "is not there" if not Path(path).exists() else f"cannot be decoded ({reason(error)})"
        raise AudioError(f"The audio file {what}.\nIn: {path}\nReplace or remove it.") from error


def reason(error: Exception) -> str:
    """What libsndfile or the system says, in lower case and without a full stop."""
    text = getattr(error, "error_string", str(error))
    return text.strip().rstrip(".").lower() or "its data are damaged"


def probe_file(path: str | Path) -> AudioInfo:
    """Read the header only.

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
        frames: number of samples at the file's own rate; None reads to the end, wherever the header says that it is.
        sample_rate: resample to this rate; None keeps the file's own.

    Returns:
        ``[frames]``, or about ``frames * sample_rate / own rate`` samples when resampled.

    Raises:
        AudioError: if the file is missing or no audio, or ends before the span does.
    """
    (audio,), own_rate = read_spans(path, [(start, frames)])
    return resample(audio, own_rate, sample_rate or own_rate)


def read_spans(path: str | Path, spans: Sequence[tuple[int, int | None]]) -> tuple[list[np.ndarray], int]:
    """Several spans ``(start, frames)`` of one file, opened once: mono arrays at the file's own rate, and that rate; raises as `read`."""
    with open_audio(path) as file:
        return [_read_span(file, start, frames, path) for start, frames in spans], file.samplerate


def _read_span(file: sf.SoundFile, start: int, frames: int | None, path: str | Path) -> np.ndarray:
    preroll = _preroll(file, start, path)
    if start - preroll != file.tell():
        file.seek(start - preroll)
    if frames is None:
        channels = np.concatenate([np.zeros((0, file.channels), np.float32), *blocks(file)])
    else:
        channels = file.read(frames + preroll, dtype="float32", always_2d=True)
    channels = channels[preroll:]
    if frames is not None and len(channels) < frames:
        raise AudioError(
            f"The audio ends early: {len(channels)} samples instead of {frames} from sample {start} on.\nIn: {path}\n"
            "The file is damaged, or has changed since it was scanned; replace or remove it."
        )
    return channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1)


def _preroll(file: sf.SoundFile, start: int, path: str | Path) -> int:
    """How many samples before ``start`` decoding must begin to be exact from there on."""
    if start == 0:
        return 0
    if file.format == "MP3":
        return min(start, MP3_PREROLL)
    if file.subtype == "OPUS":
        return min(start, OPUS_PREROLL * file.samplerate)
    if file.subtype == "VORBIS":
        return max(0, start - max(0, last_ogg_page(path) - _VORBIS_BLOCK))
    return 0


def blocks(file: sf.SoundFile) -> Iterator[np.ndarray]:
    """The rest of an open file, ``[n, channels]`` at a time."""
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        yield block


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
