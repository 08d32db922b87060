"""Suppress the messages of the mp3 decoder.

Whenever decoding begins in the middle of a file, libmpg123 writes to standard error that a frame
lacks bits. This is harmless, because `semisupcon.audio.decoding` drops the affected samples.
libsndfile has no option to turn the message off.
"""

import contextlib
import os
import re
import threading
from collections.abc import Iterator

_NOTES = re.compile(
    rb"(?:\[src/libmpg123/|\[[^\]\n]*layer3\.c:|Warning: Xing stream size|Note: (?:Illegal Audio-MPEG|Trying to resync|Hit end of))"
    rb"[^\n]*\n?"
)


@contextlib.contextmanager
def without_decoder_notes() -> Iterator[int]:
    """Remove the messages of libmpg123 from standard error in a ``with`` block.

    Yields a file descriptor of the original standard error.
    """
    real, (source, sink) = os.dup(2), os.pipe()
    os.dup2(sink, 2)
    os.close(sink)

    def pass_on() -> None:
        while data := os.read(source, 1 << 16):
            if rest := _NOTES.sub(b"", data):
                os.write(real, rest)

    thread = threading.Thread(target=pass_on, name="stderr", daemon=True)
    thread.start()
    try:
        yield real
    finally:
        os.dup2(real, 2)  # closes the pipe for writing, which ends the thread
        thread.join()
        os.close(source)
        os.close(real)
