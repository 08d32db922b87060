"""Create and open run folders.

A run folder ``<ckpt_path>/<run name>/`` has the checkpoints, metrics, configuration and state of
the code of one run.
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

from semisupcon.errors import ConfigError
from semisupcon.files import sweep, write_text
from semisupcon.locks import folder_lock
from semisupcon.training.processes import is_first_process, job, restarted
from semisupcon.training.run_checkpoints import (
    checkpoints_in,
    given_checkpoint,
    held,
    newest,
    newest_checkpoint,
)

STATE = "run.json"
CONFIG = "run_config.yaml"
METRICS = "metrics.csv"
SEARCHED = (".lr_find_*.ckpt", ".scale_batch_size_*.ckpt")  # temporary files of Lightning's finders
_SHARED_NAME = "SEMISUPCON_RUN_NAME"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A new or resumed run.

    Attributes:
        folder: folder for all files of the run.
        checkpoint: checkpoint that the run continues from; None for a new run.
        state: facts that are stored in run.json, such as the ID of the wandb run.
        content: content of the checkpoint, read when the run was opened.
        read: path, modification time and size of the checkpoint before it was read.
    """

    folder: Path
    checkpoint: Path | None
    state: dict
    content: dict[str, Any] = field(default_factory=dict, repr=False)
    read: tuple | None = None

    def take_content(self) -> dict[str, Any]:
        """Return the content of the checkpoint and remove it from the run, to free its memory."""
        content = dict(self.content)
        self.content.clear()
        return content

    def remember(self, **facts: Any) -> None:
        """Add facts to ``state`` and to run.json."""
        self.state.update(facts)
        write_text(self.folder / STATE, json.dumps(self.state, indent=2) + "\n")


def open_run(
    ckpt_path: str | Path, name: str | None, resume_from: str | None, default_name: str
) -> Run:
    """Open a new or resumed run.

    A requeued SLURM job and processes restarted by torchrun repeat the same command. They continue
    their run, even if the command starts a new run.

    Args:
        ckpt_path: folder of all runs.
        name: name of a new run. None for ``default_name``, followed by the name of the job (SLURM,
            or torchrun with an ID) or by the time.
        resume_from: a checkpoint, a run folder, or ``last`` for the newest readable checkpoint of
            all runs; None for a new run.
        default_name: start of the name of a new run without ``name``.

    Raises:
        CheckpointError: if there is no readable checkpoint to resume.
        ConfigError: if the folder of a new run has another run, or the name is not a folder name.
    """
    ckpt_path = Path(ckpt_path).expanduser()
    if name is not None and (Path(name).name != name or name in (".", "..")):
        raise ConfigError(f"--run_name must be the name of a folder in --ckpt_path, got '{name}'.")
    if resume_from is not None:
        if resume_from == "last":
            found = newest_checkpoint(ckpt_path)
        else:
            found = given_checkpoint(Path(resume_from).expanduser())
        if restarted() and (newer := newest(checkpoints_in(found.parent))):
            found = newer
        return _resumed(found)
    # Lightning launches a process per further device, which gets the name from the environment.
    name = (
        name
        or os.environ.get(_SHARED_NAME)
        or f"{default_name}-{job() or f'{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}'}"
    )
    folder = ckpt_path / name
    os.environ[_SHARED_NAME] = name
    if restarted() and (checkpoint := newest(checkpoints_in(folder))):
        return _resumed(checkpoint)
    run = Run(folder, None, {})
    check_alone(run)
    return run


def _resumed(checkpoint: Path) -> Run:
    stored = checkpoint.parent / STATE
    state = _read_state(stored)
    read = held.identity(checkpoint)
    content = held.take(checkpoint)
    return Run(checkpoint.parent, checkpoint, state, content, read)


def _read_state(path: Path) -> dict[str, Any]:
    """Return the stored facts of a run from its run.json.

    Returns an empty dictionary if the file is missing, or damaged (with a warning).
    """
    if not path.is_file():
        return {}
    try:
        state = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        state = None
    if not isinstance(state, dict):
        log.warning(
            "%s is damaged and is written again. It had the ID of the wandb run, if any: give it "
            "with --resume_id.",
            path,
        )
        return {}
    return state


@contextmanager
def only_process(run: Run, writes: bool = True) -> Iterator[None]:
    """Context manager that locks the run folder against other runs.

    Only the first process of a run takes the lock.

    Args:
        run: run opened by `open_run`.
        writes: whether the run writes files; False takes no lock.

    Raises:
        UserError: if another run writes into the folder, or has written since ``run`` was opened.
    """
    if not (writes and is_first_process()):
        yield
        return
    with folder_lock(run.folder, "run", "choose another --run_name"):
        check_alone(run)  # Check again: another run may have written and ended meanwhile.
        yield


def check_alone(run: Run) -> None:
    """Check that no other run has written into the folder of a run.

    Raises:
        ConfigError: if the folder of a new run has a checkpoint, or if the checkpoint of a resumed
            run has changed since it was read.
    """
    if (
        run.checkpoint is not None
        and is_first_process()
        and run.read != held.identity(run.checkpoint)
    ):
        raise ConfigError(
            f"Another run wrote {run.checkpoint} while this one started.\nRepeat the command."
        )
    if (
        run.checkpoint is None
        and is_first_process()
        and not restarted()
        and checkpoints_in(run.folder)
    ):
        raise ConfigError(
            f"{run.folder} already has a run.\nContinue it with --resume_from_checkpoint "
            f"{run.folder}, or choose another --run_name."
        )


def forget_name() -> None:
    """Forget the name and the checkpoint of the last run, for the next run in this process."""
    os.environ.pop(_SHARED_NAME, None)
    held.drop()


def sweep_run(folder: Path) -> None:
    """Remove partial files of killed processes from a run folder.

    Call it only in the process that writes into the folder.
    """
    for place in (folder, folder / "figures"):
        sweep(place)
    for pattern in SEARCHED:
        for left in folder.glob(pattern):
            left.unlink(missing_ok=True)


def describe_code() -> dict:
    """Return the state of the code: commit, uncommitted changes, command, versions, machine."""

    def git(*command: str) -> str | None:
        try:
            done = subprocess.run(
                ("git", *command),
                capture_output=True,
                text=True,
                timeout=10,
                cwd=Path(__file__).parent,
                check=False,
            )
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
