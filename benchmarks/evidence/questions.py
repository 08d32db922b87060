"""The tasks of the probes: data sets with their folders and numbers of classes.

Some tasks have splits that only the studies use.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semisupcon.datasets import LabelledClips, load_annotations
from semisupcon.datasets.parsing.splits import stratified_split
from semisupcon.random import permutation

# All classes are test classes. A fifth of the clips is not used in episodes; the batch-norm
# statistics of untrained encoders are measured on it.
EPISODES = {"shares": {"train": 0.2, "test": 0.8}, "most": 15}
NOTES = {"train": 0.5, "val": 0.1, "test": 0.4}


@dataclass(frozen=True)
class Question:
    """A task of the probes.

    Attributes:
        task: name or import path of the task.
        folder: folder of its audio, relative to the folder of all data sets.
        classes: number of classes; 0 for a regression.
        options: options of the task.
    """

    task: str
    folder: str
    classes: int
    options: dict[str, Any] = field(default_factory=dict)


def resplit(
    root: Path,
    of: str,
    shares: dict[str, float],
    options: dict[str, Any] | None = None,
    most: int | None = None,
) -> LabelledClips:
    """Load a data set with a seeded random split instead of its official split.

    The split is stratified by class, or by folder for values.

    Args:
        root: folder of the data set.
        of: name of the task.
        shares: share of each split; the sum is 1.
        options: options of the task.
        most: maximum number of clips per class.
    """
    found = load_annotations(of, root, **(options or {}))
    if most is not None:
        shuffled = permutation(len(found), "clips of a class").numpy()
        labels = pd.Series(found.targets.argmax(axis=1)[shuffled])
        kept = np.sort(shuffled[labels.groupby(labels).cumcount() < most])
        found = found.select(kept)
    paths = found.paths
    strata = (
        found.targets.argmax(axis=1).tolist()
        if found.kind == "multiclass"
        else [str(Path(path).parent) for path in paths]
    )
    return found.assign(split=stratified_split(paths, strata, shares))


def notes(label: str, kind: str = "multiclass") -> dict[str, Any]:
    """Return the options of `resplit` for a column of the GM notes. All columns share a split."""
    return {
        "of": "csv",
        "shares": NOTES,
        "options": {"file": "manifest.csv", "label": label, "kind": kind},
    }


def fsdd_without(root: Path, speaker: str) -> LabelledClips:
    """Load the digits of FSDD with all clips of ``speaker`` as test clips.

    The clips of the other speakers are training clips, except for their validation clips.
    """
    found = load_annotations("fsdd_digit", root)
    split = np.where(found.split == "val", "val", "train")
    return found.assign(split=np.where(found.table["speaker"] == speaker, "test", split))


def fsdd_tags(root: Path) -> LabelledClips:
    """Load FSDD with digit and speaker as two of sixteen tags.

    Two clips can share no tag, one tag, or both tags.
    """
    digit, speaker = (load_annotations(task, root) for task in ("fsdd_digit", "fsdd_speaker"))
    targets = np.concatenate([digit.targets, speaker.targets], axis=1)
    return LabelledClips(
        digit.table,
        targets,
        (*digit.classes, *speaker.classes),
        kind="multilabel",
        metric="roc_auc",
    )


# Tasks by their names in the tables. "digit of theo" is shown as "digit"; its split depends on the
# setting.
RESPLIT = "benchmarks.evidence.questions.resplit"
QUESTIONS = {
    "digit": Question("fsdd_digit", "fsdd", 10),
    "speaker": Question("fsdd_speaker", "fsdd", 6),
    "instrument": Question(RESPLIT, "gm_notes", 10, notes("instrument")),
    "pitch": Question(RESPLIT, "gm_notes", 0, notes("pitch_midi", "regression")),
    "esc10": Question(RESPLIT, "esc10", 10, {"of": "esc10", **EPISODES}),
    "kaggle": Question(RESPLIT, "fsdkaggle2018_mini", 10, {"of": "class_folders", **EPISODES}),
    "notes": Question(RESPLIT, "gm_notes", 10, notes("instrument") | EPISODES),
    "readers": Question(
        RESPLIT,
        "librispeech_mini",
        10,
        {"of": "librispeech_speaker", "options": {"subset": "test-other"}, **EPISODES},
    ),
}
# Rendered scores, see docs/scores.md.
QUESTIONS |= {
    f"score {name}": Question(f"scores_{name}", "scores", classes)
    for name, classes in {"tags": 17, "key": 24, "density": 0, "genre": 6}.items()
}
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
WITHOUT = "benchmarks.evidence.questions.fsdd_without"
QUESTIONS |= {
    f"digit of {name}": Question(WITHOUT, "fsdd", 10, {"speaker": name}) for name in SPEAKERS
}


def as_arguments(options: Mapping[str, Any]) -> list[str]:
    """Convert options to a command line: text is kept, other values become JSON."""
    return [
        f"--{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in options.items()
    ]


def of_questions(asked: Mapping[str, Question], data: Path) -> dict[str, Any]:
    """Return the options of ``semisupcon probe`` for tasks: names, folders and task options."""
    options: dict[str, Any] = {"tasks": [f"{name}={q.task}" for name, q in asked.items()]}
    for name, question in asked.items():
        options[f"data_dirs.{name}"] = str(data / question.folder)
        options |= {f"task_kwargs.{name}.{k}": v for k, v in question.options.items()}
    return options
