"""The report of a suite as one HTML file that needs nothing else: tables with intervals, curves, confusion matrices, maps."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semisupcon.files import plain_cell
from semisupcon.plots import draw_confusion, draw_lines, draw_scatter, svg_text
from semisupcon.probing.report.html import document, figure, figures, table
from semisupcon.probing.report.table import HEADER, cells
from semisupcon.probing.scores.metrics import confusion
from semisupcon.probing.scores.results import Row, main_rows, read_predictions
from semisupcon.probing.scores.summary import Comparison, Line
from semisupcon.probing.studies.maps import TITLES, load_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def page(
    title: str,
    lines: Sequence[Line],
    comparisons: Sequence[Comparison],
    rows: Sequence[Row],
    out: Path,
    command: str = "",
    date: str = "",
    versions: Mapping[str, str] | None = None,
) -> str:
    """The whole page.

    Args:
        title: heading of the page.
        lines, comparisons: summary of ``rows``.
        rows: of the results.
        out: folder of the files that rows name, of maps and of other tables.
        command, date, versions: shown at the bottom where given.
    """
    parts = [_results(lines, comparisons), _pairs(comparisons)]
    for task in dict.fromkeys(row.task for row in rows):
        of_task = [row for row in rows if row.task == task]
        found = [*_confusions(of_task, out), *_curves(of_task, out), *_maps(task, out)]
        if found:
            parts.append(f"<h2>{escape(task)}</h2>{figures(found)}")
    parts += [_robustness(out), _invariance(out)]
    return document(title, "".join(parts), command, date, versions)


def _results(lines: Sequence[Line], comparisons: Sequence[Comparison]) -> str:
    note = """<p>Intervals are 95 %, by bootstrap over test tracks (few-shot: 1.96 standard errors over episodes); ± is the standard deviation over
    seeds. The verdict is the paired bootstrap's: same when the interval of the difference holds 0. * untrained, of the same shape.</p>"""
    return note + table(HEADER, cells(lines, comparisons))


def _pairs(comparisons: Sequence[Comparison]) -> str:
    if len({c.ours for c in comparisons}) < 3:
        return ""
    rows = [
        (c.task, c.method, c.metric, c.ours, c.theirs, f"{c.difference:+.3f}", f"{c.low:+.3f} to {c.high:+.3f}", c.verdict)
        for c in comparisons
        if c.ours < c.theirs
    ]
    header = ("task", "method", "metric", "encoder", "against", "difference", "95 % interval", "verdict")
    return f"<details><summary>All pairs of encoders</summary>{table(header, rows)}</details>"


def _confusions(rows: Sequence[Row], out: Path) -> Iterable[str]:
    """Of the first method that predicts, for every encoder: folds pooled, first seed."""
    if rows[0].kind != "multiclass":
        return
    for who in dict.fromkeys((row.checkpoint, row.representation) for row in rows):
        mine = [row for row in rows if (row.checkpoint, row.representation) == who and row.predictions]
        if not mine:
            continue
        files = dict.fromkeys(row.predictions for row in mine if (row.method, row.seed) == (mine[0].method, mine[0].seed))
        read = [read_predictions(out / file) for file in files]
        counts = sum(confusion(targets, scores) for _, targets, scores, *_ in read)
        if len(counts) <= 60:
            yield _picture(
                draw_confusion(counts, read[0][3]), rows[0].task, f"{who[0]}, {mine[0].method}: confusion matrix of the test clips"
            )


def _curves(rows: Sequence[Row], out: Path) -> Iterable[str]:
    """Training and validation loss of the first fold and seed, a picture for each method."""
    curves: dict[str, dict[str, list[float]]] = {}
    for row in main_rows(rows):
        file = out / "curves" / (Path(row.predictions).stem + ".json")
        if row.fold > 1 or row.representation != "embedding" or not row.predictions or not file.exists():
            continue
        of = curves.setdefault(row.method, {})
        if f"{row.checkpoint}, training" not in of:
            epochs = json.loads(file.read_text())
            of[f"{row.checkpoint}, training"] = [e["train_loss"] for e in epochs]
            if any("val_loss" in e for e in epochs):
                of[f"{row.checkpoint}, validation"] = [e.get("val_loss", float("nan")) for e in epochs]
    for method, of in curves.items():
        longest = max(map(len, of.values()))
        epochs = [str(i + 1) for i in range(longest)]
        yield _picture(draw_lines(epochs, of, x="epoch", y="loss"), rows[0].task, f"{method}: loss by epoch")


def _maps(task: str, out: Path) -> Iterable[str]:
    for file in sorted((out / "maps").glob("*.json")):
        found = load_map(file)
        if found.task == task:
            kind = TITLES[found.method]
            about = {"label_title": found.label, "names": found.paths, "x": f"{kind} 1", "y": f"{kind} 2"}
            drawn = draw_scatter(np.array(found.points), np.array(found.labels), **about)
            yield _picture(drawn, task, f"{found.checkpoint}: {kind} of the test clips by {found.label}; each point names its clip")


def _robustness(out: Path) -> str:
    rows = _read(out / "robustness.csv")
    found, cells_of_all = [], []
    for task, family in dict.fromkeys((r["task"], r["detail"].split("/")[0]) for r in rows):
        mine = [r for r in rows if r["task"] == task and r["detail"].startswith(f"{family}/")]
        mine = [r for r in mine if r["metric"] == mine[0]["metric"]]  # The main metric comes first.
        ticks = list(dict.fromkeys(r["detail"].split("/", 1)[1] for r in mine))
        curves: dict[str, list[tuple[float, float, float]]] = {}
        for r in mine:
            method, numbers = r["method"].split(f", {family} ")[0], tuple(float(r[k]) for k in ("value", "low", "high"))
            curve = curves.setdefault(f"{r['checkpoint']}, {method}", [(float("nan"),) * 3] * len(ticks))
            curve[ticks.index(r["detail"].split("/", 1)[1])] = numbers
            value, low, high = (f"{number:.3f}" for number in numbers)
            cells_of_all.append((task, r["detail"].replace("/", " "), r["checkpoint"], method, r["metric"], value, f"{low} to {high}"))
        metric = mine[0]["metric"]
        drawn = draw_lines(ticks, curves, x="severity" if family == "severity" else "corruption", y=metric)
        found.append(_picture(drawn, task, f"{task}: {metric} on corrupted test audio ({family}); bands are 95\u00a0% intervals"))
    header = ("task", "corruption", "checkpoint", "method", "metric", "value", "95 % interval")
    details = f"<details><summary>Table</summary>{table(header, cells_of_all)}</details>"
    return f"<h2>Robustness</h2>{figures(found)}{details}" if rows else ""


def _invariance(out: Path) -> str:
    parts = []
    for file in sorted((out / "invariance").glob("*.csv")):
        rows = _read(file)
        if rows:
            parts.append(f"<h3>{escape(file.stem)}</h3>" + table(tuple(rows[0]), [tuple(row.values()) for row in rows]))
    return (
        "<h2>Invariance</h2><p>Mean distance between the embeddings of a clip and of its augmented form; lower is more invariant.</p>"
        + "".join(parts)
        if parts
        else ""
    )


def _picture(drawn: "Figure", task: str, caption: str) -> str:
    return figure(svg_text(drawn, salt=f"{task} {caption}"), caption)


def _read(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        return [{k: plain_cell(v or "") for k, v in row.items() if k is not None} for row in csv.DictReader(lines)]
