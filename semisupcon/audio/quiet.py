"""Silence the messages of the mp3 decoder.

libmpg123 writes to standard error that a frame lacks bits whenever decoding begins in the middle of
a file. This is expected (those samples are dropped, see `semisupcon.audio.reading`), and libsndfile
has no option to turn the message off.
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
    """Forward standard error without libmpg123's messages; yields a descriptor of the real one."""
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
        os.dup2(real, 2)  # closes the last writer, which ends the thread
        thread.join()
        os.close(source)
        os.close(real)
