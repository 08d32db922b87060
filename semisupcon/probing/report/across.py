"""The section of a report that compares encoders over all tasks."""

from collections.abc import Sequence
from html import escape

import numpy as np

from semisupcon.plots import draw_critical
from semisupcon.probing.report.html import figures, table
from semisupcon.probing.report.pictures import Picture
from semisupcon.probing.report.section import Section, shown
from semisupcon.probing.scores.across import LEVEL, Across, across_tasks, not_different
from semisupcon.probing.scores.summary import Comparison, Line

HEADER = ("method", "encoder", "mean rank", "wins", "ties", "losses", "tasks")
NOTE = (
    "Mean ranks of the main metric over tasks, 1 is best. Wins, ties and losses count all other "
    "encoders on all tasks, by paired 95 % intervals. The critical difference is that of Nemenyi's "
    "test at the level 0.05 (Demsar 2006); bars join encoders that are not different by it. "
    "Tasks count as independent: with few of them, or several of the same audio, read it as a "
    "summary."
)
TOO_FEW = (
    "Encoders are compared over tasks from two encoders and two tasks on, with results of every "
    "encoder on every task."
)


def across_section(lines: Sequence[Line], comparisons: Sequence[Comparison]) -> Section:
    """Return the section with mean ranks, wins and losses, and critical differences.

    With too few results for a comparison, the section says so in one sentence.
    """
    found, title = across_tasks(lines, comparisons), "Across tasks"
    if not found:
        return Section(title, f"<p>{TOO_FEW}</p>", [TOO_FEW])
    rows = [
        (of.method, name, f"{rank:.2f}", *map(str, record), str(len(of.tasks)))
        for of in found
        for name, rank, record in zip(of.encoders, of.ranks, of.record, strict=True)
    ]
    told = [sentence(of) for of in found]
    html = f"<p>{escape(NOTE)}</p>" + figures([shown(picture_of(of)) for of in found])
    html += "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in told) + "</ul>"
    return Section(title, html + table(HEADER, rows), [NOTE], told, [(HEADER, rows)])


def picture_of(of: Across) -> Picture:
    """Draw the critical-difference diagram of a method."""
    groups = not_different(of.ranks, of.critical)
    caption = f"{of.method}: mean ranks on {len(of.tasks)} tasks ({', '.join(of.tasks)})"
    return Picture("", caption, draw_critical(of.encoders, of.ranks, of.critical, groups))


def sentence(of: Across) -> str:
    """Describe the comparison of encoders with one method in words."""
    k, n = len(of.encoders), len(of.tasks)
    said = f"{of.method}, {n} tasks: {of.encoders[0]} has the best mean rank, {of.ranks[0]:.2f}."
    if np.isnan(of.p):
        said += " Friedman's test needs three encoders."
    else:
        differ = "differ" if of.p < LEVEL else "do not differ significantly"
        said += f" The {k} encoders {differ} (Friedman's test, p = {of.p:.2g})."
    worse = [
        name
        for name, rank in zip(of.encoders, of.ranks, strict=True)
        if rank - of.ranks[0] > of.critical
    ]
    said += (
        f" By the critical difference of {of.critical:.2f}, it is better than {', '.join(worse)}."
        if worse
        else f" No rank differs from it by more than the critical difference of {of.critical:.2f}."
    )
    return said + (f" Left out, without all results: {', '.join(of.left_out)}." * bool(of.left_out))
