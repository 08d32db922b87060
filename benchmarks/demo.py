"""The demo of ``make demo``: pretrain two small encoders on the synthetic data set and probe them.

One encoder is trained self-supervised, the other semi-supervised with the tags of a tenth of the
clips. Both are compared with an untrained encoder, MFCCs and log-mel features. Labels of instrument
and pitch are used by the probes only. The encoders are trained at the same time in separate
processes.

The results are in ``runs/demo/``: a folder per run (checkpoints, metrics, heat maps of targets and
similarities), the table, and t-SNE figures. The README quotes the results of
``--seeds 0 1 2 --supervised``.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch

from benchmarks.cores import all_cores
from benchmarks.recipes import BESIDE, pretrain, probe, summary
from semisupcon import load_encoder
from semisupcon.datasets import load_annotations
from semisupcon.datasets.synthesis import render
from semisupcon.embedding import embed
from semisupcon.plots import draw_scatter, save_figure

RUNS = {
    "self-supervised": "pretrain_ssl",
    "semi-supervised": "pretrain_smsl",
    "supervised": "pretrain_sl",
}
# With fourteen tags, nearly all pairs of clips share a tag, so the target is the overlap of tags
# (Dice).
TARGET = ["--model.criterion.target", "Dice"]
LABELS = {
    # A tenth of the clips is labelled, and a sixteenth of each batch. With more labelled clips per
    # batch, the encoder overfits to the tags of few clips.
    "semi-supervised": [
        "--data.supervised_data_p",
        "0.1",
        "--data.intrabatch_supervised_p",
        "0.0625",
        *TARGET,
    ],
    "supervised": TARGET,
}
# In a short run, a small encoder learns more from light augmentation. For long runs, the published
# list is better.
LIGHT = ["--data.aug_list", "[gain, polarity_inversion, add_colored_noise]", "--draw_every", "400"]
# Shorter views allow more steps in the same time.
SHORT = [
    "--data.target_length",
    "0.6",
    "--trainer.max_steps",
    "800",
    "--trainer.val_check_interval",
    "400",
]
TASKS = ("synthetic_instrument", "synthetic_pitch", "synthetic_tags")


def train(name: str, folder: Path, seed: int, threads: int, more: Sequence[str]) -> Path:
    """Pretrain one encoder with a given number of threads, and return its run folder."""
    torch.set_num_threads(threads)
    return pretrain(
        RUNS[name], folder, f"{name}-{seed}", seed, [*LIGHT, *SHORT, *LABELS.get(name, []), *more]
    )


def train_all(
    names: Sequence[str], folder: Path, seed: int, more: Sequence[str]
) -> dict[str, Path]:
    """Pretrain encoders at the same time in separate processes, and return their run folders.

    Two runs with one thread each take two thirds of the time of two successive runs with two
    threads. Only the first run prints its progress; the others make the same number of steps.
    """
    render()  # render the data set once, before all processes need it
    cores = all_cores()
    at_once = min(len(names), cores)
    os.environ["OMP_NUM_THREADS"] = str(cores // at_once)  # read by each process at its start
    silent = ["--trainer.enable_progress_bar", "false"]
    with ProcessPoolExecutor(at_once, mp_context=get_context("spawn")) as pool:
        runs = {
            name: pool.submit(
                train, name, folder, seed, cores // at_once, [*(silent if i else []), *more]
            )
            for i, name in enumerate(names)
        }
        return {name: run.result() for name, run in runs.items()}


def draw_tsne(run: Path, picture: Path) -> None:
    """Draw a t-SNE map (cosine, perplexity 30) of the test clips, coloured by instrument."""
    from sklearn.manifold import TSNE

    instruments = load_annotations("synthetic_instrument", None)
    test = instruments.select(instruments.rows("test"))
    points = TSNE(metric="cosine", perplexity=30, init="random", random_state=0).fit_transform(
        embed(load_encoder(run / "last.ckpt"), test.files)
    )
    names = [test.classes[i] for i in test.targets.argmax(axis=1)]
    save_figure(
        draw_scatter(points, names, title=f"{run.name}: test clips", label_title="instrument"),
        picture,
    )


def main(args: list[str] | None = None) -> int:
    """Run the demo and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/demo"), help="where everything goes"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="one of each run a seed")
    parser.add_argument(
        "--supervised",
        action="store_true",
        help="a supervised encoder too, with the tags of all clips",
    )
    given, more = parser.parse_known_args(args)
    names = [name for name in RUNS if given.supervised or name != "supervised"]
    results = []
    for seed in given.seeds:
        runs = train_all(names, given.folder, seed, more)
        results.append(probe(TASKS, runs, given.folder / f"probe-{seed}", seed, beside=BESIDE))
        for name, run in runs.items():
            draw_tsne(run, given.folder / f"tsne-{name}-{seed}.png")
    table = summary(pd.concat(results))
    (given.folder / "results.md").write_text(table)
    print(f"\n{table}\nPictures, checkpoints and all numbers: {given.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
