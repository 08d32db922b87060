"""Run folders: ``<ckpt_path>/<run name>/`` holds checkpoints, metrics, the resolved configuration and where the code stood.

The folder of a run is also how it is found again: ``last`` means the newest complete checkpoint of the newest run.
"""

import json
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from semisupcon.checkpoints import LAST, REQUEUED, read_checkpoint
from semisupcon.errors import CheckpointError, ConfigError
from semisupcon.files import sweep, write_text
from semisupcon.locks import folder_lock
from semisupcon.training.processes import is_first_process, job, restarted

STATE = "run.json"
CONFIG = "run_config.yaml"
METRICS = "metrics.csv"
SEARCHED = (".lr_find_*.ckpt", ".scale_batch_size_*.ckpt")  # of Lightning's finders, while they search
_SHARED_NAME = "SEMISUPCON_RUN_NAME"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A run, new or resumed.

    Attributes:
        folder: where everything of the run goes.
        checkpoint: the checkpoint to continue from; None for a new run.
        state: plain facts that outlive the process (the id of the wandb run).
        content: of the checkpoint, as it was read when the run was opened.
        read: path, time of change and size of the checkpoint before it was read.
    """

    folder: Path
    checkpoint: Path | None
    state: dict
    content: dict[str, Any] = field(default_factory=dict, repr=False)
    read: tuple | None = None

    def take_content(self) -> dict[str, Any]:
        """The content of the checkpoint, for who needs it last: it is not kept during training."""
        content = dict(self.content)
        self.content.clear()
        return content

    def remember(self, **facts: Any) -> None:
        """Add to the stored facts of the run."""
        self.state.update(facts)
        write_text(self.folder / STATE, json.dumps(self.state, indent=2) + "\n")


def open_run(ckpt_path: str | Path, name: str | None, resume_from: str | None, default_name: str) -> Run:
    """The run to work in.

    A job that SLURM has requeued, or processes that torchrun has restarted, run the same command again: they continue where the run they
    began stands, whatever the command says of new or resumed.

    Args:
        ckpt_path: the folder of runs.
        name: of a new run; None makes one of ``default_name`` and the job (under SLURM or torchrun with an id) or the time.
        resume_from: a checkpoint, a run folder, ``last``, or None for a new run.

    Raises:
        CheckpointError: when there is nothing to resume, or what there is cannot be read.
        ConfigError: when a new run would land in the folder of another.
    """
    ckpt_path = Path(ckpt_path).expanduser()
    if name is not None and (Path(name).name != name or name in (".", "..")):
        raise ConfigError(f"--run_name is the name of a folder below --ckpt_path, got '{name}'.")
    if resume_from is not None:
        if resume_from == "last":
            found = newest_checkpoint(ckpt_path)
        else:
            found = _given_checkpoint(Path(resume_from).expanduser())
        if restarted() and (newer := _newest(_resumable(found.parent))):
            found = newer
        return _resumed(found)
    # Processes that Lightning starts for further devices inherit the name, whatever their clock says.
    name = name or os.environ.get(_SHARED_NAME) or f"{default_name}-{job() or f'{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}'}"
    folder = ckpt_path / name
    os.environ[_SHARED_NAME] = name
    if restarted() and (checkpoint := _newest(_resumable(folder))):
        return _resumed(checkpoint)
    run = Run(folder, None, {})
    check_alone(run)
    return run


def _resumed(checkpoint: Path) -> Run:
    stored = checkpoint.parent / STATE
    state = _read_state(stored)
    read = _held._identity(checkpoint)
    content = _held.take(checkpoint)
    return Run(checkpoint.parent, checkpoint, state, content, read)


def _read_state(path: Path) -> dict[str, Any]:
    """The stored facts of a run; none where the file is missing or damaged, which the log says."""
    if not path.is_file():
        return {}
    try:
        state = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        state = None
    if not isinstance(state, dict):
        log.warning("%s is damaged and is written anew; the id of a wandb run is lost with it (--resume_id gives it).", path)
        return {}
    return state


class _Held:
    """The checkpoint that was read last, so that a resume reads its file once and not for every question about it."""

    def __init__(self) -> None:
        self._key: tuple | None = None
        self._content: dict[str, Any] = {}

    def read(self, path: Path) -> None:
        """Read a checkpoint whole, unless it is the one that is held.

        Raises:
            CheckpointError: as `read_checkpoint`.
        """
        if self._key != (key := self._identity(path)):
            self._key, self._content = None, {}
            self._content = read_checkpoint(path)
            self._key = key

    def take(self, path: Path) -> dict[str, Any]:
        """The content of a checkpoint; it is not held any longer."""
        self.read(path)
        content, self._key, self._content = self._content, None, {}
        return content

    def drop(self) -> None:
        """Free the memory."""
        self._key, self._content = None, {}

    @staticmethod
    def _identity(path: Path) -> tuple | None:
        if not path.is_file():
            return (path.absolute(), None)
        facts = path.stat()
        return (path.absolute(), facts.st_mtime_ns, facts.st_size)


_held = _Held()


@contextmanager
def only_process(run: Run, writes: bool = True) -> Iterator[None]:
    """Be the only run that writes its folder, for as long as the block lasts; only the first process of a run takes the lock.

    Args:
        run: as `open_run` gave it.
        writes: whether the run writes anything.

    Raises:
        UserError: if another run writes there, saying which process that is, or did since the run was opened.
    """
    if not (writes and is_first_process()):
        yield
        return
    with folder_lock(run.folder, "run", "choose another --run_name"):
        check_alone(run)  # Again: one that has ended meanwhile no longer holds the lock.
        yield


def check_alone(run: Run) -> None:
    """Refuse to begin a run where a checkpoint of another lies, or to continue one that has gone on since its checkpoint was read.

    Raises:
        ConfigError: naming the folder.
    """
    if run.checkpoint is not None and is_first_process() and run.read != _held._identity(run.checkpoint):
        raise ConfigError(f"{run.checkpoint} has been written by another run while this one began.\nGive the command again.")
    if run.checkpoint is None and is_first_process() and not restarted() and _resumable(run.folder):
        raise ConfigError(
            f"{run.folder} already holds a run.\nContinue it with --resume_from_checkpoint {run.folder}, or choose another --run_name."
        )


def forget_name() -> None:
    """Let the next run in this process choose a name of its own, and hold no checkpoint."""
    os.environ.pop(_SHARED_NAME, None)
    _held.drop()


def sweep_run(folder: Path) -> None:
    """Remove the partial files that a killed process has left in a run; only for the process that writes the run."""
    for place in (folder, folder / "figures"):
        sweep(place)
    for pattern in SEARCHED:
        for left in folder.glob(pattern):
            left.unlink(missing_ok=True)


def _given_checkpoint(path: Path) -> Path:
    if path.is_dir() and (found := _newest(_resumable(path))):
        return found
    if not path.is_file():
        raise CheckpointError(f"No checkpoint at {path}.\nGive a .ckpt file, a run folder that holds {LAST}, or the word last.")
    return path


def newest_checkpoint(ckpt_path: Path) -> Path:
    """The newest checkpoint that can be read whole, of all runs below ``ckpt_path``.

    Raises:
        CheckpointError: when no run there has one.
    """
    if found := _newest([path for folder in ckpt_path.glob("*/") for path in _resumable(folder)]):
        return found
    raise CheckpointError(f"Nothing to resume: no run with a {LAST} below {ckpt_path}.\nGive --ckpt_path, or a checkpoint by its path.")


def _resumable(folder: Path) -> list[Path]:
    """``last.ckpt``, and what Lightning saves when it requeues a job of SLURM."""
    return [path for pattern in (LAST, REQUEUED) for path in folder.glob(pattern)]


def _newest(paths: list[Path]) -> Path | None:
    """The newest that can be read whole."""
    for path in sorted(paths, key=lambda p: p.stat().st_mtime_ns, reverse=True):
        try:
            _held.read(path)
        except CheckpointError as error:
            log.warning("Skipped %s", error)
            continue
        return path
    return None


def describe_code() -> dict:
    """Where the code stood: commit and whether files were changed, command, versions."""

    def git(*command: str) -> str | None:
        try:
            done = subprocess.run(("git", *command), capture_output=True, text=True, timeout=10, cwd=Path(__file__).parent, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    import torch

    changes = git("status", "--porcelain")
    return {
        "commit": git("rev-parse", "HEAD"),
        "uncommitted_changes": None if changes is None else changes.splitlines(),
        "command": sys.argv,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": platform.platform(),
    }
