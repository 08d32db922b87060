"""Write the report of a suite: summary tables, Markdown and HTML."""

import platform
from collections.abc import Sequence
from pathlib import Path

from semisupcon.files import write_text
from semisupcon.probing.report.page import page
from semisupcon.probing.report.table import markdown, table
from semisupcon.probing.scores.bootstrap import RESAMPLES
from semisupcon.probing.scores.by_class import CLASSES, class_lines
from semisupcon.probing.scores.results import Row
from semisupcon.probing.scores.summary import summarise, write_lines
from semisupcon.versions import versions_of

REPORTS = ("summary.csv", "comparisons.csv", CLASSES, "report.md", "report.html")
PACKAGES = ("semisupcon", "torch", "numpy", "scikit-learn", "matplotlib")


def write_report(
    rows: Sequence[Row], out: Path, resamples: int = RESAMPLES, command: str = "", date: str = ""
) -> str:
    """Write ``summary.csv``, ``comparisons.csv``, ``classes.csv``, ``report.md`` and
    ``report.html`` beside the results.

    Args:
        rows: result rows.
        out: folder of the results.
        resamples: number of bootstrap resamples.
        command, date: shown at the bottom of the page with the package versions; empty texts are
            omitted.

    Returns:
        The table for the terminal.
    """
    lines, comparisons = summarise(rows, out, resamples)
    write_lines(lines, out / "summary.csv")
    write_lines(comparisons, out / "comparisons.csv")
    by_class = class_lines(rows, out, resamples)
    write_lines(by_class, out / CLASSES)
    write_text(out / "report.md", markdown(lines, comparisons))
    title = "Evaluation of representations"
    write_text(
        out / "report.html", page(title, lines, comparisons, rows, out, command, date, versions())
    )
    return table(lines, comparisons)


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that results depend on."""
    return {"Python": platform.python_version()} | versions_of(PACKAGES)
