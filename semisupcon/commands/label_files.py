"""Common functions of ``semisupcon predict`` and ``semisupcon tag``: list and embed files."""

import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from semisupcon.audio.listing import Listing
from semisupcon.embedding import Progress
from semisupcon.embedding.parts import Parts
from semisupcon.errors import UserError
from semisupcon.labelling.stream import Reading
from semisupcon.labelling.tagger import ROWS, blocks_by_file


def tell(listings: Iterable[Listing]) -> None:
    """Print the files in folders that are left out, with the reasons."""
    for sentence in (s for listing in listings for s in (*listing.warnings(), *listing.notes())):
        print(sentence, file=sys.stderr)


def workers_of(given: Namespace, device: str) -> int:
    """Return the number of threads that decode audio."""
    on_cpu = device.partition(":")[0] == "cpu"
    return given.workers or (2 if on_cpu else min(16, os.cpu_count() or 1))


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
    if parts.done:
        told = f"continuing {parts.folder}: {parts.done} of {len(files)} files are done"
        print(told, file=sys.stderr)
    progress = Progress(len(files), label, parts.done)
    pieces = reading.averages(files[parts.done :], progress)
    try:
        for _ in parts.write(pieces, mean=False, lengths=reading.lengths):
            pass
    except KeyboardInterrupt:
        print(
            f"interrupted; the same command continues after {parts.done} of {len(files)} files",
            file=sys.stderr,
        )
        return None
    except UserError:
        if not parts.finished:
            parts.remove()
        raise
    problems = parts.problems()
    for position, problem in problems.items():
        print(f"left out {files[position]}: {problem}", file=sys.stderr)
    if len(problems) == len(files):
        parts.remove()
        raise UserError(f"None of the {len(files)} files can be read as audio.")
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
