"""Helpers of the studies: pretrain with a recipe, probe the encoder, and write a table."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]


class Real(NamedTuple):
    """A data set of real recordings.

    Attributes:
        folder: its folder in the folder of all data sets.
        task: name of the task.
        options: options of the task.
        folds: number of folds for testing; 0 for one fixed split.
    """

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
    """Pretrain an encoder and return the run folder. An older run with the same name is removed.

    Args:
        recipe: name of the recipe.
        folder: folder of all runs.
        name: name of the run.
        seed: seed of all draws.
        more: further options of ``semisupcon pretrain``.
        small: whether to add the small overlay of the recipe.
    """
    from semisupcon.commands.pretrain import (
        main as pretrain_main,
    )  # imported in the function, because the import loads Lightning

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


# Encoders for comparison: an untrained encoder, and features without training.
BESIDE = ("random", "mfcc", "logmel")


def probe(
    tasks: Sequence[str],
    runs: dict[str, Path],
    out: Path,
    seed: int,
    more: Sequence[str] = (),
    beside: Sequence[str] = ("random",),
) -> pd.DataFrame:
    """Probe encoders and return the rows of ``results.csv``.

    Args:
        tasks: tasks as in ``semisupcon probe --tasks``.
        runs: run folder of each encoder, by name. The last checkpoint is probed.
        out: folder of the results.
        seed: seed of the probes.
        more: further options of ``semisupcon probe``. Without methods, the probes are linear.
        beside: further encoders for comparison.
    """
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
    """Return the mean test metrics over seeds or folds in percent, as a Markdown table.

    With several seeds or folds, the standard deviation is added.
    """
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
    """Format rows as a Markdown table. The first row is the header."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def asking(names: Sequence[str], data: Path) -> list[str]:
    """Return the options of ``semisupcon probe`` for the folders and options of data sets.

    Args:
        names: keys of `REAL`.
        data: folder of all data sets.
    """
    roots = [f"--data_dirs.{name}={data / REAL[name].folder}" for name in names]
    return roots + [
        f"--task_kwargs.{name}.{key}={value}"
        for name in names
        for key, value in REAL[name].options.items()
    ]


def named_tasks(names: Sequence[str]) -> list[str]:
    """Return ``name=task`` of each data set, for ``semisupcon probe --tasks``."""
    return [name if name == REAL[name].task else f"{name}={REAL[name].task}" for name in names]
