"""An open audio file with exact seeking and checks of sample values.

Chained streams of a file are read as one stream. To seek exactly, decoding begins before the target
sample, and the extra samples are dropped. There are three reasons. An mp3 frame uses bits of
earlier frames and overlaps with them. The predictors of Opus converge only after some samples. In
the last page of a Vorbis file, libsndfile (1.2.2) seeks to a wrong block. Formats that cannot seek
(GSM 6.10, G.721) are decoded from the beginning.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf

from semisupcon.audio import values
from semisupcon.audio.containers import last_ogg_page
from semisupcon.errors import AudioError
from semisupcon.paths import system_path

MP3_PREROLL = 18_432  # 16 frames, the length of the bit reservoir at low rates
OPUS_PREROLL = 2  # seconds; the 80 ms of the standard leave errors of 1e-3
_VORBIS_BLOCK = 8192
_DECODED = 1 << 19  # number of samples decoded at once, all channels together


class Sound(sf.SoundFile):
    """A sound file that is read sequentially.

    `soundfile` seeks after each read if a file is seekable, and mp3 decoders are not exact after a
    seek.
    """

    def seekable(self) -> bool:
        """Return False, so that `soundfile` does not seek; see ``can_seek``."""
        return False

    @property
    def can_seek(self) -> bool:
        """Whether decoding can begin in the middle of the file."""
        return super().seekable()


class Part(NamedTuple):
    """One stream of a file: a function that opens it, and its length in samples per channel."""

    open: Callable[[], Sound]
    frames: int


class AudioFile:
    """An open audio file with the interface of `soundfile.SoundFile`.

    Attributes:
        path: the file.
        frames: number of samples per channel that can be decoded.
        samplerate: sample rate in Hz, 1,000 to 768,000.
        channels: number of channels, 1 to 64.
        format: libsndfile's name, such as WAV, FLAC, MP3, ...
        subtype: libsndfile's name, such as PCM_16, FLOAT, VORBIS, ...
        block: number of samples per channel in a block of 2 MiB of float32.
        proved: whether ``frames`` is proved without decoding the end of the file.
    """

    def __init__(self, path: str | Path, parts: list[Part], slack: int = 0, proved: bool = False):
        self.path, self._parts, self._slack, self.proved = path, parts, slack, proved
        self.frames = sum(part.frames for part in parts)
        self._at, self._number, self._inside = 0, -1, 0
        self._file: Sound | None = None
        self._power, self._heard = [0.0, 0.0], False
        self._open(0)
        first = self._present
        self.samplerate, self.channels = first.samplerate, first.channels
        self.format, self.subtype = first.format, first.subtype
        self.block = max(1, _DECODED // self.channels)

    def __enter__(self) -> "AudioFile":
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def tell(self) -> int:
        """Return the position of the next sample to be read."""
        return self._at

    @property
    def silence(self) -> str:
        """Result of `values.silence` for the samples read so far; "" if they are not silent."""
        return "" if self._heard else values.silence(*self._power)

    def seek(self, frame: int) -> int:
        """Move to sample ``frame`` exactly and return this number."""
        begin = 0
        for number, part in enumerate(self._parts):
            if frame < begin + part.frames or number == len(self._parts) - 1:
                break
            begin += part.frames
        if number != self._number:
            self._open(number)
        self._at = frame
        self._seek_inside(frame - begin)
        return frame

    def read(self, frames: int = -1, dtype: str = "float32", always_2d: bool = True) -> np.ndarray:
        """Read the next ``frames`` samples; -1 reads to the end of the file.

        Returns ``[n, channels]``, or ``[n]`` for a mono file if ``always_2d`` is False. n is
        smaller than ``frames`` only at the end of the file.

        Raises:
            AudioError: if decoding ends before the stated length, or sample values are impossible.
        """
        left = max(0, self.frames - self._at)
        wanted = left if frames < 0 else min(frames, left)
        found = [self._read_part(wanted, dtype)]
        while sum(map(len, found)) < wanted and self._number + 1 < len(self._parts):
            self._open(self._number + 1)
            found.append(self._read_part(wanted - sum(map(len, found)), dtype))
        audio = found[0] if len(found) == 1 else np.concatenate(found)
        self._at += len(audio)
        if len(audio) < wanted and self.frames - self._at > self._slack:
            raise unusable(
                self.path,
                f"truncated: {self._at} of {self.frames} samples can be decoded",
            )
        self._judge(audio)
        return audio if always_2d or self.channels > 1 else audio[:, 0]

    def blocks(self, frames: int | None = None) -> Iterator[np.ndarray]:
        """Iterate over the rest of the file, or its next ``frames`` samples, in blocks.

        Blocks are ``[n, channels]`` with n at most ``block``. Raises the errors of `read`.
        """
        left = self.frames - self._at if frames is None else frames
        while left > 0 and len(block := self.read(min(left, self.block))):
            yield block
            left -= len(block)

    def _judge(self, audio: np.ndarray) -> None:
        if problem := values.problem_of(audio):
            raise unusable(self.path, problem)
        if not self._heard and len(audio):
            self._power = [a + b for a, b in zip(self._power, values.power(audio), strict=True)]
            self._heard = not values.silence(*self._power)

    @property
    def _present(self) -> Sound:
        assert self._file is not None  # the file is open
        return self._file

    def _open(self, number: int) -> None:
        self.close()
        self._file, self._number, self._inside = self._parts[number].open(), number, 0

    def _read_part(self, frames: int, dtype: str) -> np.ndarray:
        frames = min(frames, self._parts[self._number].frames - self._inside)
        try:
            audio = self._present.read(max(0, frames), dtype=dtype, always_2d=True)
        except sf.SoundFileError as error:
            raise self._damaged() from error
        self._inside += len(audio)
        return audio

    def _seek_inside(self, frame: int) -> None:
        if frame == self._inside:
            return
        if self._present.can_seek:
            self._inside = frame - self._preroll(frame)
            try:
                self._present.seek(self._inside)
            except sf.SoundFileError as error:
                raise self._damaged() from error
        elif frame < self._inside:
            self._open(self._number)
        while self._inside < frame:
            count = min(self.block, frame - self._inside)
            if not len(self._present.read(count, "float32", always_2d=True)):
                break
            self._inside += count

    def _damaged(self) -> AudioError:
        return unusable(self.path, "truncated or damaged: it cannot be decoded to its end")

    def _preroll(self, frame: int) -> int:
        """Return the number of samples to decode before ``frame``, so that ``frame`` is exact."""
        if self.subtype.startswith("MPEG"):
            return min(frame, MP3_PREROLL)
        if self.subtype == "OPUS":
            return min(frame, OPUS_PREROLL * self.samplerate)
        if self.subtype == "VORBIS" and len(self._parts) == 1:
            return max(0, frame - max(0, last_ogg_page(system_path(self.path)) - _VORBIS_BLOCK))
        return frame if self.subtype == "VORBIS" else 0


def unusable(path: str | Path, problem: str) -> AudioError:
    """Return the error for a file that no command can use."""
    return AudioError(
        f"The audio file cannot be used: {problem}.\nIn: {path}\nReplace or remove it.",
        problem,
    )


def reason(error: Exception) -> str:
    """Return the error message of libsndfile or the system, in lower case without a full stop."""
    text = getattr(error, "error_string", str(error))
    return text.strip().rstrip(".").lower() or "its data are damaged"
