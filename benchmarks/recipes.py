"""What the studies share: run a recipe with its small overlay, probe the result, and write a
table."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]


class Real(NamedTuple):
    """A data set of real recordings: its folder under the folder of all, its task with options, and
    over how many folds it is tested."""

    folder: str
    task: str
    options: dict = {}
    folds: int = 0


GM = {"file": "manifest.csv", "folds": 5}
REAL = {
    "fsdd_digit": Real("fsdd", "fsdd_digit"),
    "fsdd_speaker": Real("fsdd", "fsdd_speaker"),
    "esc10": Real("esc10", "esc10", folds=5),
    "kaggle": Real("fsdkaggle2018_mini", "class_folders", {"folds": 5}, 5),
    "speakers": Real(
        "librispeech_mini", "librispeech_speaker", {"subset": "test-other", "folds": 5}, 5
    ),
    "instrument": Real("gm_notes", "csv", {**GM, "label": "instrument"}, 5),
    "pitch": Real("gm_notes", "csv", {**GM, "label": "pitch_midi", "kind": "regression"}, 5),
}


def pretrain(
    recipe: str,
    folder: Path,
    name: str,
    seed: int,
    more: Sequence[str] = (),
    small: bool = True,
) -> Path:
    """Pretrain by a recipe and, if ``small``, its overlay, anew; returns the run folder."""
    from semisupcon.commands.pretrain import (
        main as pretrain_main,
    )  # Lightning, which writing tables does without

    shutil.rmtree(folder / name, ignore_errors=True)
    configs = [ROOT / "config" / "pretraining" / f"{recipe}.yaml"]
    configs += [ROOT / "config" / "overlays" / "small" / f"{recipe}.yaml"] if small else []
    args = [part for config in configs for part in ("--config", str(config))]
    args += ["--seed_everything", str(seed), "--model.seed", str(seed), "--data.seed", str(seed)]
    args += [
        "--ckpt_path",
        str(folder),
        "--run_name",
        name,
        "--trainer.enable_model_summary",
        "false",
        *more,
    ]
    if status := pretrain_main(args):
        raise SystemExit(status)
    return folder / name


# What an encoder is compared with: an untrained one, and features that need no training.
BESIDE = ("random", "mfcc", "logmel")


def probe(
    tasks: Sequence[str],
    runs: dict[str, Path],
    out: Path,
    seed: int,
    more: Sequence[str] = (),
    beside: Sequence[str] = ("random",),
) -> pd.DataFrame:
    """Linear probes (unless ``more`` says otherwise) of the last checkpoints of runs and of the
    encoders of ``beside``, as a table of results."""
    from semisupcon.commands.probe import main as probe_main

    checkpoints = ",".join(
        [*(f"{name}={run / 'last.ckpt'}" for name, run in runs.items()), *beside]
    )
    args = [
        "--tasks",
        f"[{','.join(tasks)}]",
        "--checkpoints",
        f"[{checkpoints}]",
        "--seeds",
        str(seed),
        "--out",
        str(out),
        *more,
    ]
    if status := probe_main(args):
        raise SystemExit(status)
    return pd.read_csv(out / "results.csv")


def summary(results: pd.DataFrame, metrics: Sequence[str] = ("accuracy", "roc_auc", "r2")) -> str:
    """Mean of the test metric over seeds, in percent, with its standard deviation where there are
    several, as a Markdown table."""
    chosen = results[results["metric"].isin(metrics)]
    cells = chosen.groupby(["task", "metric", "checkpoint"], sort=False)["value"].agg(
        ["mean", "std"]
    )
    text = cells.apply(
        lambda c: (
            f"{100 * c['mean']:.1f}" + ("" if np.isnan(c["std"]) else f" ± {100 * c['std']:.1f}")
        ),
        axis=1,
    )
    wide = text.reset_index(name="cell").pivot_table(
        "cell", ["task", "metric"], "checkpoint", aggfunc="first", sort=False
    )
    wide = wide[list(dict.fromkeys(chosen["checkpoint"]))]
    return markdown(
        [
            ["task", "metric", *wide.columns],
            *([*index, *row] for index, row in zip(wide.index, wide.to_numpy(), strict=True)),
        ]
    )


def markdown(rows: Sequence[Sequence[object]]) -> str:
    """Rows, the first of which is the header, as a Markdown table."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def asking(names: Sequence[str], data: Path) -> list[str]:
    """What `probe.py` must be told to find the sets ``names`` of `REAL` under the folder ``data``,
    without ``--tasks``."""
    roots = [f"--data_dirs.{name}={data / REAL[name].folder}" for name in names]
    return roots + [
        f"--task_kwargs.{name}.{key}={value}"
        for name in names
        for key, value in REAL[name].options.items()
    ]


def named_tasks(names: Sequence[str]) -> list[str]:
    """``name=task`` for `probe.py --tasks`."""
    return [name if name == REAL[name].task else f"{name}={REAL[name].task}" for name in names]
