"""Find the checkpoint that a run resumes, and read it only once."""

import logging
from pathlib import Path
from typing import Any

from semisupcon.checkpoints import LAST, REQUEUED, read_checkpoint
from semisupcon.errors import CheckpointError

log = logging.getLogger(__name__)


class Held:
    """Cache of the checkpoint that was read last.

    Resuming first searches for a readable checkpoint and then loads it; the cache avoids the second
    read.
    """

    def __init__(self) -> None:
        self._key: tuple | None = None
        self._content: dict[str, Any] = {}

    def read(self, path: Path) -> None:
        """Read a checkpoint into the cache, unless it is already there.

        Raises:
            CheckpointError: if the file cannot be read as a checkpoint.
        """
        if self._key != (key := self.identity(path)):
            self._key, self._content = None, {}
            self._content = read_checkpoint(path)
            self._key = key

    def take(self, path: Path) -> dict[str, Any]:
        """Return the content of a checkpoint and remove it from the cache."""
        self.read(path)
        content, self._key, self._content = self._content, None, {}
        return content

    def drop(self) -> None:
        """Empty the cache, to free its memory."""
        self._key, self._content = None, {}

    @staticmethod
    def identity(path: Path) -> tuple:
        """Return path, modification time and size of a checkpoint; they change with the file."""
        if not path.is_file():
            return (path.absolute(), None)
        facts = path.stat()
        return (path.absolute(), facts.st_mtime_ns, facts.st_size)


held = Held()


def given_checkpoint(path: Path) -> Path:
    """Return ``path``, or the newest readable checkpoint if ``path`` is a run folder.

    Raises:
        CheckpointError: if there is no checkpoint at ``path``.
    """
    if path.is_dir() and (found := newest(checkpoints_in(path))):
        return found
    if not path.is_file():
        raise CheckpointError(
            f"No checkpoint at {path}.\nGive a .ckpt file, a run folder with a {LAST}, or the word "
            "last."
        )
    return path


def newest_checkpoint(ckpt_path: Path) -> Path:
    """Return the newest readable checkpoint of all runs in ``ckpt_path``.

    Raises:
        CheckpointError: if no run has a readable checkpoint.
    """
    if found := newest(
        [path for folder in ckpt_path.glob("*/") for path in checkpoints_in(folder)]
    ):
        return found
    raise CheckpointError(
        f"Nothing to resume: no run with a {LAST} below {ckpt_path}.\nGive --ckpt_path, or a "
        "checkpoint by its path."
    )


def checkpoints_in(folder: Path) -> list[Path]:
    """List ``last.ckpt`` and the checkpoints that Lightning saves when it requeues a SLURM job."""
    return [path for pattern in (LAST, REQUEUED) for path in folder.glob(pattern)]


def newest(paths: list[Path]) -> Path | None:
    """Return the newest readable checkpoint among paths, or None if none is readable."""
    for path in sorted(paths, key=lambda p: p.stat().st_mtime_ns, reverse=True):
        try:
            held.read(path)
        except CheckpointError as error:
            log.warning("Skipped %s", error)
            continue
        return path
    return None
