"""Samples of clips that are encoded audio inside other files."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch

from semisupcon.audio.contents import Range, examine_content, read_content
from semisupcon.audio.reading import read_spans
from semisupcon.audio.scan import FileFacts, examine, scan_items
from semisupcon.errors import AudioError, first_line

# Encoded audio, a part of a file that holds it, or the path of a file.
Content = bytes | Range | str


class ContentAudio:
    """Reads the samples of clips whose encoded audio a function returns.

    Args:
        rows: table with the columns ``record``, ``frames`` and ``name``.
        stamps: text for each record that changes with its content.
        fetch: function from the number of a record to its encoded audio, or to the path of its
            file. It runs in worker processes, so it must be possible to pickle it.
    """

    dtype = torch.float32

    def __init__(self, rows: pd.DataFrame, stamps: Sequence[str], fetch: Callable[[int], Content]):
        self.records = rows["record"].to_numpy(np.int64)
        self.frames = rows["frames"].to_numpy(np.int64)
        # Reading an array, unlike a list, changes no reference counts: forked workers share it.
        self.names = np.array([str(name).encode() for name in rows["name"]])
        self.stamps = np.array([stamps[record].encode() for record in self.records])
        self.fetch = fetch

    def spans(self, row: int, spans: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Return mono float32 samples of spans ``(start, frames)`` at the rate of the clip.

        Raises the errors of `semisupcon.audio.reading.read`.
        """
        content, length = self.fetch(int(self.records[row])), int(self.frames[row])
        if isinstance(content, str):
            return read_spans(content, spans, length)[0]
        name, stamp = self.name(row), f"{self.name(row)} {self.stamps[row].decode()}"
        try:
            return read_content(content, stamp, name, spans, length)
        except OSError as error:
            raise AudioError(f"{name} cannot be read ({error.strerror or error}).") from error

    def name(self, row: int) -> str:
        """Return the name of the clip in a row, for messages."""
        return self.names[row].decode()


def scan_contents(
    names: Sequence[str], stamps: Sequence[str], where: str, fetch: Callable[[int], Content]
) -> pd.DataFrame:
    """Check the encoded audio of all records; the arguments are those of `ContentAudio`.

    Results are cached by name and stamp, as for files. See `semisupcon.audio.scan.scan_items`.
    """
    numbers = {name: number for number, name in enumerate(names)}

    def examined(name: str) -> FileFacts:
        number = numbers[name]
        try:
            content = fetch(number)
            content = content.read() if isinstance(content, Range) else content
        except (AudioError, OSError) as error:
            problem = getattr(error, "problem", "")
            return FileFacts(0, 0, 0, problem or first_line(error, 200))
        if isinstance(content, str):
            return examine(content)
        if not content:
            return FileFacts(0, 0, 0, "no audio")
        return examine_content(content, f"{name} {stamps[number]}")

    return scan_items(names, stamps, where, examined)
