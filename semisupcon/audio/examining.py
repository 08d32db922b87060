"""Check one audio file: is it readable to its end, and is there a sound?

The header and the last samples are decoded (missing in a truncated file; the size of a wav file with
PCM proves its length), and a sound is looked for, in the end or in the beginning. In float files the
values of all samples are checked.
"""

from typing import NamedTuple

from semisupcon.audio.decoding import AudioFile
from semisupcon.audio.opening import open_audio
from semisupcon.errors import AudioError

_TAIL = 4096
# Samples of a mono file in which sound is first looked for. With several channels it is a second,
# because opposite phase shows only in more samples.
_FIRST = 4096
_SHORT = 16_384  # samples; in longer files, seeking is faster than decoding
_ANY_VALUE = ("FLOAT", "DOUBLE")


class FileFacts(NamedTuple):
    """Result of checking one file.

    ``frames`` is the number of decodable samples per channel, ``sample_rate`` is in Hz. ``problem``
    is the reason why the file cannot be used, "" for a usable file.
    """

    frames: int
    sample_rate: int
    channels: int
    problem: str


def examine(path: str) -> FileFacts:
    """Check one file. Problems of the file are returned and do not raise errors."""
    frames = rate = channels = 0
    try:
        with open_audio(path) as file:
            frames, rate, channels = file.frames, file.samplerate, file.channels
            if file.subtype in _ANY_VALUE:
                for _ in file.blocks():
                    pass
            else:
                frames = _heard(file)
            return FileFacts(frames, rate, channels, file.silence)
    except AudioError as error:
        return FileFacts(frames, rate, channels, error.problem)


def _heard(file: AudioFile) -> int:
    """Return the number of decodable samples per channel, and listen for a sound."""
    if file.proved:
        _listen(file)
        return file.frames
    # Of several channels, the beginning tells more about opposite phase than a short end.
    begins = file.channels > 1 or file.frames <= _SHORT
    if begins:
        _listen(file)
    frames = _decodable(file)
    if not begins and file.silence:
        file.seek(0)
        _listen(file)
    return frames


def _listen(file: AudioFile) -> None:
    """Read a file from its position until it is audible, in blocks that grow."""
    count = _FIRST if file.channels == 1 else file.samplerate
    while len(file.read(min(count, file.block))) and file.silence:
        count *= 4


def _decodable(file: AudioFile) -> int:
    """Return the number of decodable samples per channel.

    A few missing samples at the end are tolerated. More raise an AudioError.
    """
    end = max(0, file.frames - _TAIL)
    if file.tell() < end:
        file.seek(end)
    while file.tell() < file.frames and len(file.read(_TAIL)):
        pass
    return file.tell()
