"""Compare pretrained encoders with audio features and public models by the same linear probes.

``python -m benchmarks.evidence.baselines --data DIR`` pretrains the narrow ResNet-18 of the study
of objectives: self-supervised, semi-supervised and supervised on FSDD, and self-supervised on the
training clips of the two data sets of sounds and notes. It compares these encoders with an
untrained one, MFCC, log-mel, openSMILE, and the public models whose weights are in a package. The
results are written to ``docs/evidence/baselines.csv`` and to the tables of the page. Models whose
packages are not installed are reported and left out. A second call computes missing results only.
"""

import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from benchmarks.evidence import alone
from benchmarks.evidence.alone import FIGURES
from benchmarks.evidence.questions import (
    NOTES,
    QUESTIONS,
    RESPLIT,
    Question,
    as_arguments,
    of_questions,
)
from benchmarks.evidence.study import COMMON
from benchmarks.recipes import markdown, pretrain
from semisupcon.checkpoints import read_checkpoint
from semisupcon.errors import ConfigError
from semisupcon.probing.baselines import extractor

NAME, UNTRAINED = "baselines", "untrained"
KINDS = ("self-supervised", "semi-supervised", "supervised")
# Data sets on whose training clips a separate encoder is pretrained.
OWN_AUDIO = ("fsdd", "gm_notes", "esc10")
SHORT_UNTRAINED = "untrained (segments of 0.2 s)"
OWN = "self-supervised on own audio"
TRANSFER = tuple(f"{kind} on FSDD" for kind in KINDS)
FREE = ("mfcc", "logmel", "opensmile", "silero", "musicnn", "resemblyzer", "basic-pitch")
# Models that are probed on notes only, because they transcribe notes.
NOTES_ONLY = ("basic-pitch",)
SPLIT = {"of": "esc10", "shares": NOTES}
READERS = {"of": "librispeech_speaker", "options": {"subset": "test-other"}, "shares": NOTES}
# Tasks by data set. FSDD has an official split; the splits of the others are drawn with a seed.
TASKS = {
    "fsdd": {"digit": QUESTIONS["digit"], "speaker": QUESTIONS["speaker"]},
    "gm_notes": {"instrument": QUESTIONS["instrument"], "pitch": QUESTIONS["pitch"]},
    "esc10": {"esc10": Question(RESPLIT, "esc10", 10, SPLIT)},
    "librispeech_mini": {"readers": Question(RESPLIT, "librispeech_mini", 10, READERS)},
}
TITLES = {
    "digit": "digits",
    "speaker": "speakers (FSDD)",
    "readers": "speakers (LibriSpeech)",
    "esc10": "ESC-10",
    "instrument": "instruments",
    "pitch": "pitch, R2",
}
# Task whose labels are used in pretraining: the first task of each data set.
LABELS = {folder: next(iter(tasks)) for folder, tasks in TASKS.items()}
# Share of the training clips: a fifth of FSDD (420), since some models need 0.1 s per clip.
SHARE = {"fsdd": 0.2}
RECIPES = {
    "self-supervised": "pretrain_ssl",
    "semi-supervised": "pretrain_smsl",
    "supervised": "supervised",
}
COLUMNS = ["encoder", "task", "metric", "value", "low", "high", "spread", "tracks", "seeds"]
COLUMNS += ["against", "difference", "difference_low", "difference_high", "verdict"]


def run_of(kind: str, data_set: str, seed: int, folder: Path, data: Path, steps: int) -> Path:
    """Return the run folder of an encoder; pretrain the encoder if the run is missing."""
    from benchmarks.evidence.objectives import PLAIN, SHORT
    from benchmarks.evidence.semisupcon import BASE

    run = folder / f"{kind}-{data_set}-{seed}"
    last = run / "last.ckpt"
    if last.exists() and read_checkpoint(last)["global_step"] == steps:
        return run  # A run with fewer steps was interrupted and starts again.
    question = TASKS[data_set][LABELS[data_set]]
    role = "ssl" if kind == "self-supervised" else "sl"
    options = COMMON | BASE | {"model.encoder": PLAIN, "data.data_dir": str(data / data_set)}
    options |= {f"data.{role}_task": question.task, "trainer.max_steps": steps}
    options |= {f"data.{role}_kwargs": question.options} if question.options else {}
    # Use short crops: two crops of half a second would both contain most of the digit.
    options |= SHORT if (kind, data_set) == ("self-supervised", "fsdd") else {}
    return pretrain(RECIPES[kind], folder, run.name, seed, as_arguments(options))


def probe(data_set: str, seed: int, runs: dict[str, Path], free: list[str], given) -> None:
    """Probe all encoders on the tasks of a data set with one seed."""
    tasks = TASKS[data_set]
    if given.tiny:
        few = QUESTIONS["instrument"]
        tasks = {"instrument": replace(few, options=few.options | {"most": 4})}
    checkpoints = [*(f"{name}={run / 'last.ckpt'}" for name, run in runs.items()), "random", *free]
    options = {
        "checkpoints": checkpoints,
        "seeds": [seed],
        "out": str(given.folder / data_set),
        "projection": "none",
        "cache_dir": str(given.folder / "cache"),
        "resamples": given.resamples,
        "train_share": SHARE.get(data_set, 1.0),
        **({} if given.epochs is None else {"training.max_epochs": given.epochs}),
    }
    alone.probe(of_questions(tasks, given.data) | options)


def installed(names: tuple[str, ...] = FREE) -> list[str]:
    """Return the baselines whose packages are installed, and report the others."""
    found = []
    for name in names:
        try:
            extractor(name)
            found.append(name)
        except ConfigError as error:
            print(str(error).splitlines()[0], file=sys.stderr)
    return found


def collect(folder: Path) -> pd.DataFrame:
    """Collect the scores of all data sets, and the paired differences of all encoders."""
    parts = []
    for data_set in TASKS:
        out = folder / data_set
        if not (out / "summary.csv").exists():
            continue
        lines = pd.read_csv(out / "summary.csv")
        pairs = pd.read_csv(out / "comparisons.csv")
        # Keep the first line of a task and encoder, which has the main metric.
        lines = lines.drop_duplicates(["task", "checkpoint"])
        lines = lines.rename(columns={"checkpoint": "encoder"})
        pairs = pairs.rename(
            columns={
                "ours": "encoder",
                "theirs": "against",
                "low": "difference_low",
                "high": "difference_high",
            }
        )
        pairs = pairs.drop_duplicates(["task", "encoder", "against"])
        kept = ["task", "encoder", "against", *COLUMNS[10:]]
        parts.append(lines.merge(pairs[kept], on=["task", "encoder"], how="left"))
        names = {name: untrained_name(name, data_set) for name in lines["encoder"]}
        parts[-1] = parts[-1].replace({"encoder": names, "against": names})
    return pd.concat(parts)[COLUMNS]


def untrained_name(name: str, data_set: str) -> str:
    """Return the name of an encoder in the tables.

    There are two untrained encoders if the encoders have segments of different lengths.
    """
    if not name.startswith("random"):
        return name
    short = OWN if data_set == "fsdd" else TRANSFER[0]
    return SHORT_UNTRAINED if f"({short})" in name else UNTRAINED


def tables(results: pd.DataFrame) -> dict[str, str]:
    """Return the tables of the page.

    They have the scores, and the differences of our best encoder and each baseline.
    """
    tasks = [task for task in TITLES if task in set(results["task"])]
    order = [OWN, *TRANSFER, UNTRAINED, SHORT_UNTRAINED, *FREE]
    values = results.drop_duplicates(["encoder", "task"]).set_index(["encoder", "task"])
    present = [name for name in order if name in values.index.get_level_values(0)]

    def cell(encoder: str, task: str) -> str:
        if (encoder, task) not in values.index:
            return ""
        row = values.loc[(encoder, task)]
        return f"{100 * row['value']:.1f} ({100 * row['low']:.0f} to {100 * row['high']:.0f})"

    rows = [["", *(TITLES[task] for task in tasks)]]
    rows += [[name, *(cell(name, task) for task in tasks)] for name in present]
    first = values.groupby("task")[["tracks", "seeds"]].max()
    rows.append(["test clips", *(f"{int(first.loc[task, 'tracks'])}" for task in tasks)])
    rows.append(["seeds", *(f"{int(first.loc[task, 'seeds'])}" for task in tasks)])
    note = (
        "Percent, with 95 % intervals over test clips; mean over seeds of encoders and heads. "
        "On FSDD, its own audio is FSDD."
    )
    pair = ["encoder", "task", "against"]
    paired = results.drop_duplicates(pair).set_index(pair).sort_index()

    def difference(ours: str, task: str, theirs: str) -> str:
        if (ours, task, theirs) not in paired.index:
            return ""
        row = paired.loc[(ours, task, theirs)]
        low, high = 100 * row["difference_low"], 100 * row["difference_high"]
        return f"{100 * row['difference']:+.1f} ({low:+.0f} to {high:+.0f}), {row['verdict']}"

    against = [UNTRAINED, *(name for name in FREE if name in present)]
    ours = {
        task: max(
            (name for name in (OWN, *TRANSFER) if (name, task) in values.index),
            key=lambda name: values.loc[(name, task), "value"],
        )
        for task in tasks
    }
    other = [["best of ours minus", *(f"{TITLES[task]}: {ours[task]}" for task in tasks)]]
    other += [[name, *(difference(ours[task], task, name) for task in tasks)] for name in against]
    return {
        f"{NAME}.values": f"{markdown(rows)}\n{note}\n",
        f"{NAME}.differences": f"{markdown(other)}\nPoints, with 95 % intervals by a paired "
        "bootstrap over test clips, averaged over seeds. The best of ours is chosen on these test clips, which favours "
        "ours.\n",
    }


def page_tables(figures: Path = FIGURES) -> dict[str, str]:
    """Return the tables of the page from the CSV file."""
    return alone.from_csv(NAME, figures, tables, ("values", "differences"))


def main(args: list[str] | None = None) -> int:
    """Run the study and return the exit status."""
    parser = alone.parser(__doc__, NAME)
    parser.add_argument("--sets", nargs="+", choices=list(TASKS), default=list(TASKS))
    given = parser.parse_args(args)
    given.data, given.resamples, given.epochs = given.data.resolve(), 1000, None
    sets, free, steps = given.sets, installed(), 250
    if given.tiny:
        given.resamples, given.epochs, given.seeds = 20, 2, [0]
        sets, free, steps = ["gm_notes"], ["mfcc"], 2
    torch.set_num_threads(1)
    for seed in given.seeds:
        for data_set in sets:
            made = {OWN: ("self-supervised", data_set)} if data_set in OWN_AUDIO else {}
            if not given.tiny:
                made |= {f"{kind} on FSDD": (kind, "fsdd") for kind in KINDS}
            if data_set == "fsdd":
                made.pop(TRANSFER[0], None)
            runs = {
                name: run_of(*what, seed, given.folder, given.data, steps)
                for name, what in made.items()
            }
            asked = [name for name in free if data_set == "gm_notes" or name not in NOTES_ONLY]
            probe(data_set, seed, runs, asked, given)
    return alone.finish(collect(given.folder), NAME, given.figures, tables, "encoder")


if __name__ == "__main__":
    sys.exit(main())
