"""Write the report of a suite as one HTML page without external files.

The page has tables with confidence intervals, learning curves, confusion matrices and maps.
"""

import csv
import logging
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from semisupcon.errors import first_line
from semisupcon.files import plain_cell
from semisupcon.plots import svg_text
from semisupcon.probing.report.classes import all_metrics, class_tables
from semisupcon.probing.report.html import document, figure, figures, table
from semisupcon.probing.report.pictures import (
    Picture,
    method_of,
    pictures_of,
    robustness_pictures,
    robustness_questions,
    robustness_rows,
)
from semisupcon.probing.report.section import Section
from semisupcon.probing.report.table import HEADER, cells
from semisupcon.probing.scores.by_class import CLASSES
from semisupcon.probing.scores.results import Results, Row
from semisupcon.probing.scores.summary import Comparison, Line

log = logging.getLogger(__name__)


def page(
    title: str,
    lines: Sequence[Line],
    comparisons: Sequence[Comparison],
    rows: Sequence[Row],
    out: Path,
    command: str = "",
    date: str = "",
    versions: Mapping[str, str] | None = None,
    more: str = "",
) -> str:
    """Return the text of the HTML page.

    Args:
        title: heading of the page.
        lines, comparisons: summary of ``rows``.
        rows: result rows.
        out: folder with the result files, such as predictions, maps and further tables.
        command, date, versions: command of the suite, date, and package versions for the footer.
        more: HTML of further sections, which follow the tables.
    """
    parts = [
        _results(lines, comparisons),
        _pairs(comparisons),
        all_metrics(rows),
        more,
    ]
    for task in dict.fromkeys(row.task for row in rows):
        of_task = [row for row in rows if row.task == task]
        found = [_shown(picture) for picture in pictures_of(task, of_task, out)]
        if found:
            parts.append(f"<h2>{escape(task)}</h2>{figures(found)}")
    parts += [class_tables(read_rows(out / CLASSES)), _robustness(out), _invariance(out)]
    return document(title, "".join(parts), command, date, versions)


def _results(lines: Sequence[Line], comparisons: Sequence[Comparison]) -> str:
    note = """<p>Intervals are 95 %, by bootstrap over test clips (few-shot: 1.96 standard errors);
    ± is the standard deviation over seeds. The verdict is from a paired bootstrap: "same" if the
    interval of the difference contains 0. * untrained, same architecture.</p>"""
    return note + table(HEADER, cells(lines, comparisons))


def _pairs(comparisons: Sequence[Comparison]) -> str:
    if len({c.ours for c in comparisons}) < 3:
        return ""
    rows = [
        (
            c.task,
            c.method,
            c.metric,
            c.ours,
            c.theirs,
            f"{c.difference:+.3f}",
            f"{c.low:+.3f} to {c.high:+.3f}",
            c.verdict,
        )
        for c in comparisons
        if c.ours < c.theirs
    ]
    header = (
        "task",
        "method",
        "metric",
        "encoder",
        "against",
        "difference",
        "95 % interval",
        "verdict",
    )
    return f"<details><summary>All pairs of encoders</summary>{table(header, rows)}</details>"


def encoders_section(out: Path) -> Section | None:
    """Return a section with the sample rate, input, layer and pooling of each encoder, from
    ``encoders.csv``; None without this file.

    On the HTML page, the table is folded.
    """
    rows = read_rows(out / "encoders.csv")
    if not rows:
        return None
    header, of_each = tuple(rows[0]), [tuple(row.values()) for row in rows]
    shown = (
        f"<details><summary>Rate, input, layer, pooling</summary>{table(header, of_each)}</details>"
    )
    return Section("Encoders", shown, tables=[(header, of_each)])


def _robustness(out: Path) -> str:
    Results(out / "robustness.csv")  # Raises a UserError for a damaged file.
    rows = read_rows(out / "robustness.csv")
    found = [_shown(picture) for picture in robustness_pictures(rows)]
    lines = []
    for task, family in robustness_questions(rows):
        for r in robustness_rows(rows, task, family):
            value, low, high = (f"{float(r[k]):.3f}" for k in ("value", "low", "high"))
            method = method_of(r, family)
            lines.append(
                (
                    task,
                    r["detail"].replace("/", " "),
                    r["checkpoint"],
                    method,
                    r["metric"],
                    value,
                    f"{low} to {high}",
                )
            )
    header = ("task", "corruption", "checkpoint", "method", "metric", "value", "95 % interval")
    details = f"<details><summary>Table</summary>{table(header, lines)}</details>"
    return f"<h2>Robustness</h2>{figures(found)}{details}" if rows else ""


def _invariance(out: Path) -> str:
    parts = []
    for file in sorted((out / "invariance").glob("*.csv")):
        rows = read_rows(file)
        if rows:
            parts.append(
                f"<h3>{escape(file.stem)}</h3>"
                + table(tuple(rows[0]), [tuple(row.values()) for row in rows])
            )
    return (
        "<h2>Invariance</h2><p>Mean distance between the embeddings of a clip and of its augmented "
        "version; lower is more invariant.</p>" + "".join(parts)
        if parts
        else ""
    )


def _shown(picture: Picture) -> str:
    return figure(
        svg_text(picture.figure, salt=f"{picture.task} {picture.caption}"), picture.caption
    )


def read_rows(file: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV file.

    The list is empty if the file does not exist, or is damaged (with a warning).
    """
    if not file.exists():
        return []
    try:
        lines = file.read_text().splitlines(keepends=True)
        return [
            {k: plain_cell(v or "") for k, v in row.items() if k is not None}
            for row in csv.DictReader(lines)
        ]
    except (OSError, ValueError, csv.Error) as error:
        log.warning("The table %s is left out: %s", file, first_line(error, 160))
        return []
