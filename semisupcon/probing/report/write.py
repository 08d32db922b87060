"""Writing the report of a suite: summary tables, Markdown and the HTML page."""

from collections.abc import Sequence
from pathlib import Path

from semisupcon.files import write_text
from semisupcon.probing.report.page import page
from semisupcon.probing.report.table import markdown, table
from semisupcon.probing.scores.bootstrap import RESAMPLES
from semisupcon.probing.scores.results import Row
from semisupcon.probing.scores.summary import summarise, write_lines


def write_report(rows: Sequence[Row], out: Path, resamples: int = RESAMPLES) -> str:
    """Write ``summary.csv``, ``comparisons.csv``, ``report.md`` and ``report.html`` beside the results; returns the table for the terminal."""
    lines, comparisons = summarise(rows, out, resamples)
    write_lines(lines, out / "summary.csv")
    write_lines(comparisons, out / "comparisons.csv")
    write_text(out / "report.md", markdown(lines, comparisons))
    write_text(out / "report.html", page("What the representations are worth", lines, comparisons, rows, out))
    return table(lines, comparisons)
