"""Against what you could have for nothing: our encoders beside features of a signal and public
models, on the same clips with the same linear probe.

``python -m benchmarks.evidence.baselines --data DIR`` pretrains the narrow ResNet-18 of the study
of objectives: self-supervised, semi-supervised and supervised on FSDD, and self-supervised on the
training clips of the two sets with sounds and notes. It probes them beside an untrained one, MFCC,
log-mel, openSMILE and the public models whose weights are in a package, and writes
``docs/evidence/baselines.csv`` and the tables of the page. Packages that are not installed are left
out and named. A second call does only what is missing.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from benchmarks.evidence.questions import NOTES, QUESTIONS, RESPLIT, Question
from benchmarks.evidence.study import COMMON
from benchmarks.recipes import ROOT, markdown, pretrain
from semisupcon.checkpoints import read_checkpoint
from semisupcon.errors import ConfigError
from semisupcon.probing.baselines import extractor

FIGURES = ROOT / "docs" / "evidence"
NAME, UNTRAINED = "baselines", "untrained"
KINDS = ("self-supervised", "semi-supervised", "supervised")
# Where an encoder is pretrained on the training clips of the task's own data set.
OWN_AUDIO = ("fsdd", "gm_notes", "esc10")
SHORT_UNTRAINED = "untrained (segments of 0.2 s)"
OWN = "self-supervised on own audio"
TRANSFER = tuple(f"{kind} on FSDD" for kind in KINDS)
FREE = ("mfcc", "logmel", "opensmile", "silero", "musicnn", "resemblyzer", "basic-pitch")
# A transcription model is asked about notes alone.
NOTES_ONLY = ("basic-pitch",)
SPLIT = {"of": "esc10", "shares": NOTES}
READERS = {"of": "librispeech_speaker", "options": {"subset": "test-other"}, "shares": NOTES}
# Tasks by data set. Digits and speakers of FSDD have their official split, the others a seeded one.
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
# Labels of pretraining: those of the first task of the data set.
LABELS = {folder: next(iter(tasks)) for folder, tasks in TASKS.items()}
# A fifth of FSDD's training labels (420): some models take a tenth of a second for a clip.
SHARE = {"fsdd": 0.2}
RECIPES = {
    "self-supervised": "pretrain_ssl",
    "semi-supervised": "pretrain_smsl",
    "supervised": "supervised",
}
COLUMNS = ["encoder", "task", "metric", "value", "low", "high", "spread", "tracks", "seeds"]
COLUMNS += ["against", "difference", "difference_low", "difference_high", "verdict"]


def run_of(kind: str, data_set: str, seed: int, folder: Path, data: Path, steps: int) -> Path:
    """The run of an encoder, pretrained where it is missing."""
    from benchmarks.evidence.objectives import PLAIN, SHORT
    from benchmarks.evidence.semisupcon import BASE

    run = folder / f"{kind}-{data_set}-{seed}"
    last = run / "last.ckpt"
    if last.exists() and read_checkpoint(last)["global_step"] == steps:
        return run  # an interrupted run is made again
    question = TASKS[data_set][LABELS[data_set]]
    role = "ssl" if kind == "self-supervised" else "sl"
    options = COMMON | BASE | {"model.encoder": PLAIN, "data.data_dir": str(data / data_set)}
    options |= {f"data.{role}_task": question.task, "trainer.max_steps": steps}
    options |= {f"data.{role}_kwargs": question.options} if question.options else {}
    # Two crops of half a second would show the same digit nearly whole.
    options |= SHORT if (kind, data_set) == ("self-supervised", "fsdd") else {}
    arguments = [
        f"--{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in options.items()
    ]
    return pretrain(RECIPES[kind], folder, run.name, seed, arguments)


def probe(data_set: str, seed: int, runs: dict[str, Path], free: list[str], given) -> None:
    """Probe the encoders on the tasks of a data set with one seed of the heads."""
    from semisupcon.commands.probe import main as probe_main

    tasks = TASKS[data_set]
    if given.tiny:
        few = QUESTIONS["instrument"]
        tasks = {"instrument": replace(few, options=few.options | {"most": 4})}
    checkpoints = [*(f"{name}={run / 'last.ckpt'}" for name, run in runs.items()), "random", *free]
    arguments = [
        *("--tasks", json.dumps([f"{name}={q.task}" for name, q in tasks.items()])),
        *("--checkpoints", json.dumps(checkpoints), "--seeds", str(seed)),
        *("--out", str(given.folder / data_set), "--projection", "none"),
        *("--cache_dir", str(given.folder / "cache"), "--resamples", str(given.resamples)),
        *("--train_share", str(SHARE.get(data_set, 1.0))),
        *(f"--training.max_epochs={given.epochs}" for _ in range(given.epochs is not None)),
    ]
    for name, question in tasks.items():
        arguments.append(f"--data_dirs.{name}={given.data / question.folder}")
        arguments += [
            f"--task_kwargs.{name}.{key}={json.dumps(value) if not isinstance(value, str) else value}"
            for key, value in question.options.items()
        ]
    if status := probe_main(arguments):
        raise SystemExit(status)


def installed(names: tuple[str, ...] = FREE) -> list[str]:
    """The free encoders whose packages are installed; the others are named."""
    found = []
    for name in names:
        try:
            extractor(name)
            found.append(name)
        except ConfigError as error:
            print(str(error).splitlines()[0], file=sys.stderr)
    return found


def collect(folder: Path) -> pd.DataFrame:
    """Values, and paired differences of every pair of encoders, of all data sets."""
    parts = []
    for data_set in TASKS:
        out = folder / data_set
        if not (out / "summary.csv").exists():
            continue
        lines = pd.read_csv(out / "summary.csv")
        pairs = pd.read_csv(out / "comparisons.csv")
        # The main metric of a task is its first.
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
    """Name in the tables of an untrained encoder; there are two where the segments differ."""
    if not name.startswith("random"):
        return name
    short = OWN if data_set == "fsdd" else TRANSFER[0]
    return SHORT_UNTRAINED if f"({short})" in name else UNTRAINED


def tables(results: pd.DataFrame) -> dict[str, str]:
    """The tables of the page: values, and our best encoder minus each free one."""
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
    """The tables from the CSV; a word in their place where nothing has been measured."""
    file = figures / f"{NAME}.csv"
    if file.exists():
        return tables(pd.read_csv(file))
    absent = f"Not measured yet: `python -m benchmarks.evidence.{NAME} --data DIR`.\n"
    return {f"{NAME}.{name}": absent for name in ("values", "differences")}


def main(args: list[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--folder", type=Path, default=Path("runs/evidence/baselines"))
    parser.add_argument("--figures", type=Path, default=FIGURES, help="folder of the CSV")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--tiny", action="store_true", help="does it run? GM notes alone, two steps"
    )
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
    results = collect(given.folder)
    given.figures.mkdir(parents=True, exist_ok=True)
    results.to_csv(given.figures / f"{NAME}.csv", index=False, float_format="%.6g")
    print("\n".join(tables(results).values()))
    print(f"RESULT encoders {results['encoder'].nunique()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
