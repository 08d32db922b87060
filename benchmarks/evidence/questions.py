"""What the encoders are asked: data sets with their folders and numbers of classes, and the splits
of them that only the studies need."""

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

# All classes are test classes; a fifth of the clips is kept from the episodes, to give untrained
# encoders their batch-norm statistics.
EPISODES = {"shares": {"train": 0.2, "test": 0.8}, "most": 15}
NOTES = {"train": 0.5, "val": 0.1, "test": 0.4}


@dataclass(frozen=True)
class Question:
    """A task of the probes.

    Attributes:
        task: its name or import path.
        folder: of its audio, in the folder of all data sets.
        classes: how many there are; 0 for values.
        options: the task's own.
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
    """A data set with a seeded split in place of its own, balanced by class; values are balanced by
    folder.

    Args:
        root: folder of the data set.
        of: its task.
        shares: of the splits, summing to 1.
        options: of the task.
        most: so many clips of a class, at most.
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
    """Options of `resplit` for a column of the GM notes; every column has the same split."""
    return {
        "of": "csv",
        "shares": NOTES,
        "options": {"file": "manifest.csv", "label": label, "kind": kind},
    }


def fsdd_without(root: Path, speaker: str) -> LabelledClips:
    """The digits of FSDD: ``speaker`` is tested, all clips of the others are trained on but for
    their validation clips."""
    found = load_annotations("fsdd_digit", root)
    split = np.where(found.split == "val", "val", "train")
    return found.assign(split=np.where(found.table["speaker"] == speaker, "test", split))


def fsdd_tags(root: Path) -> LabelledClips:
    """Digit and speaker of FSDD's clips as two tags of sixteen: so that clips can share none, one
    or both."""
    digit, speaker = (load_annotations(task, root) for task in ("fsdd_digit", "fsdd_speaker"))
    targets = np.concatenate([digit.targets, speaker.targets], axis=1)
    return LabelledClips(
        digit.table,
        targets,
        (*digit.classes, *speaker.classes),
        kind="multilabel",
        metric="roc_auc",
    )


# By the names that tables know; "digit of theo" is the question "digit", with a split that the
# setting says.
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
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
WITHOUT = "benchmarks.evidence.questions.fsdd_without"
QUESTIONS |= {
    f"digit of {name}": Question(WITHOUT, "fsdd", 10, {"speaker": name}) for name in SPEAKERS
}


def as_arguments(options: Mapping[str, Any]) -> list[str]:
    """Options as they are typed: text as it is, everything else as JSON."""
    return [
        f"--{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in options.items()
    ]


def of_questions(asked: Mapping[str, Question], data: Path) -> dict[str, Any]:
    """Tasks of ``probe.py``, with their names, folders and options."""
    options: dict[str, Any] = {"tasks": [f"{name}={q.task}" for name, q in asked.items()]}
    for name, question in asked.items():
        options[f"data_dirs.{name}"] = str(data / question.folder)
        options |= {f"task_kwargs.{name}.{k}": v for k, v in question.options.items()}
    return options
