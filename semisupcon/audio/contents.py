"""Read encoded audio that is part of another file, such as a member of an archive.

The content is put into an anonymous file in memory. It is then read like any other file, so that
damaged files, rare formats and wrong lengths are treated the same way everywhere.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from semisupcon.audio.reading import read_spans
from semisupcon.audio.scan import FileFacts, examine
from semisupcon.errors import AudioError
from semisupcon.files import atomic_open
from semisupcon.random import stable_hash


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
    content: bytes,
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
    """
    with as_file(content, stamp) as path:
        try:
            return read_spans(path, spans, length)[0]
        except AudioError as error:
            raise AudioError(str(error).replace(path, name), error.problem) from error


__all__ = ["as_file", "examine_content", "read_content"]
