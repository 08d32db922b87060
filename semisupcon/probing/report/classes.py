"""Write the tables of the report with the metrics of each class, and with all metrics."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from semisupcon.probing.report.html import table
from semisupcon.probing.scores.results import Row
from semisupcon.probing.scores.summary import how_of, who_of

# Metrics of classes that the report shows, in this order. The file classes.csv has all metrics.
SHOWN = ("average_precision", "roc_auc", "recall", "f1")
TITLES = {"average_precision": "AP", "roc_auc": "ROC-AUC"}


def class_tables(rows: Sequence[Mapping[str, str]]) -> str:
    """Return the HTML of one table per task and method, with the metrics of each class.

    A table has one row per class and one column per encoder and metric.

    Args:
        rows: rows of ``classes.csv``.
    """
    parts = []
    for task, method in dict.fromkeys((r["task"], r["method"]) for r in rows):
        mine = [r for r in rows if (r["task"], r["method"]) == (task, method)]
        metrics = [m for m in SHOWN if any(r["metric"] == m for r in mine)]
        encoders = list(dict.fromkeys(r["checkpoint"] for r in mine))
        found = {(r["label"], r["checkpoint"], r["metric"]): r for r in mine}
        header = ["class", "clips"]
        header += [f"{TITLES.get(m, m)}, {who}" for m in metrics for who in encoders]
        lines = []
        for label in dict.fromkeys(r["label"] for r in mine):
            first = next(r for r in mine if r["label"] == label)
            values = (found.get((label, who, m)) for m in metrics for who in encoders)
            lines.append((label, first["positives"], *(_value(r) for r in values)))
        summary = f"{escape(task)}, {escape(method)}: every class, with 95 % intervals"
        parts.append(f"<details><summary>{summary}</summary>{table(header, lines)}</details>")
    return f"<h2>Classes</h2>{''.join(parts)}" if parts else ""


def all_metrics(rows: Sequence[Row]) -> str:
    """Return a folded HTML table of all metrics of all results, averaged over seeds and folds."""
    groups: dict[tuple[str, str, str, str], list[float]] = {}
    for row in rows:
        key = (row.task, how_of(row), who_of(row), row.metric)
        groups.setdefault(key, []).append(row.value)
    lines = [(*key, f"{np.mean(of):.3f}", str(len(of))) for key, of in groups.items()]
    header = ("task", "method", "checkpoint", "metric", "mean", "seeds and folds")
    return f"<details><summary>All metrics</summary>{table(header, lines)}</details>"


def _value(row: Mapping[str, str] | None) -> str:
    if row is None or row["value"] == "nan":
        return ""
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    return f"{value:.3f} ({low:.2f} to {high:.2f})"
