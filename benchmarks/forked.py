"""Commands in forked processes: everything is imported once, so that starting one takes
milliseconds, and killing one costs no imports."""

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
    """Import what the commands import, so that no forked process has to."""
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
    """A folder laid out like FSDD: noisy tones of half a second at 8 kHz, three digits by two
    speakers."""
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
    """Arguments of a small run; ``a__b=c`` is ``--a.b c``, and ``overlay`` a second
    ``--config``."""
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
    """Run a command in a forked process that leads a group of its own; its number. What it prints
    goes to ``log``."""
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
            # Threads and workers end as they would with the interpreter.
            from semisupcon.data import workers

            workers._end_workers()
        finally:  # Never back into the program that was forked.
            os._exit(status if isinstance(status, int) else 1)


def ended(pid: int, seconds: float) -> int | None:
    """The exit status of a process (negative: its signal) that ends in time; None for one that does
    not."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def left_running(group: int, seconds: float = 15.0) -> bool:
    """Whether processes of a group outlive its leader by more than so many seconds; they are killed
    then."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return False
        time.sleep(0.02)
    os.killpg(group, signal.SIGKILL)
    return True
