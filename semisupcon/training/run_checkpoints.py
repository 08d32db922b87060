"""The checkpoint that a run resumes: finding it among the run folders, and reading it once."""

import logging
from pathlib import Path
from typing import Any

from semisupcon.checkpoints import LAST, REQUEUED, read_checkpoint
from semisupcon.errors import CheckpointError

log = logging.getLogger(__name__)


class Held:
    """The checkpoint read last, so that a resume reads its file only once."""

    def __init__(self) -> None:
        self._key: tuple | None = None
        self._content: dict[str, Any] = {}

    def read(self, path: Path) -> None:
        """Read a complete checkpoint, unless it is already held.

        Raises:
            CheckpointError: as in `read_checkpoint`.
        """
        if self._key != (key := self.identity(path)):
            self._key, self._content = None, {}
            self._content = read_checkpoint(path)
            self._key = key

    def take(self, path: Path) -> dict[str, Any]:
        """Return the content of a checkpoint and release it."""
        self.read(path)
        content, self._key, self._content = self._content, None, {}
        return content

    def drop(self) -> None:
        """Free the memory."""
        self._key, self._content = None, {}

    @staticmethod
    def identity(path: Path) -> tuple:
        """Path, modification time and size of a checkpoint; they change when it is written."""
        if not path.is_file():
            return (path.absolute(), None)
        facts = path.stat()
        return (path.absolute(), facts.st_mtime_ns, facts.st_size)


held = Held()


def given_checkpoint(path: Path) -> Path:
    """A checkpoint by its path, or the newest readable one of a run folder.

    Raises:
        CheckpointError: if there is none.
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
    """The newest readable checkpoint of all runs in ``ckpt_path``.

    Raises:
        CheckpointError: if there is none.
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
    """``last.ckpt`` and the checkpoint that Lightning saves when it requeues a SLURM job."""
    return [path for pattern in (LAST, REQUEUED) for path in folder.glob(pattern)]


def newest(paths: list[Path]) -> Path | None:
    """The newest readable checkpoint, or None."""
    for path in sorted(paths, key=lambda p: p.stat().st_mtime_ns, reverse=True):
        try:
            held.read(path)
        except CheckpointError as error:
            log.warning("Skipped %s", error)
            continue
        return path
    return None
