"""The report of a suite as one HTML file that needs nothing else: tables with intervals, curves, confusion matrices, maps."""

import csv
import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np

from semisupcon.files import plain_cell
from semisupcon.probing.report import svg
from semisupcon.probing.report.table import HEADER, cells
from semisupcon.probing.scores.metrics import confusion
from semisupcon.probing.scores.results import Row, main_rows, read_predictions
from semisupcon.probing.scores.summary import Comparison, Line
from semisupcon.probing.studies.maps import TITLES, load_map

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
table{border-collapse:collapse;font-size:13px;margin:.6rem 0 1.4rem}th,td{padding:.22rem .6rem;border-bottom:1px solid #e3e6ea;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}th{border-bottom:2px solid #aab}.better{color:#006b3c;font-weight:600}.worse{color:#a3262a}
figure{display:inline-block;margin:.4rem 1.4rem 1rem 0;vertical-align:top}figcaption{font-size:13px;color:#444}details summary{cursor:pointer}
"""


def page(title: str, lines: Sequence[Line], comparisons: Sequence[Comparison], rows: Sequence[Row], out: Path) -> str:
    """The whole page; ``out`` is the folder in which rows' files, maps and other tables lie."""
    parts = [f"<h1>{escape(title)}</h1>", _results(lines, comparisons), _pairs(comparisons)]
    for task in dict.fromkeys(row.task for row in rows):
        of_task = [row for row in rows if row.task == task]
        figures = [*_confusions(of_task, out), *_curves(of_task, out), *_maps(task, out)]
        if figures:
            parts.append(f"<h2>{escape(task)}</h2>" + "".join(figures))
    parts += [_robustness(out), _invariance(out)]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _results(lines: Sequence[Line], comparisons: Sequence[Comparison]) -> str:
    note = """<p>Intervals are 95 %, by bootstrap over test tracks (few-shot: 1.96 standard errors over episodes); ± is the standard deviation over
    seeds. The verdict is the paired bootstrap's: same when the interval of the difference holds 0. * untrained, of the same shape.</p>"""
    return note + _table(HEADER, cells(lines, comparisons))


def _pairs(comparisons: Sequence[Comparison]) -> str:
    if len({c.ours for c in comparisons}) < 3:
        return ""
    rows = [
        (c.task, c.method, c.metric, c.ours, c.theirs, f"{c.difference:+.3f}", f"{c.low:+.3f} to {c.high:+.3f}", c.verdict)
        for c in comparisons
        if c.ours < c.theirs
    ]
    header = ("task", "method", "metric", "encoder", "against", "difference", "95 % interval", "verdict")
    return f"<details><summary>All pairs of encoders</summary>{_table(header, rows)}</details>"


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
            yield _figure(svg.confusion(counts, read[0][3]), f"{who[0]}, {mine[0].method}: true class by row, predicted by column")


def _curves(rows: Sequence[Row], out: Path) -> Iterable[str]:
    """Training and validation loss of the first fold and seed, a picture for each method."""
    curves: dict[str, dict[str, list[float]]] = {}
    for row in main_rows(rows):
        file = out / "curves" / (Path(row.predictions).stem + ".json")
        if row.fold > 1 or not row.predictions or not file.exists():
            continue
        of = curves.setdefault(row.method, {})
        if f"{row.checkpoint}, validation" not in of and row.representation == "embedding":
            epochs = json.loads(file.read_text())
            of[f"{row.checkpoint}, training"] = [e["train_loss"] for e in epochs]
            of[f"{row.checkpoint}, validation"] = [e.get("val_loss", float("nan")) for e in epochs]
    for method, of in curves.items():
        longest = max(map(len, of.values()))
        yield _figure(svg.lines([str(i + 1) for i in range(longest)], of), f"{method}: loss by epoch")


def _maps(task: str, out: Path) -> Iterable[str]:
    for file in sorted((out / "maps").glob("*.json")):
        found = load_map(file)
        if found.task == task:
            labels = np.array(found.labels)
            picture = svg.scatter(np.array(found.points), labels, found.paths)
            yield _figure(
                picture, f"{found.checkpoint}: {TITLES[found.method]} of the test clips by {found.label}; each point names its clip"
            )


def _robustness(out: Path) -> str:
    rows = _read(out / "robustness.csv")
    figures, table = [], []
    for task, family in dict.fromkeys((r["task"], r["detail"].split("/")[0]) for r in rows):
        mine = [r for r in rows if r["task"] == task and r["detail"].startswith(f"{family}/")]
        mine = [r for r in mine if r["metric"] == mine[0]["metric"]]  # The main metric comes first.
        ticks = list(dict.fromkeys(r["detail"].split("/", 1)[1] for r in mine))
        curves: dict[str, list[float]] = {}
        for r in mine:
            method = r["method"].split(f", {family} ")[0]
            curve = curves.setdefault(f"{r['checkpoint']}, {method}", [float("nan")] * len(ticks))
            curve[ticks.index(r["detail"].split("/", 1)[1])] = float(r["value"])
            value, low, high = (f"{float(r[k]):.3f}" for k in ("value", "low", "high"))
            table.append((task, r["detail"].replace("/", " "), r["checkpoint"], method, r["metric"], value, f"{low} to {high}"))
        figures.append(_figure(svg.lines(ticks, curves, width=520), f"{task}: {mine[0]['metric']} on corrupted test audio, {family}"))
    header = ("task", "corruption", "checkpoint", "method", "metric", "value", "95 % interval")
    details = f"<details><summary>Table</summary>{_table(header, table)}</details>"
    return f"<h2>Robustness</h2>{''.join(figures)}{details}" if rows else ""


def _invariance(out: Path) -> str:
    parts = []
    for file in sorted((out / "invariance").glob("*.csv")):
        rows = _read(file)
        if rows:
            parts.append(f"<h3>{escape(file.stem)}</h3>" + _table(tuple(rows[0]), [tuple(row.values()) for row in rows]))
    return (
        "<h2>Invariance</h2><p>Mean distance between the embeddings of a clip and of its augmented form; lower is more invariant.</p>"
        + "".join(parts)
        if parts
        else ""
    )


def _figure(picture: str, caption: str) -> str:
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    used = [i for i in range(len(header)) if any(row[i] for row in rows)]
    head = "".join(f"<th>{escape(header[i])}</th>" for i in used)
    body = "".join("<tr>" + "".join(_cell(row[i]) for i in used) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    number = text[:1].isdigit() or (text[:1] in "+-" and text[1:2].isdigit())
    kind = ' class="n"' if number else f' class="{text}"' if text in ("better", "worse") else ""
    return f"<td{kind}>{escape(text)}</td>"


def _read(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        return [{k: plain_cell(v or "") for k, v in row.items() if k is not None} for row in csv.DictReader(lines)]
