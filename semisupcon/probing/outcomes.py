"""Convert the outcome of a probe method to result rows and files."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from semisupcon.checkpoints import export_encoder
from semisupcon.errors import ConfigError
from semisupcon.files import plain_cell, write_csv, write_text
from semisupcon.probing.embeddings.subject import Subject
from semisupcon.probing.methods.base import Case, Method, Outcome
from semisupcon.probing.methods.head import save_head
from semisupcon.probing.scores.bootstrap import bootstrap
from semisupcon.probing.scores.calibration import SCALED, TEMPERATURE
from semisupcon.probing.scores.draws import draws_file, save_draws
from semisupcon.probing.scores.metrics import chance, main_first
from semisupcon.probing.scores.results import Row, write_predictions

ENCODERS = "encoders.csv"


def rows_of(
    outcome: Outcome,
    case: Case,
    method: Method,
    out: Path,
    identity: str,
    seconds: float,
    resamples: int,
    train_share: float = 1.0,
) -> list[Row]:
    """Write the files of an outcome, and return one result row per metric, main metric first.

    The files are written before rows are returned, so that a row never names a missing file.

    Args:
        outcome: outcome of the method.
        case: encoder, task and settings of the probe.
        method: probe method.
        out: folder of the results.
        identity: hash of all inputs that affect the results.
        seconds: run time of the method.
        resamples: number of bootstrap resamples.
        train_share: share of the training clips given to the method.

    Raises:
        ConfigError: if the scores do not have one row per test clip and one column per class.
    """
    subject, task, train, test = (
        case.subject,
        case.features.task,
        case.features.train,
        case.features.test,
    )
    name = outcome.label or method.name
    if outcome.scores is not None and outcome.scores.shape != test.targets.shape:
        shapes = f"{outcome.scores.shape}; task '{task.name}' needs {test.targets.shape} (test clips, classes)"
        raise ConfigError(f"Method '{method.name}' returned scores of shape {shapes}.")
    aggregation = case.settings.aggregation if "aggregation" in method.depends else "embedding"
    label = f"{name}-{outcome.share:g}" if outcome.share < 1 else name
    predictions, head = _write_files(outcome, case, out, label, identity, aggregation)
    intervals, level, detail = outcome.intervals, outcome.chance, outcome.detail
    if outcome.scores is not None:
        answers = task.label_kind, test.targets, outcome.scores, task.classes, resamples
        drawn = bootstrap(*answers, calibrated=outcome.calibrated)
        save_draws(drawn, draws_file(task.label_kind, out, [predictions], resamples))
        intervals = {
            metric: (value, *drawn.interval(metric))
            for metric, value in main_first(task.metric, drawn.values).items()
            if metric != "ece" or (method.probabilities and value == value)  # not NaN
        }
        if outcome.calibration is not None and drawn.scaled is not None and "ece" in intervals:
            intervals[SCALED] = drawn.scaled
            detail += f", {TEMPERATURE} {outcome.calibration.temperature:.3f}"
    if level is None:
        known = next(iter(intervals), None) == task.metric
        level = float("nan")
        if known:
            truths = train.targets, test.targets
            level = chance(task.label_kind, task.metric, *truths, task.classes)
    return [
        Row(
            task=task.name, kind=task.label_kind, fold=task.fold, checkpoint=subject.name, source=subject.source,
            representation=subject.representation, method=name,
            aggregation=aggregation,
            train_share=train_share * outcome.share, detail=detail, seed=case.seed, metric=metric, value=value, low=low, high=high,
            chance=float("nan") if i else level, n_train=round(outcome.share * len(train)),
            n_test=outcome.n_test or len(test), seconds=seconds, identity=identity, predictions=predictions, head=head,
        )
        for i, (metric, (value, low, high)) in enumerate(intervals.items())
    ]  # fmt: skip


def _write_files(
    outcome: Outcome, case: Case, out: Path, name: str, identity: str, aggregation: str
) -> tuple[str, str]:
    """Write the predictions, learning curve, head and fine-tuned encoder of an outcome.

    Returns the paths of the predictions and of the head, relative to ``out``. A path is empty if
    the outcome has no such part.
    """
    subject, task, test = case.subject, case.features.task, case.features.test
    fold = f"fold{task.fold}" if task.fold else ""
    stem = file_name(
        task.name, fold, subject.name, subject.representation, name, case.seed, identity[:8]
    )
    predictions = head = ""
    if outcome.scores is not None:
        predictions = f"predictions/{stem}.csv"
        about = task.classes, task.label_kind
        write_predictions(out / predictions, test.paths, test.targets, outcome.scores, *about)
    if outcome.curve:
        file = out / "curves" / f"{stem}.json"
        write_text(file, json.dumps(outcome.curve))
    if outcome.encoder is not None:
        export_encoder(
            outcome.encoder, out / "finetuned" / stem, {"task": task.name, "from": subject.name}
        )
        subject = replace(subject, encoder=outcome.encoder)
    if outcome.head is not None:
        head = f"heads/{stem}.safetensors"
        written = {
            "task": task.name,
            "classes": list(task.classes),
            "aggregation": aggregation,
            "encoder": subject.fingerprint(),
            "representation": subject.representation,
        }
        save_head(outcome.head, out / head, written, outcome.calibration)
    return predictions, head


def file_name(*parts: object) -> str:
    """Join parts with dashes to a file name that is valid on all file systems."""
    return "".join(
        c if c.isalnum() or c in "-._" else "_" for c in "-".join(str(p) for p in parts if p != "")
    )


def write_facts(subjects: Sequence[Subject], out: Path) -> None:
    """Write ``encoders.csv`` with the sample rate, input, layer, pooling and package of encoders.

    Rows of other encoders from earlier suites in the same folder are kept.
    """
    file = out / ENCODERS
    facts = {row["encoder"]: row for row in read_csv(file)}
    facts |= {subject.name: subject.facts() for subject in subjects}
    header = list(subjects[0].facts())
    write_csv(file, header, [[row.get(name, "") for name in header] for row in facts.values()])


def read_csv(file: Path) -> list[dict[str, str]]:
    """Read the rows of ``encoders.csv``.

    Incomplete rows are left out. The list is empty if the file is missing or damaged.
    """
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, ValueError, csv.Error):
        return []
    whole = [row for row in rows if None not in row and None not in row.values()]
    return [
        {name: plain_cell(value) for name, value in row.items()}
        for row in whole
        if "encoder" in row
    ]
