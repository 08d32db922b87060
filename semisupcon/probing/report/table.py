"""Format the table of results for the terminal and for Markdown."""

from collections.abc import Sequence

import numpy as np

from semisupcon.probing.scores.summary import Comparison, Line, baseline

HEADER = (
    "task",
    "method",
    "checkpoint",
    "metric",
    "value",
    "95 % interval",
    "chance",
    "against",
    "verdict",
    "clips",
    "seeds",
    "in pretraining",
)


_RIGHT = (4, 5, 6, 9, 10)


def cells(lines: Sequence[Line], comparisons: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """Return the rows of the table, without the header.

    Rows with the same task, method and metric are adjacent. Groups are in the order of ``lines``.
    """
    found = {(c.task, c.method, c.metric, c.ours, c.theirs): c for c in comparisons}
    rows: list[tuple[str, ...]] = []
    for question in dict.fromkeys(line.question for line in lines):
        against = baseline(lines, question)
        for line in (line for line in lines if line.question == question):
            asked = (*question, line.checkpoint)
            comparison = None if against is None else found.get((*asked, against))
            said = (
                ("", "")
                if comparison is None
                else (f"{comparison.difference:+.3f} on {against}", comparison.verdict)
            )
            value = f"{line.value:.3f}" + ("" if np.isnan(line.spread) else f" ± {line.spread:.3f}")
            by_chance = "" if np.isnan(line.chance) else f"{line.chance:.3f}"
            who = line.checkpoint + " *" * line.untrained
            interval = f"{line.low:.3f} to {line.high:.3f}"
            rows.append(
                (
                    line.task,
                    line.method,
                    who,
                    line.metric,
                    value,
                    interval,
                    by_chance,
                    *said,
                    str(line.tracks),
                    str(line.seeds),
                    line.in_pretraining,
                )
            )
    return rows


def table(lines: Sequence[Line], comparisons: Sequence[Comparison]) -> str:
    """Return the table as aligned text for a terminal. Empty columns are omitted."""
    rows = [HEADER, *cells(lines, comparisons)]
    used = [i for i in range(len(HEADER)) if any(row[i] for row in rows[1:])]
    width = {i: max(len(row[i]) for row in rows) for i in used}
    text = [
        "  ".join(
            row[i].rjust(width[i]) if i in _RIGHT else row[i].ljust(width[i]) for i in used
        ).rstrip()
        for row in rows
    ]
    text.insert(1, "  ".join("-" * width[i] for i in used))
    return "\n".join([*text, *_notes(lines)])


def markdown(lines: Sequence[Line], comparisons: Sequence[Comparison]) -> str:
    """Return the table in Markdown. Empty columns are omitted."""
    rows = cells(lines, comparisons)
    used = [i for i in range(len(HEADER)) if any(row[i] for row in rows)]
    text = [
        "| " + " | ".join(HEADER[i] for i in used) + " |",
        "|" + "|".join("---:" if i in _RIGHT else "---" for i in used) + "|",
    ]
    text += ["| " + " | ".join(row[i] for i in used) + " |" for row in rows]
    return "\n".join([*text, "", *_notes(lines)]) + "\n"


def _notes(lines: Sequence[Line]) -> list[str]:
    """Return explanations of the signs in the table."""
    notes = []
    if any(line.untrained for line in lines):
        notes.append("* untrained, same architecture")
    if any(not np.isnan(line.spread) for line in lines):
        notes.append(
            "value ± standard deviation over seeds; intervals over test clips (few-shot: over "
            "episodes)"
        )
    if any(line.in_pretraining for line in lines):
        notes.append(
            "in pretraining: test clips that were in the training audio of the encoder, as far as "
            "its run describes it"
        )
    return notes
