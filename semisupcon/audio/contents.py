"""Read encoded audio that is part of another file, such as a member of an archive.

To check a content, it is put into an anonymous file in memory and read like any other file, so that
damaged files, rare formats and wrong lengths are treated the same way everywhere. To read spans of a
content of known length, libsndfile reads it in place if it finds this length; otherwise it is read
like a file, too.
"""

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf

from semisupcon.audio.decoding import AudioFile, Part, Sound
from semisupcon.audio.reading import read_spans, spans_from
from semisupcon.audio.scan import FileFacts, examine
from semisupcon.audio.streams import stream_of
from semisupcon.errors import AudioError
from semisupcon.files import atomic_open
from semisupcon.random import stable_hash


class Range(NamedTuple):
    """Encoded audio that is the bytes from ``start`` to ``stop`` of a file."""

    path: str
    start: int
    stop: int

    def read(self) -> bytes:
        """Return the bytes; raise an OSError if the file cannot be read."""
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self.start)
            return file.read(self.stop - self.start)


@contextlib.contextmanager
def as_file(content: bytes, stamp: str) -> Iterator[str]:
    """Provide the path of a temporary file with a content.

    Args:
        content: encoded audio, in any format of libsndfile.
        stamp: text that identifies the content. Contents with equal stamps are equal, because what
            is known about a file is cached by its modification time, which the stamp determines.
    """
    changed = stable_hash(stamp) % (1 << 60)
    if not hasattr(os, "memfd_create"):  # outside Linux
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "audio"
            with atomic_open(path, "wb") as file:
                file.write(content)
            os.utime(path, ns=(changed, changed))
            yield str(path)
        return
    handle = os.memfd_create("audio")
    try:
        left = memoryview(content)
        while len(left):
            left = left[os.write(handle, left) :]
        os.utime(handle, ns=(changed, changed))
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


def examine_content(content: bytes, stamp: str) -> FileFacts:
    """Check encoded audio as `semisupcon.audio.scan.examine` checks a file."""
    with as_file(content, stamp) as path:
        return examine(path)


def read_content(
    content: bytes | Range,
    stamp: str,
    name: str,
    spans: Sequence[tuple[int, int]],
    length: int | None = None,
) -> list[np.ndarray]:
    """Read spans ``(start, frames)`` of encoded audio as mono float32 at its own sample rate.

    Args:
        content: encoded audio.
        stamp: text that identifies the content, see `as_file`.
        name: name for messages.
        spans: first sample and number of samples of each span.
        length: length in samples from an earlier check.

    Raises:
        AudioError: for the reasons given in `semisupcon.audio.reading.read`.
        OSError: if the file of a `Range` cannot be read.
    """
    if length is not None and (found := _in_place(content, name, spans, length)) is not None:
        return found
    held = content if isinstance(content, bytes) else content.read()
    with as_file(held, stamp) as path:
        try:
            return read_spans(path, spans, length)[0]
        except AudioError as error:
            raise AudioError(str(error).replace(path, name), error.problem) from error


def _in_place(
    content: bytes | Range, name: str, spans: Sequence[tuple[int, int]], length: int
) -> list[np.ndarray] | None:
    """Read spans with libsndfile alone; return None if it does not know the length, or fails.

    This is the case for contents that need more care. Seeking in Vorbis needs a file.
    """
    try:
        sound = _sound(content)
        if sound.frames != length or sound.subtype == "VORBIS":
            sound.close()
            return None
        held = [sound]
        part = Part(lambda: held.pop() if held else _sound(content), length)
        with AudioFile(name, [part]) as file:
            return spans_from(file, spans)
    except (sf.SoundFileError, AudioError):
        return None


def _sound(content: bytes | Range) -> Sound:
    if isinstance(content, bytes):
        return Sound(io.BytesIO(content))
    return Sound(stream_of(content.path, [(content.start, content.stop)]))


__all__ = ["Range", "as_file", "examine_content", "read_content"]
