"""Compute the metrics of each class, with confidence intervals, for ``classes.csv``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semisupcon.probing.scores.bootstrap import RESAMPLES, average
from semisupcon.probing.scores.draws import stored_bootstrap
from semisupcon.probing.scores.results import Row, read_predictions
from semisupcon.probing.scores.summary import how_of, predictions_by_seed, who_of

CLASSES = "classes.csv"


@dataclass(frozen=True)
class ClassLine:
    """One metric of one class.

    Attributes:
        task, method, checkpoint: names of task, method and encoder.
        label: name of the class.
        metric: precision, recall or f1 (multiclass); roc_auc or average_precision (multilabel,
            binary).
        value, low, high: metric on all test clips and the bounds of its 95 % interval over clips,
            each averaged over seeds. NaN for a class without positives or without negatives.
        chance: expected value for random scores: the share of positives for average precision, 0.5
            for ROC-AUC, NaN for other metrics.
        positives: number of test clips with the label.
        tracks: number of test clips.
    """

    task: str
    method: str
    checkpoint: str
    label: str
    metric: str
    value: float
    low: float
    high: float
    chance: float
    positives: int
    tracks: int


def class_lines(rows: Sequence[Row], out: Path, count: int = RESAMPLES) -> list[ClassLine]:
    """Return one line per task, method, encoder, class and metric.

    Args:
        rows: result rows. Rows without predictions and rows of regression tasks are left out.
        out: folder of the results.
        count: number of bootstrap resamples.
    """
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row.predictions and row.kind != "regression":
            groups.setdefault((row.task, how_of(row), who_of(row)), []).append(row)
    lines = []
    for key, of in groups.items():
        by_seed = predictions_by_seed(of)
        each = [stored_bootstrap(of[0].kind, out, files, count) for files in by_seed.values()]
        read = [read_predictions(out / file) for file in next(iter(by_seed.values()))]
        targets = np.concatenate([part[1] for part in read])
        positives = (targets > 0.5).sum(axis=0)
        for metric, values in average(each).by_class.items():
            for c, label in enumerate(read[0][3]):
                share = positives[c] / len(targets)
                by_chance = {"roc_auc": 0.5, "average_precision": float(share)}.get(metric, np.nan)
                value, low, high = (float(v) for v in values[c])
                counts = int(positives[c]), len(targets)
                lines.append(ClassLine(*key, label, metric, value, low, high, by_chance, *counts))
    return lines
