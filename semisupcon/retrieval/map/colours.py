"""What colours the points of a map: labels or predictions from tables, or clusters."""

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from semisupcon.errors import UserError
from semisupcon.files import plain_cell
from semisupcon.retrieval.map.clips import Clips

DISTINCT = 12  # more numbers than this are a scale
NAMES, LABELS = ("file", "path"), ("value", "label", "class")


class Row(NamedTuple):
    """A row of a table: times in seconds or None, label, and weight."""

    start: float | None
    end: float | None
    label: str
    weight: float


@dataclass
class Colouring:
    """One value per clip.

    Attributes:
        name: name for the page.
        classes: names of the classes; empty for numbers.
        codes: ``[n]`` int, class of each clip; -1 without.
        values: ``[n]`` float for numbers, NaN without; else None.
    """

    name: str
    classes: list[str]
    codes: np.ndarray
    values: np.ndarray | None = None


def by_cluster(found: np.ndarray) -> Colouring:
    """A colouring by the numbers of clusters."""
    count = int(found.max()) + 1
    return Colouring("cluster", [f"cluster {i + 1}" for i in range(count)], found)


def read_colouring(file: str | Path, clips: Clips) -> tuple[Colouring, int]:
    """Read the labels of clips from a table.

    The table has the columns ``file`` (or ``path``) and ``label``, as `semisupcon predict` writes
    it; of a table with the column ``value``, the values of the first label count. A name matches a
    clip if the name of the clip's file equals it or ends with it. Of several rows of a clip, the
    label with the largest sum of ``probability`` (1 without this column) counts; rows with
    ``start`` and ``end`` count for windows that they overlap.

    Returns:
        The colouring, and the number of clips that have a label.

    Raises:
        UserError: if the table cannot be read, lacks a column, or names none of the files.
    """
    file = Path(file)
    table, scale = _read(file)
    labels = [_label(clips, i, _of_file(table, name)) for i, name in enumerate(clips.files)]
    known = [label for label in labels if label is not None]
    if not known:
        example = next(iter(table), "none")
        raise UserError(
            f"--labels {file} names none of the {len(clips)} clips.\nA file of the table: "
            f"{example}; of the map: {clips.files[0]}"
        )
    if scale and len(set(known)) > DISTINCT:
        values = np.array([np.nan if label is None else float(label) for label in labels])
        return Colouring(file.stem, [], np.where(np.isnan(values), -1, 0), values), len(known)
    classes = sorted(set(known), key=(lambda x: (float(x), x)) if scale else None)
    number = {label: i for i, label in enumerate(classes)}
    codes = np.array([-1 if label is None else number[label] for label in labels])
    return Colouring(file.stem, classes, codes), len(known)


def _read(file: Path) -> tuple[dict[str, list[Row]], bool]:
    """Rows by name, and whether all labels are numbers."""
    table: dict[str, list[Row]] = defaultdict(list)
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            rows = csv.DictReader(opened)
            columns = rows.fieldnames or []
            name = next((c for c in NAMES if c in columns), None)
            label = next((c for c in LABELS if c in columns), None)
            if name is None or label is None:
                raise UserError(
                    f"--labels {file} needs the columns file and label; it has: "
                    f"{', '.join(columns)[:200] or 'none'}."
                )
            target = None
            for row in rows:
                if label == "value":
                    target = row.get("label") if target is None else target
                    if row.get("label") != target:
                        continue
                if not row[name] or not row[label]:
                    continue
                try:
                    start, end = (float(row[c]) if row.get(c) else None for c in ("start", "end"))
                    weight = float(row.get("probability") or 1)
                except ValueError as error:
                    raise UserError(
                        f"A time or probability is not a number.\nIn: {file}, line {rows.line_num}"
                    ) from error
                if not weight >= 0:
                    raise UserError(
                        f"A probability must not be below 0.\nIn: {file}, line {rows.line_num}"
                    )
                key = plain_cell(row[name]).removeprefix("./")
                table[key].append(Row(start, end, plain_cell(row[label]), weight))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise UserError(f"--labels {file} cannot be read: {said}.") from error
    return table, all(_is_number(row.label) for rows in table.values() for row in rows)


def _of_file(table: dict[str, list[Row]], name: str) -> list[Row]:
    """The rows of a file: those of its name, else of its longest ending that the table holds."""
    rest: str | None = name
    while rest:
        if rest in table:
            return table[rest]
        rest = rest.partition("/")[2] or None
    return []


def _label(clips: Clips, i: int, rows: list[Row]) -> str | None:
    weights: dict[str, float] = defaultdict(float)
    for row in rows:
        share = 1.0
        if clips.starts is not None and clips.ends is not None and row.start is not None:
            end = np.inf if row.end is None else row.end
            share = max(0.0, min(end, clips.ends[i]) - max(row.start, clips.starts[i]))
        if share > 0:
            weights[row.label] += share * row.weight
    return min(weights, key=lambda label: (-weights[label], label)) if weights else None


def _is_number(text: str) -> bool:
    try:
        return np.isfinite(float(text))
    except ValueError:
        return False
