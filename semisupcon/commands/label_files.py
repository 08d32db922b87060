"""Common functions of ``semisupcon predict`` and ``semisupcon tag``: list and embed files."""

from argparse import Namespace
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from semisupcon.commands.in_parts import completed, none_readable, tell_continued, tell_left_out
from semisupcon.embedding import Progress
from semisupcon.embedding.parts import Parts
from semisupcon.labelling.stream import Reading
from semisupcon.labelling.tagger import ROWS, blocks_by_file


def embedded(
    given: Namespace, reading: Reading, files: list[str], plan: dict[str, Any], label: str
) -> Parts | None:
    """Embed files, store the embeddings in parts, and report unreadable files.

    The parts are in the folder of the output file. A repeated command keeps finished parts.

    Args:
        given: parsed options.
        reading: object that reads and embeds files.
        files: audio files, in the order of the parts.
        plan: settings that affect the embeddings.
        label: name of the progress bar.

    Returns:
        The parts, or None after an interruption by the user.

    Raises:
        UserError: if no file can be read, or the existing parts belong to another command.
    """
    kind = reading.device.partition(":")[0]
    plan = plan | {"--batch_size": reading.batch(), "--device": kind}
    parts = Parts(given.out, plan, given.overwrite)
    tell_continued(parts, len(files))
    progress = Progress(len(files), label, parts.done)
    pieces = reading.averages(files[parts.done :], progress)
    written = parts.write(pieces, mean=False, lengths=reading.lengths)
    if not completed(parts, lambda: deque(written, maxlen=0), len(files)):
        return None
    if len(tell_left_out(parts, files)) == len(files):
        raise none_readable(parts, len(files))
    return parts


class Block(NamedTuple):
    """Averages over the segments of a file, or of each of k of its windows.

    Attributes:
        file: name of the file.
        means: ``[k, W]``.
        samples: length of the file.
        first: number of the first window.
        last: whether this is the last block of the file.
    """

    file: str
    means: np.ndarray
    samples: int
    first: int
    last: bool


def blocks_of(parts: Parts, files: list[str]) -> Iterator[Block]:
    """Yield the blocks of every readable file, in order."""
    lengths, first = list(parts.lengths()), 0
    for position, means, last in blocks_by_file(parts.rows(ROWS), parts.sizes(), parts.width):
        yield Block(files[position], means, lengths[position], first, last)
        first = 0 if last else first + len(means)
