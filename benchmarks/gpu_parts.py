"""Parts of `benchmarks.gpu` whose time is not measured: tests, resuming, a minute of training."""

import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.gpu_peers import Setting
from benchmarks.learning import PROBES, QUIET, difference
from benchmarks.recipes import ROOT, pretrain, probe

RESUMED = ("pretrain_smsl", "mtslvr/split_simclr")
TRAINED = "pretrain_smsl"
PRETRAIN = (sys.executable, "pretrain.py")


def side_by_side(
    commands: Sequence[Sequence[str]], setting: Setting, fine: tuple[int, ...] = (0,)
) -> list[str]:
    """Run commands at the same time in the root folder of the repository.

    Args:
        commands: the command lines.
        setting: settings of the benchmark.
        fine: allowed exit statuses.

    Returns:
        Output of each command.

    Raises:
        RuntimeError: if a command ends with another status, with the end of its output.
    """
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    own = {"PYTHONPATH": paths, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    files = [setting.folder / f"output-{os.urandom(4).hex()}" for _ in commands]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for command, file in zip(commands, files, strict=True):
            with file.open("wb") as output:
                more = {"cwd": ROOT, "env": os.environ | own, "stdout": output, "stderr": output}
                running.append(subprocess.Popen(command, **more))
        ended = [process.wait(max(setting.end + 60 - time.monotonic(), 1)) for process in running]
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    said = [file.read_text(errors="replace") for file in files]
    for command, status, text in zip(commands, ended, said, strict=True):
        if status not in fine:
            raise RuntimeError(f"{' '.join(command[:3])} ended with {status}: {text[-1200:]}")
    return said


def tests(setting: Setting) -> dict[str, Any]:
    """Run ``pytest tests/devices``.

    Returns the numbers of tests that passed and failed, and the names of failed tests.
    """
    few = ["-k", "draws or masks"] if setting.tiny else []
    words = [
        "tests/devices",
        "--device",
        setting.device,
        "-p",
        "no:cacheprovider",
        "--tb=line",
        *few,
    ]
    command = (sys.executable, "-m", "pytest", *words)
    (text,) = side_by_side([command], setting, fine=(0, 1))  # status 1: tests failed
    pattern = r"(\d+) (passed|failed|skipped|error)s?\b"
    counts = dict.fromkeys(("passed", "failed", "skipped", "error"), 0)
    counts |= {kind: int(count) for count, kind in re.findall(pattern, text.splitlines()[-1])}
    broken = re.findall(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
    failed = counts["failed"] + counts["error"]
    found: dict[str, Any] = {
        "passed": counts["passed"],
        "skipped": counts["skipped"],
        "failed": failed,
    }
    found |= {"broken": broken, "error": f"{failed} tests failed" if failed else None}
    return found | ({"output": text[-6000:]} if failed else {})


def on_device(setting: Setting) -> list[str]:
    """Return the options of the trainer for the device."""
    if setting.device == "cpu":
        return ["--trainer.accelerator", "cpu", "--trainer.precision", "32-true"]
    return [
        "--trainer.accelerator",
        "gpu",
        "--trainer.precision",
        "bf16-mixed",
        "--trainer.devices",
        "1",
    ]


def on_set(recipe: str, root: Path) -> list[str]:
    """Return the options with which a recipe reads the synthetic data set from a folder."""
    if recipe.startswith("mtslvr"):
        return ["--data.data_dir", str(root)]
    return ["--data.sl_kwargs", json.dumps({"root": str(root)})]


def resume(setting: Setting) -> dict[str, Any]:
    """Compare a run of six steps with a run of three steps that is resumed for three more.

    Losses and weights must be equal bit for bit in deterministic mode. The schedule is disabled,
    because it depends on the length of the run.
    """
    root, runs = embedded_set(setting), setting.folder / "resumed"
    recipes = RESUMED[:1] if setting.tiny else RESUMED
    options = [*QUIET, *on_device(setting), "--trainer.deterministic", "true"]
    options += [
        "--trainer.log_every_n_steps",
        "1",
        "--model.scheduler",
        "null",
        "--ckpt_path",
        str(runs),
    ]
    options += ["--data.num_workers", "0", *(["--data.batch_size", "4"] if setting.tiny else [])]

    def command(recipe: str, name: str, count: int, more: Sequence[str] = ()) -> list[str]:
        files = [recipe, *([f"small/{recipe}"] if setting.tiny else [])]
        configs = [word for file in files for word in ("--config", file)]
        where = [*(more or ("--run_name", name)), *on_set(recipe, root)]
        return [*PRETRAIN, *configs, *options, "--trainer.max_steps", str(count), *where]

    names = {recipe: recipe.replace("/", "-") for recipe in recipes}
    first = [
        command(r, f"{n}-{name}", c)
        for r, n in names.items()
        for name, c in (("whole", 6), ("half", 3))
    ]
    again = [
        command(r, "", 6, ("--resume_from_checkpoint", str(runs / f"{n}-half")))
        for r, n in names.items()
    ]
    side_by_side(first, setting)
    side_by_side(again, setting)
    apart = {
        r: float(difference(runs / f"{n}-whole", runs / f"{n}-half")) for r, n in names.items()
    }
    return {
        "steps": [6, "3 + 3"],
        "largest_difference": apart,
        "equal": all(d == 0 for d in apart.values()),
    }


def embedded_set(setting: Setting) -> Path:
    """Return the folder of the synthetic data set, which the first call renders."""
    from semisupcon.datasets.synthesis import render

    return render(setting.folder / "synthetic", 60 if setting.tiny else 600, progress=False)


def packed_set(setting: Setting, root: Path) -> Path:
    """Pack the synthetic data set with its tags for the encoder of the recipe."""
    from semisupcon.data.packed.writing import pack
    from semisupcon.data.sources import gather

    sources: dict[str, Any] = {"sl_task": "synthetic_tags", "ssl_task": None, "data_dir": None}
    sources |= {"sl_kwargs": {"root": str(root)}, "ssl_kwargs": None}
    return pack(gather(**sources), sources, 22050, setting.folder / "packed-synthetic")


def train(setting: Setting) -> dict[str, Any]:
    """Train SemiSupCon at its published size on the synthetic data set, and probe the encoder.

    The results of linear probes are compared with those of an untrained encoder.
    """
    root = embedded_set(setting)
    packed = packed_set(setting, root)
    seconds = 600 if setting.tiny else math.ceil(setting.train_seconds)  # tiny: three steps
    days, rest = divmod(seconds, 86400)
    limit = f"{days:02d}:{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    options = [
        *QUIET,
        *on_device(setting),
        "--data.packed",
        str(packed),
        "--data.device_resident",
        "true",
    ]
    options += ["--trainer.max_time", limit, "--data.num_workers", "0"]
    few = ["--data.batch_size", "8", "--trainer.max_steps", "3", "--trainer.log_every_n_steps", "1"]
    options += few if setting.tiny else ["--trainer.log_every_n_steps", "5"]
    began = time.perf_counter()
    run = pretrain(TRAINED, setting.folder / "trained", "smsl", 0, options, small=setting.tiny)
    taken = time.perf_counter() - began
    curve = pd.read_csv(run / "metrics.csv")[["step", "loss"]].dropna()
    done = torch.load(run / "last.ckpt", weights_only=True, map_location="cpu")["global_step"]
    losses = curve["loss"].tolist()
    tasks = dict(list(PROBES.values())[:1] if setting.tiny else PROBES.values())
    where = [f"--data_dirs.{task}={root}" for task in tasks]
    where += [
        "--projection",
        "none",
        "--device",
        setting.device,
        "--cache_dir",
        str(setting.folder / "cache"),
    ]
    where += ["--resamples", "50"] if setting.tiny else []
    results = probe(list(tasks), {"trained": run}, setting.folder / "probe", 0, where)
    values = results.set_index(["task", "metric", "checkpoint"])[["value", "low", "high"]]
    paired = pd.read_csv(setting.folder / "probe" / "comparisons.csv")
    paired = paired.set_index(["task", "metric", "ours"])[["difference", "low", "high"]]
    probes: dict[str, Any] = {}
    for task, metric in tasks.items():
        rows = {name: values.loc[(task, metric, name)].tolist() for name in ("random", "trained")}
        probes[task] = {
            "metric": metric,
            **rows,
            "gain": paired.loc[(task, metric, "trained")].tolist(),
        }
    found = {
        "steps": done,
        "seconds_of_training": taken,
        "first_loss": losses[0],
        "last_loss": losses[-1],
    }
    finite = all(map(math.isfinite, losses))
    error = None if finite else "a loss is not finite"
    return found | {"losses_finite": finite, "probes": probes, "error": error}
