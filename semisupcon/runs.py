"""Run folders: ``<ckpt_path>/<run name>/`` holds checkpoints, metrics, the resolved configuration and where the code stood.

The folder of a run is also how it is found again: ``last`` means the newest complete checkpoint of the newest run.
"""

import json
import logging
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from semisupcon.checkpoints import LAST, read_checkpoint
from semisupcon.errors import CheckpointError, ConfigError

STATE = "run.json"
CONFIG = "run_config.yaml"
METRICS = "metrics.csv"
_SHARED_NAME = "SEMISUPCON_RUN_NAME"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A run, new or resumed.

    Attributes:
        folder: where everything of the run goes.
        checkpoint: the checkpoint to continue from; None for a new run.
        state: plain facts that outlive the process (the id of the wandb run).
    """

    folder: Path
    checkpoint: Path | None
    state: dict

    def remember(self, **facts) -> None:
        """Add to the stored facts of the run."""
        self.state.update(facts)
        write_atomically(self.folder / STATE, json.dumps(self.state, indent=2) + "\n")


def write_atomically(path: Path, text: str) -> None:
    """Write a small text file so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text)
    partial.replace(path)


def open_run(ckpt_path: str | Path, name: str | None, resume_from: str | None, default_name: str) -> Run:
    """The run to work in.

    Args:
        ckpt_path: the folder of runs.
        name: of a new run; None makes one of ``default_name`` and the time.
        resume_from: a checkpoint, a run folder, ``last``, or None for a new run.

    Raises:
        CheckpointError: when there is nothing to resume, or what there is cannot be read.
        ConfigError: when a new run would land in the folder of another.
    """
    ckpt_path = Path(ckpt_path)
    if resume_from is not None:
        checkpoint = newest_checkpoint(ckpt_path) if resume_from == "last" else _given_checkpoint(Path(resume_from))
        folder = checkpoint.parent
        state = json.loads((folder / STATE).read_text()) if (folder / STATE).is_file() else {}
        return Run(folder, checkpoint, state)
    # Processes that Lightning starts for further devices inherit the name, whatever their clock says.
    name = name or os.environ.get(_SHARED_NAME) or f"{default_name}-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}"
    folder = ckpt_path / name
    if is_first_process() and (folder / LAST).is_file():
        raise ConfigError(
            f"{folder} already holds a run.\nContinue it with --resume_from_checkpoint {folder}, or choose another --run_name."
        )
    os.environ[_SHARED_NAME] = name
    return Run(folder, None, {})


def forget_name() -> None:
    """Let the next run in this process choose a name of its own."""
    os.environ.pop(_SHARED_NAME, None)


def is_first_process() -> bool:
    """Whether this is the process that writes: rank 0, by the variables of torchrun, SLURM or Lightning's launcher."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


def _given_checkpoint(path: Path) -> Path:
    path = path / LAST if path.is_dir() else path
    if not path.is_file():
        raise CheckpointError(f"No checkpoint at {path}.\nGive a .ckpt file, a run folder that holds {LAST}, or the word last.")
    return path


def newest_checkpoint(ckpt_path: Path) -> Path:
    """The last checkpoint of the newest run below ``ckpt_path`` that can be read whole.

    Raises:
        CheckpointError: when no run there has one.
    """
    found = sorted(ckpt_path.glob(f"*/{LAST}"), key=lambda p: p.stat().st_mtime, reverse=True)
    for path in found:
        try:
            read_checkpoint(path)
        except CheckpointError as error:
            log.warning("Skipped %s", error)
            continue
        return path
    raise CheckpointError(f"Nothing to resume: no run with a {LAST} below {ckpt_path}.\nGive --ckpt_path, or a checkpoint by its path.")


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
