"""The section of a report on label efficiency: results by the number of training labels."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from semisupcon.plots import draw_budgets
from semisupcon.probing.report.html import figures, table
from semisupcon.probing.report.pictures import Picture
from semisupcon.probing.report.section import Section, shown
from semisupcon.probing.scores.budgets import Equal, Point, curves, write_curves
from semisupcon.probing.scores.results import Results, Row
from semisupcon.probing.studies.budgets import BUDGETS, RESAMPLES

NOTE = (
    "Bands are 95 % intervals over draws of the labelled clips and over test clips. A number counts "
    "all labels that a probe sees. Numbers with equal results are interpolated on the logarithm of "
    "the number."
)
HEADER = ("task", "method", "encoder", "labels", "metric", "value", "95 % interval", "draws")
EQUAL = ("task", "method", "encoder", "labels", "equal", "95 % interval", "labels on")


def budget_section(rows: Sequence[Row], out: Path, resamples: int) -> Section | None:
    """Write ``label_budgets.csv`` and ``equal_labels.csv``, and return the section of the report.

    Returns None if no probe was run with a limited number of labels.

    Args:
        rows: rows of the results, from which the untrained encoders are known.
        out: folder of the results.
        resamples: number of bootstrap resamples; at most 200 are used.
    """
    found = Results(out / BUDGETS).rows
    if not found:
        return None
    points, equal = curves(found, out, min(resamples, RESAMPLES))
    write_curves(points, equal, out)
    untrained = {row.checkpoint for row in (*rows, *found) if row.source == "random"}
    told = sentences(points, equal, untrained)
    lines = [
        (
            p.task,
            p.method,
            p.encoder,
            str(p.labels),
            p.metric,
            f"{p.value:.3f}",
            f"{p.low:.3f} to {p.high:.3f}",
            str(p.draws),
        )
        for p in points
    ]
    pairs = [
        (
            *(e.task, e.method, e.encoder, str(e.labels), e.number(e.equal)),
            f"{e.number(e.low)} to {e.number(e.high)}",
            e.other,
        )
        for e in equal
    ]
    html = f"<p>{escape(NOTE)}</p>" + figures([shown(p) for p in budget_pictures(points)])
    html += "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in told) + "</ul>" if told else ""
    html += f"<details><summary>Table</summary>{table(HEADER, lines)}</details>"
    if pairs:
        html += (
            f"<details><summary>Equal numbers of labels</summary>{table(EQUAL, pairs)}</details>"
        )
    return Section("Numbers of labels", html, [NOTE], told, [(HEADER, lines)])


def budget_pictures(points: Sequence[Point]) -> list[Picture]:
    """Draw one figure per task and method, with a curve per encoder."""
    pictures = []
    for question in dict.fromkeys((p.task, p.method, p.metric) for p in points):
        mine = [p for p in points if (p.task, p.method, p.metric) == question]
        by_name = {
            who: [(p.labels, p.value, p.low, p.high) for p in mine if p.encoder == who]
            for who in dict.fromkeys(p.encoder for p in mine)
        }
        level = float(np.mean([p.chance for p in mine]))
        task, method, metric = question
        caption = f"{task}, {method}: {metric} by number of labels"
        pictures.append(Picture(task, caption, draw_budgets(by_name, metric, level)))
    return pictures


def sentences(points: Sequence[Point], equal: Sequence[Equal], untrained: set[str]) -> list[str]:
    """Describe the label efficiency of each encoder in one sentence per task and method.

    A sentence says how many labels the untrained encoder (without one, the first encoder) needs for
    the result of the encoder with its smallest number of labels.

    Args:
        points: results by number of labels.
        equal: comparisons of encoders.
        untrained: names of the untrained encoders.
    """
    told = []
    for question in dict.fromkeys((p.task, p.method, p.metric) for p in points):
        names = list(
            dict.fromkeys(p.encoder for p in points if (p.task, p.method, p.metric) == question)
        )
        against = next((name for name in names if name in untrained), names[0])
        for name in names:
            mine = [
                e
                for e in equal
                if (e.task, e.method, e.metric, e.encoder, e.other) == (*question, name, against)
            ]
            if mine:
                smallest = min(mine, key=lambda e: e.labels)
                told.append(f"{question[0]}, {question[1]}: {smallest.told()}.")
    return told
