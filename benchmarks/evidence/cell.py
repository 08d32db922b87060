"""Run one cell of a study: pretrain an encoder with one setting and one seed, and probe it."""

import platform
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.evidence.questions import QUESTIONS, as_arguments, of_questions
from benchmarks.evidence.study import Cell, Probe
from benchmarks.recipes import pretrain
from semisupcon.checkpoints import read_checkpoint
from semisupcon.commands.probe import main as probe_main
from semisupcon.probing.scores.results import UNIT

COLUMNS = [
    "study",
    "setting",
    "seed",
    "task",
    "representation",
    "method",
    "metric",
    "value",
    "low",
    "high",
    "chance",
]
COLUMNS += ["classes", "steps", "seconds", "machine"]


def run_cell(cell: Cell) -> list[dict[str, Any]]:
    """Pretrain and probe an encoder, or probe a baseline; return rows with the columns `COLUMNS`.

    The weights of the run are removed. Its metrics and settings are kept.
    """
    began, rows, steps = time.process_time(), [], 0
    if cell.setting.baseline:
        run = cell.folder / cell.name
    else:
        run = pretrained(cell)
        steps = read_checkpoint(run / "last.ckpt")["global_step"]
    for number, probe in enumerate(cell.setting.probes):
        out = run / f"probe-{number}"
        if status := probe_main(probe_arguments(cell, probe, run, out)):
            raise SystemExit(status)
        rows += [
            row
            for row in read_rows(out, probe.note)
            if row["setting"] != "random" or cell.setting.untrained
        ]
    about = {
        "study": cell.study,
        "seed": cell.seed,
        "seconds": round(time.process_time() - began),
        "machine": machine(),
    }
    for file in [*run.glob("*.ckpt"), *run.rglob("*.safetensors")]:
        file.unlink()
    shutil.rmtree(run / "cache", ignore_errors=True)
    trained, untrained = (
        {"setting": cell.setting.name, "steps": steps},
        {"setting": cell.setting.untrained, "steps": 0},
    )
    return [row | about | (untrained if row["setting"] == "random" else trained) for row in rows]


def pretrained(cell: Cell) -> Path:
    """Pretrain the encoder of a cell and return the folder of the run."""
    options = dict(cell.setting.options)
    if "data.data_dir" in options:
        options["data.data_dir"] = str(cell.data / options["data.data_dir"])
    return pretrain(cell.setting.recipe, cell.folder, cell.name, cell.seed, as_arguments(options))


def probe_arguments(cell: Cell, probe: Probe, run: Path, out: Path) -> list[str]:
    """Return the command line of ``semisupcon probe`` for a run.

    In the results, tasks have the names of `QUESTIONS`, the encoder is called "trained", and the
    untrained encoder is called "random".
    """
    names = {name: name.replace(" ", "_") for name in probe.questions}
    asked = {names[name]: QUESTIONS[name] for name in probe.questions}
    checkpoints = [f"trained={cell.setting.baseline or run / 'last.ckpt'}"]
    checkpoints += ["random"] if cell.setting.untrained else []
    options = {
        "checkpoints": checkpoints,
        "methods": list(probe.methods),
        "representations": list(probe.representations),
        "seeds": [cell.seed],
        "out": str(out),
        "cache_dir": str(run / "cache"),
        "projection": "none",
    }
    return as_arguments(of_questions(asked, cell.data) | options | dict(probe.options))


def read_rows(out: Path, note: str = "") -> Iterator[dict[str, Any]]:
    """Yield rows with those columns of `COLUMNS` that the results of probes have.

    There is one row per result, with the main metric of the task, and rows for the robustness and
    invariance studies.

    Args:
        out: folder of the results.
        note: text that is added to the names of the methods.
    """
    for file in (out / "results.csv", out / "robustness.csv"):
        # The first row of a result has the main metric.
        for row in (
            pd.read_csv(file).drop_duplicates(list(UNIT)).to_dict("records")
            if file.exists()
            else ()
        ):
            asked, method = (
                row["task"].replace("_", " "),
                f"{row['method']}, {note}" if note else row["method"],
            )
            kept = {
                name: row[name]
                for name in ("representation", "metric", "value", "low", "high", "chance")
            }
            yield kept | {
                "setting": row["checkpoint"],
                "task": asked.partition(" of ")[0],
                "method": method,
                "classes": QUESTIONS[asked].classes,
            }
    for file in sorted((out / "invariance").glob("*.csv")):
        shares = file.stem.endswith("-weights")
        for row in pd.read_csv(file).to_dict("records"):
            who = "random" if "-random-" in file.stem else "trained"
            # Divide by the distance of unrelated clips, so that encoders of different scales can be
            # compared; 0 means invariant.
            value = row["share"] if shares else row["mahalanobis"] / row["unrelated_mahalanobis"]
            what = (
                {"method": "weight share", "metric": "share"}
                if shares
                else {"method": "invariance", "metric": row["operator"]}
            )
            yield {
                "setting": who,
                "task": "digit",
                "representation": row["head"],
                "value": value,
                "classes": 10,
            } | what


def machine() -> str:
    """Describe the processor; each cell uses one thread."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    return f"{model}, 1 thread, torch {torch.__version__.partition('+')[0]}"
