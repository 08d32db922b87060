"""Format the result of a check, and the list of tasks, as text."""

from collections.abc import Iterable

import numpy as np

from semisupcon.datasets import TASKS, find_task
from semisupcon.datasets.base import SPLITS
from semisupcon.datasets.card import card_of
from semisupcon.datasets.care.check import Findings

SHOWN, MOST_SHOWN = 5, 100
ALL_CLASSES = 12  # if there are more classes, only some are listed


def table_of(rows: Iterable[tuple], header: tuple[str, ...]) -> str:
    """Format rows as a text table with a header. Columns of numbers are aligned to the right."""
    rows = [tuple(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    is_number = [
        all(
            row[i].replace(".", "").replace(",", "").replace("-", "").isdigit() or row[i] == "-"
            for row in rows
        )
        for i in range(len(header))
    ]

    def line(row: tuple[str, ...]) -> str:
        cells = (
            cell.rjust(w) if right else cell.ljust(w)
            for cell, w, right in zip(row, widths, is_number, strict=True)
        )
        return "  ".join(cells).rstrip()

    return "\n".join([line(header), *map(line, rows)])


def list_of_tasks() -> str:
    """Return a text with one line per task: label kind, classes, split, metric, licence."""
    rows = []
    for task in sorted(TASKS):
        card = card_of(find_task(task))
        rows.append(
            (
                task,
                card.kind,
                "-" if card.classes is None else card.classes,
                card.split,
                card.metric,
                card.licence,
            )
        )
    return table_of(rows, ("task", "labels", "classes", "split", "metric", "licence"))


def report(task: str, findings: Findings) -> str:
    """Return the full result of `check` as text."""
    parts = [
        f"{task}: {findings.clips.kind}, {len(findings.clips.classes)} classes",
        _sizes(findings),
        _balance(findings),
    ]
    parts += [
        _some("Missing", findings.missing, findings.listed),
        _some(
            "Unreadable",
            [f"{path} ({why})" for path, why in findings.unreadable.items()],
            shown=MOST_SHOWN,
        ),
        _some("Silent", findings.silent, shown=MOST_SHOWN),
        _some(
            "Clipped",
            [f"{path} ({share:.1%} of its samples)" for path, share in findings.clipped.items()],
        ),
        _some(
            "Same audio in two splits",
            [
                f"{a} ({of_a}) = {b} ({of_b}){_how(findings, a, b)}"
                for a, of_a, b, of_b in findings.across
            ],
        ),
        _some(
            "Same audio twice in one split",
            [f"{a} = {b} ({split}){_how(findings, a, b)}" for a, b, split in findings.within],
        ),
        *_groups(findings),
    ]
    verdict = (
        "Fit for training."
        if findings.fit
        else "\n".join(["NOT fit for training:", *(f"  {reason}" for reason in findings.unfit)])
    )
    return "\n\n".join([*parts[:3], "\n".join(parts[3:]), verdict])


def _sizes(findings: Findings) -> str:
    splits = findings.clips.split
    labelled = findings.clips.labelled if findings.clips.classes else np.zeros(len(splits), bool)
    rows = []
    for split in SPLITS:
        mine = splits == split
        seconds = findings.seconds[mine]
        lengths = (
            ("-", "-", "-")
            if not mine.any()
            else tuple(f"{q(seconds):.2f}" for q in (np.min, np.median, np.max))
        )
        rows.append(
            (split, mine.sum(), (mine & labelled).sum(), f"{seconds.sum() / 3600:.2f}", *lengths),
        )
    return table_of(
        rows,
        ("split", "clips", "labelled", "hours", "shortest s", "median s", "longest s"),
    )


def _balance(findings: Findings) -> str:
    clips = findings.clips
    labelled = clips.select(clips.labelled & bool(clips.classes))
    by_split = {split: labelled.targets[labelled.rows(split)] for split in SPLITS}
    if clips.kind == "regression":
        rows = [
            (name, split, *(f"{q(values[:, c]):.3f}" for q in (np.mean, np.std, np.min, np.max)))
            for c, name in enumerate(clips.classes)
            for split, values in by_split.items()
            if len(values)
        ]
        return table_of(rows, ("value", "split", "mean", "std", "least", "greatest"))
    counts = {split: values.sum(axis=0).astype(int) for split, values in by_split.items()}
    order = np.argsort(-counts["train"], kind="stable")
    few = len(order) <= ALL_CLASSES
    shown = order if few else [*order[: ALL_CLASSES // 2], *order[-ALL_CLASSES // 2 :]]
    rows = [(clips.classes[c], *(counts[split][c] for split in SPLITS)) for c in shown]
    text = table_of(rows, ("class" if few else "class (commonest and rarest)", *SPLITS))
    empty = [
        f"{name} has no {split} clip"
        for split in SPLITS
        for name, n in zip(clips.classes, counts[split], strict=True)
        if n == 0
    ]
    return text + "\n" + _some("Classes without clips", empty)


def _how(findings: Findings, a: str, b: str) -> str:
    return ", encoded or scaled otherwise" * ((a, b) in findings.by_sound)


def _groups(findings: Findings) -> list[str]:
    lines = []
    for column, leaking in findings.groups.items():
        n = findings.clips.table[column].nunique()
        told = [f"{name} ({', '.join(splits)})" for name, splits in leaking.items()]
        what = (
            "Groups in two splits"
            if column == "group"
            else f"Not kept apart by this split: {column}"
        )
        lines.append(_some(what, told, n))
    return lines


def _some(what: str, items: list[str], of: int | None = None, shown: int = SHOWN) -> str:
    count = f"{len(items)}{f' of {of}' if of is not None else ''}"
    return "\n".join(
        [
            f"{what}: {count}",
            *(f"  {item}" for item in items[:shown]),
            *(["  ..."] if len(items) > shown else []),
        ]
    )
