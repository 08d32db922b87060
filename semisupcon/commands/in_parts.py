"""Common steps of the commands that embed files in parts: `embed`, `index`, `predict` and `tag`."""

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, cast

from semisupcon.audio.listing import Listing
from semisupcon.embedding.parts import Parts
from semisupcon.errors import UserError

if TYPE_CHECKING:
    from semisupcon.encoders.base import Encoder


def tell(listings: Iterable[Listing]) -> None:
    """Print the files in folders that are left out, with the reasons."""
    for sentence in (s for listing in listings for s in (*listing.warnings(), *listing.notes())):
        print(sentence, file=sys.stderr)


def workers_of(given: Namespace, device: str) -> int:
    """Return the number of threads that decode audio."""
    on_cpu = device.partition(":")[0] == "cpu"
    return given.workers or (2 if on_cpu else min(16, os.cpu_count() or 1))


def load(checkpoint: str, trust: Sequence[str], device: str) -> "Encoder":
    """Load an encoder or a baseline onto a device."""
    from semisupcon.checkpoints import load_encoder
    from semisupcon.probing.baselines import extractor, is_named

    if is_named(checkpoint):
        return extractor(checkpoint).to(device)
    return cast("Encoder", load_encoder(checkpoint, trust).to(device))


def check_task(encoder: "Encoder", task: str | None) -> None:
    """Check ``--task``.

    Raises:
        UserError: if the encoder has no such task.
    """
    if task is not None and task not in encoder.tasks:
        raise UserError(
            f"The encoder has no task '{task}'; it has: {', '.join(encoder.tasks) or 'none'}."
        )


def tell_continued(parts: Parts, total: int) -> None:
    """Print how many of ``total`` files an earlier, interrupted command has embedded, if any."""
    if parts.done:
        print(f"continuing {parts.folder}: {parts.done} of {total} files are done", file=sys.stderr)


def completed(parts: Parts, work: Callable[[], object], total: int) -> bool:
    """Run the work that writes parts; return False if the user interrupts it.

    After an interruption, the parts stay for the next command. After a UserError, they are removed
    if none is finished.

    Args:
        parts: the parts.
        work: writes them.
        total: number of files.
    """
    try:
        work()
    except KeyboardInterrupt:
        print(
            f"interrupted; the same command continues after {parts.done} of {total} files",
            file=sys.stderr,
        )
        return False
    except UserError:
        if not parts.finished:
            parts.remove()
        raise
    return True


def tell_left_out(parts: Parts, files: Sequence[str]) -> dict[int, str]:
    """Print the files that could not be read, and return their positions and problems."""
    problems = parts.problems()
    for position, problem in problems.items():
        print(f"left out {files[position]}: {problem}", file=sys.stderr)
    return problems


def none_readable(parts: Parts, total: int) -> UserError:
    """Remove the parts, and return the error that none of ``total`` files can be read."""
    parts.remove()
    return UserError(f"None of the {total} files can be read as audio.")
