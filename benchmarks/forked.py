"""Run commands in forked processes, so that a start takes milliseconds.

All modules are imported once before the first fork.
"""

import importlib
import itertools
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = {
    "config": ROOT / "config" / "pretraining" / "pretrain_smsl.yaml",
    "model.encoder": "SampleCNNSmall",
    "model.encoder.widths": [8, 8, 64],
    "model.encoder.stem": 9,
    "model.encoder.sample_rate": 8000,
    "data.sl_task": "fsdd_digit",
    "data.target_sample_rate": 8000,
    "data.target_length": 0.2,
    "data.batch_size": 4,
    "data.num_workers": 0,
    "data.val_split": 0.2,
    "data.aug_list": ["gain", "add_colored_noise"],
    "trainer.accelerator": "cpu",
    "trainer.max_epochs": -1,
    "trainer.log_every_n_steps": 1,
    "trainer.check_val_every_n_epoch": "null",
    "trainer.val_check_interval": 3,
    "trainer.enable_progress_bar": "false",
    "draw_every": 0,
}


def import_commands() -> None:
    """Import all modules that the commands use, so that forked processes need no imports."""
    from semisupcon.__main__ import COMMANDS

    slow = (
        "litdata.streaming.writer",
        "litdata.streaming.temporal",
        "matplotlib.pyplot",
        "sklearn.manifold",
        "sklearn.linear_model",
    )
    own = ("semisupcon.probing.suite", "semisupcon.probing.report.write", "semisupcon.plots")
    for module in (*(module for module, _ in COMMANDS.values()), *own, *slow):
        importlib.import_module(module)


def make_clips(root: Path, repetitions: int = 10) -> Path:
    """Write a data set with the file names of FSDD, and return its folder.

    The clips are noisy tones of half a second at 8 kHz, for three digits and two speakers.
    """
    (root / "recordings").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for digit, speaker, repetition in itertools.product(
        range(3), ("ann", "bob"), range(repetitions)
    ):
        tone = np.sin(2 * np.pi * (300 + 200 * digit) * np.arange(4000) / 8000)
        audio = 0.3 * tone + 0.05 * rng.standard_normal(4000)
        soundfile.write(root / "recordings" / f"{digit}_{speaker}_{repetition}.wav", audio, 8000)
    return root


def training(data: Path, runs: Path, **more: object) -> list[str]:
    """Return the command line of a small training run.

    Args:
        data: folder of the clips.
        runs: folder of all runs.
        more: further options: ``a__b=c`` gives ``--a.b c``, and ``overlay`` is a second
            ``--config``.
    """
    given = {
        **OPTIONS,
        "data.data_dir": data,
        "ckpt_path": runs,
        **{k.replace("__", "."): v for k, v in more.items()},
    }
    overlay = ("--config", str(given.pop("overlay"))) if "overlay" in given else ()
    arguments = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    return ["pretrain", *arguments[:2], *overlay, *arguments[2:]]


def start(
    args: list[str],
    log: Path,
    environment: Mapping[str, str] = {},
    before: Callable[[], object] | None = None,
) -> int:
    """Start a command in a forked process with a new process group.

    Args:
        args: command line.
        log: file to which the output is appended.
        environment: environment variables to set in the process.
        before: function to call in the process before the command.

    Returns:
        ID of the process.
    """
    from semisupcon.__main__ import main

    sys.stdout.flush()
    if pid := os.fork():
        os.setpgid(pid, pid)
        return pid
    status = 1
    try:
        os.setpgid(0, 0)
        with log.open("ab") as file:
            for descriptor in (1, 2):
                os.dup2(file.fileno(), descriptor)
        sys.stdout, sys.stderr = (open(n, "w", buffering=1, closefd=False) for n in (1, 2))  # noqa: SIM115
        os.environ.update(environment)
        if before is not None:
            before()
        status = main(args)
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            # End threads and workers, which os._exit would not do.
            from semisupcon.data import workers

            workers._end_workers()
        finally:  # Do not return into the code of the parent process.
            os._exit(status if isinstance(status, int) else 1)


def ended(pid: int, seconds: float) -> int | None:
    """Wait for the end of a process.

    Returns its exit status (negative: number of the signal that ended it), or None if it does not
    end within ``seconds``.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def left_running(group: int, seconds: float = 15.0) -> bool:
    """Return whether processes of a group still run after ``seconds``; they are then killed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return False
        time.sleep(0.02)
    os.killpg(group, signal.SIGKILL)
    return True
