"""Write the report of a suite: summary tables, Markdown and HTML."""

import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from semisupcon.files import write_text
from semisupcon.probing.report.across import across_section
from semisupcon.probing.report.budgets import budget_section
from semisupcon.probing.report.calibration import calibration_section
from semisupcon.probing.report.page import encoders_section, page
from semisupcon.probing.report.table import markdown, table
from semisupcon.probing.scores.bootstrap import RESAMPLES
from semisupcon.probing.scores.by_class import CLASSES, class_lines
from semisupcon.probing.scores.results import Row
from semisupcon.probing.scores.summary import Line, summarise, write_lines
from semisupcon.probing.studies.overlap import Overlap, read_overlap
from semisupcon.versions import versions_of

REPORTS = ("summary.csv", "comparisons.csv", CLASSES, "report.md", "report.html")
PACKAGES = ("semisupcon", "torch", "numpy", "scikit-learn", "matplotlib")


def write_report(
    rows: Sequence[Row], out: Path, resamples: int = RESAMPLES, command: str = "", date: str = ""
) -> str:
    """Write the report of a suite into the folder of its results.

    The files are ``summary.csv``, ``comparisons.csv``, ``classes.csv``, ``report.md`` and
    ``report.html``.

    Args:
        rows: result rows.
        out: folder of the results.
        resamples: number of bootstrap resamples.
        command, date: command of the suite and date for the footer of the page; empty texts are
            omitted.

    Returns:
        The table for the terminal.
    """
    lines, comparisons = summarise(rows, out, resamples)
    lines = with_overlap(lines, read_overlap(out))
    write_lines(lines, out / "summary.csv")
    write_lines(comparisons, out / "comparisons.csv")
    by_class = class_lines(rows, out, resamples)
    write_lines(by_class, out / CLASSES)
    sections = [across_section(lines, comparisons)]
    if (calibration := calibration_section(rows)) is not None:
        sections.append(calibration)
    if (labels := budget_section(rows, out, resamples)) is not None:
        sections.append(labels)
    if (encoders := encoders_section(out)) is not None:
        sections.append(encoders)
    told = "\n".join([markdown(lines, comparisons), *(s.markdown() for s in sections)])
    write_text(out / "report.md", told)
    more = "".join(section.page() for section in sections)
    title = "Evaluation of representations"
    about = command, date, versions()
    write_text(out / "report.html", page(title, lines, comparisons, rows, out, *about, more))
    return "\n\n".join([table(lines, comparisons), *(s.terminal() for s in sections if s.told)])


def with_overlap(lines: Sequence[Line], overlaps: Sequence[Overlap]) -> list[Line]:
    """Return lines with their field ``in_pretraining``.

    Args:
        lines: summary of the results.
        overlaps: for each task and encoder, how many test clips were in the pretraining audio.
    """
    told = {(overlap.task, overlap.checkpoint): overlap.told for overlap in overlaps}
    return [
        replace(
            line,
            in_pretraining=told.get((line.task, line.checkpoint))
            or told.get((line.task, line.checkpoint.rpartition(" (")[0]), ""),
        )
        for line in lines
    ]


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that affect results."""
    return {"Python": platform.python_version()} | versions_of(PACKAGES)
