"""The section of a report on calibration: the error before and after temperature scaling."""

import re
from collections.abc import Sequence
from html import escape

import numpy as np

from semisupcon.probing.report.html import table
from semisupcon.probing.report.section import Section
from semisupcon.probing.scores.calibration import SCALED, TEMPERATURE
from semisupcon.probing.scores.results import Row
from semisupcon.probing.scores.summary import how_of, who_of

NOTE = (
    "Expected calibration error on the test clips (15 bins, lower is better), with 95 % intervals. "
    "The temperature is fitted on the validation clips and saved with the head; semisupcon predict "
    "uses it. Other results are those of the probabilities before it."
)
HEADER = ("encoder", "task", "method", "temperature", "before", "after")


def calibration_section(rows: Sequence[Row]) -> Section | None:
    """Return the section with one row per encoder, method and task with calibrated heads.

    The values are means over seeds and folds. Returns None if no head is calibrated.
    """
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row.metric in ("ece", SCALED) and TEMPERATURE in row.detail:
            groups.setdefault((who_of(row), row.task, how_of(row)), []).append(row)
    lines = [
        (*key, _temperatures(mine), _mean(mine, "ece"), _mean(mine, SCALED))
        for key, mine in groups.items()
    ]
    if not lines:
        return None
    html = f"<p>{escape(NOTE)}</p>{table(HEADER, lines)}"
    return Section("Calibration", html, [NOTE], tables=[(HEADER, lines)])


def _temperatures(rows: Sequence[Row]) -> str:
    found = [re.search(rf"{TEMPERATURE} ([\d.]+)", row.detail) for row in rows]
    values = [float(match[1]) for match in found if match]
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def _mean(rows: Sequence[Row], metric: str) -> str:
    mine = [(row.value, row.low, row.high) for row in rows if row.metric == metric]
    value, low, high = np.mean(mine, axis=0)
    return f"{value:.3f} ({low:.3f} to {high:.3f})"
