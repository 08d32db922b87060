"""Compare the few-shot protocol of MT-SLVR with that of semisupcon on the same encoders.

``python -m benchmarks.evidence.few_shot --data DIR`` pretrains the narrow ResNet-18 of the study of
baselines on the training clips of ESC-10, GM notes and FSDD. It draws 10,000 5-way 1-shot episodes
for these encoders, an untrained one, and MFCC.

The published protocol (``config/probing/mtslvr.yaml``) uses a random segment of each support clip,
a majority vote over the segments of a query, and embeddings without standardisation. The protocol
of semisupcon uses mean embeddings over segments, with standardisation. Both changes are also tested
separately.

The results are written to ``docs/evidence/few_shot.csv`` and to the table of the page. A second
call computes missing results only.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from benchmarks.evidence import alone, baselines
from benchmarks.evidence.alone import FIGURES
from benchmarks.evidence.baselines import OWN, UNTRAINED, run_of
from benchmarks.evidence.questions import Question, of_questions
from benchmarks.recipes import markdown

NAME = "few_shot"
# The splits of the data sets are those of `baselines`, so no test clip is used in pretraining.
TASKS: dict[str, tuple[str, Question]] = {
    "esc10": ("ESC-10", baselines.TASKS["esc10"]["esc10"]),
    "instrument": ("instruments", baselines.TASKS["gm_notes"]["instrument"]),
    "speaker": ("speakers (FSDD)", baselines.TASKS["fsdd"]["speaker"]),
}
PROTOCOLS = {
    "published": ("vote", False),
    "published, standardised": ("vote", True),
    "ours, not standardised": ("embedding", False),
    "ours": ("embedding", True),
}
COLUMNS = ["task", "protocol", "encoder", "classifier", "value", "low", "high", "episodes", "seeds"]
CLASSIFIERS = ("logistic regression", "nearest centroid")


def probe(task: str, protocol: str, seed: int, run: Path, given: argparse.Namespace) -> None:
    """Score the episodes of one task with one protocol."""
    question = TASKS[task][1]
    if given.tiny:
        question = replace(question, options=question.options | {"most": 5})
    aggregation, standardise = PROTOCOLS[protocol]
    checkpoints = [f"{OWN}={run / 'last.ckpt'}", "random", "mfcc"]
    options = {
        "config": "mtslvr",
        "checkpoints": checkpoints,
        "seeds": [seed],
        "out": str(out_of(task, protocol, given.folder)),
        "projection": "none",
        "cache_dir": str(given.folder / "cache"),
        "episodes": given.episodes,
        "aggregation": aggregation,
        "standardise": standardise,
    }
    alone.probe(options | of_questions({task: question}, given.data))


def out_of(task: str, protocol: str, folder: Path) -> Path:
    """Return the folder of the results of one task with one protocol."""
    return folder / f"{task} {protocol}".replace(" ", "-").replace(",", "")


def collect(folder: Path) -> pd.DataFrame:
    """Collect the mean accuracies over seeds, with 95 % intervals, of all results."""
    parts = []
    for task in TASKS:
        for protocol in PROTOCOLS:
            file = out_of(task, protocol, folder) / "summary.csv"
            if not file.exists():
                continue
            lines = pd.read_csv(file).rename(
                columns={"checkpoint": "encoder", "tracks": "episodes"}
            )
            names = lines["method"].str.extract(f"({'|'.join(CLASSIFIERS)})")[0]
            lines = lines.assign(task=task, protocol=protocol, classifier=names)
            parts.append(lines.replace({"encoder": {"random": UNTRAINED}}))
    return pd.concat(parts)[COLUMNS]


def tables(results: pd.DataFrame) -> dict[str, str]:
    """Return the table of the page: all protocols and encoders, for both classifiers."""
    tasks = [task for task in TASKS if task in set(results["task"])]
    encoders = [name for name in (OWN, UNTRAINED, "mfcc") if name in set(results["encoder"])]
    values = results.set_index(["task", "protocol", "encoder", "classifier"])
    rows = [["task", "encoder", "classifier", *PROTOCOLS]]
    for task in tasks:
        for encoder in encoders:
            for classifier in CLASSIFIERS:
                cells = []
                for protocol in PROTOCOLS:
                    row = values.loc[(task, protocol, encoder, classifier)]
                    half = 50 * (row["high"] - row["low"])
                    cells.append(f"{100 * row['value']:.1f} ± {half:.1f}")
                rows.append([TASKS[task][0], encoder, classifier, *cells])
    episodes, seeds = int(results["episodes"].max()), int(results["seeds"].max())
    note = (
        f"Percent ± half of the 95 % interval over {episodes:,} episodes; mean over {seeds} "
        f"{'seed' if seeds == 1 else 'seeds'} of encoders and episodes. Chance is 20 %."
    )
    return {f"{NAME}.all": f"{markdown(rows)}\n{note}\n"}


def page_tables(figures: Path = FIGURES) -> dict[str, str]:
    """Return the table of the page from the CSV file."""
    return alone.from_csv(NAME, figures, tables, ("all",))


def main(args: list[str] | None = None) -> int:
    """Run the study and return the exit status."""
    given = alone.parser(__doc__, NAME).parse_args(args)
    given.data, given.episodes, steps, tasks = given.data.resolve(), 10_000, 250, list(TASKS)
    if given.tiny:
        given.episodes, given.seeds, steps, tasks = 50, [0], 2, ["instrument"]
    torch.set_num_threads(1)
    for seed in given.seeds:
        for task in tasks:
            folder = TASKS[task][1].folder
            run = run_of("self-supervised", folder, seed, given.folder, given.data, steps)
            for protocol in PROTOCOLS:
                probe(task, protocol, seed, run, given)
    return alone.finish(collect(given.folder), NAME, given.figures, tables, "protocol")


if __name__ == "__main__":
    sys.exit(main())
