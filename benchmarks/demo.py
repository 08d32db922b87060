"""`make demo`: pretrain a small encoder twice on the embedded set, probe both and an untrained one, and look at the result.

Self-supervised, and semi-supervised with the tags of a tenth of the clips; instrument and pitch labels are never seen before the probe.
Leaves ``runs/demo/``: a folder a run (checkpoints, metrics, heat maps of targets and similarities), the table, and t-SNE pictures.
With ``--seeds 0 1 2 --supervised`` it is the measurement that the README quotes.
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from semisupcon import load_encoder
from semisupcon.cli import main as pretrain
from semisupcon.data.annotations import load_annotations
from semisupcon.data.synthetic import render
from semisupcon.embedding import embed
from semisupcon.plots import draw_scatter, save_figure
from semisupcon.probing.command import main as probe

ROOT = Path(__file__).resolve().parents[1]
RUNS = {"self-supervised": "pretrain_ssl", "semi-supervised": "pretrain_smsl", "supervised": "pretrain_sl"}
# With fourteen tags a clip, nearly all clips share one: how far their tags overlap says more.
TARGET = ["--model.criterion.target", "Dice"]
LABELS = {"semi-supervised": ["--data.supervised_data_p", "0.1", *TARGET], "supervised": TARGET}
TASKS = ("synthetic_instrument", "synthetic_pitch", "synthetic_tags")


def train(name: str, folder: Path, seed: int, more: list[str]) -> Path:
    """Pretrain one encoder by its recipe and the small overlay; returns its run folder."""
    recipe = RUNS[name]
    run = f"{name}-{seed}"
    shutil.rmtree(folder / run, ignore_errors=True)
    configs = [ROOT / "config" / "pretraining" / f"{recipe}.yaml", ROOT / "config" / "overlays" / "small" / f"{recipe}.yaml"]
    args = [part for config in configs for part in ("--config", str(config))]
    args += ["--seed_everything", str(seed), "--model.seed", str(seed), "--data.seed", str(seed)]
    args += ["--ckpt_path", str(folder), "--run_name", run, "--draw_every", "200", *LABELS.get(name, []), *more]
    if status := pretrain(args):
        raise SystemExit(status)
    return folder / run


def draw_tsne(run: Path, picture: Path) -> None:
    """t-SNE (cosine, perplexity 30) of the embeddings of the test clips, coloured by instrument."""
    from sklearn.manifold import TSNE

    instruments = load_annotations("synthetic_instrument", None)
    test = np.flatnonzero(instruments.table["split"] == "test")
    files = [render(progress=False) / path for path in instruments.table["path"].iloc[test]]
    points = TSNE(metric="cosine", perplexity=30, init="random", random_state=0).fit_transform(
        embed(load_encoder(run / "last.ckpt"), files)
    )
    names = [instruments.classes[i] for i in instruments.targets[test].argmax(axis=1)]
    save_figure(draw_scatter(points, names, title=f"{run.name}: test clips", label_title="instrument"), picture)


def main(args: list[str] | None = None) -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/demo"), help="where everything goes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="one of each run a seed")
    parser.add_argument("--supervised", action="store_true", help="a supervised encoder too, with the tags of all clips")
    given, more = parser.parse_known_args(args)
    names = [name for name in RUNS if given.supervised or name != "supervised"]
    for seed in given.seeds:
        runs = {name: train(name, given.folder, seed, more) for name in names}
        out = given.folder / f"probe-{seed}"
        shutil.rmtree(out, ignore_errors=True)
        checkpoints = ",".join([*(f"{name}={run / 'last.ckpt'}" for name, run in runs.items()), "random"])
        if status := probe(
            ["--tasks", f"[{','.join(TASKS)}]", "--checkpoints", f"[{checkpoints}]", "--seeds", str(seed), "--out", str(out)]
        ):
            return status
        for name, run in runs.items():
            draw_tsne(run, given.folder / f"tsne-{name}-{seed}.png")
    results = pd.concat(pd.read_csv(given.folder / f"probe-{seed}" / "results.csv") for seed in given.seeds)
    (given.folder / "results.md").write_text(summary(results))
    print(f"\n{summary(results)}\nPictures, checkpoints and all numbers: {given.folder}")
    return 0


def summary(results: pd.DataFrame) -> str:
    """Mean of the test metric over seeds, with its standard deviation where there are several, as a Markdown table."""
    main_metric = results[results["metric"].isin(["accuracy", "roc_auc"])]
    cells = main_metric.groupby(["task", "metric", "checkpoint"], sort=False)["value"].agg(["mean", "std"])
    text = cells.apply(lambda c: f"{100 * c['mean']:.1f}" + ("" if np.isnan(c["std"]) else f" ± {100 * c['std']:.1f}"), axis=1)
    wide = text.reset_index(name="cell").pivot_table("cell", ["task", "metric"], "checkpoint", aggfunc="first", sort=False)[
        list(dict.fromkeys(main_metric["checkpoint"]))
    ]
    header = ["task", "metric", *wide.columns]
    lines = [header, ["---"] * len(header), *([*index, *row] for index, row in zip(wide.index, wide.to_numpy(), strict=True))]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
