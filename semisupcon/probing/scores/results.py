"""The results file: one row per metric of every probe.

It is written after each probe, so that a suite can continue.
"""

import csv
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np

from semisupcon.errors import UserError, first_line
from semisupcon.files import plain_cell, write_csv
from semisupcon.paths import inside

RESULTS, ROBUSTNESS = "results.csv", "robustness.csv"
log = logging.getLogger(__name__)

# Columns that identify a result.
UNIT = (
    "task",
    "fold",
    "checkpoint",
    "representation",
    "method",
    "aggregation",
    "train_share",
    "seed",
)


@dataclass(frozen=True)
class Row:
    """One number of a result.

    Attributes:
        task, kind, fold: name of the task, label kind, and cross-validation fold (0 without folds).
        checkpoint, source, representation: the encoder; source as in `Subject`.
        method, aggregation, train_share, detail: the method.
        seed: seed of the head, of random draws, and of the initialisation of random encoders.
        metric, value, low, high: the number and its 95 % interval. The first row of a result is the
            task's main metric.
        chance: the task's main metric for the best prediction without audio; NaN for other metrics.
        n_train, n_test: number of clips (few-shot: episodes).
        seconds: run time of the probe, without embedding.
        identity: hash of everything that the number depends on.
        predictions, head: files, relative to the results file.
    """

    task: str
    kind: str
    fold: int
    checkpoint: str
    source: str
    representation: str
    method: str
    aggregation: str
    train_share: float
    detail: str
    seed: int
    metric: str
    value: float
    low: float
    high: float
    chance: float
    n_train: int
    n_test: int
    seconds: float
    identity: str
    predictions: str
    head: str

    def unit(self) -> tuple:
        """The values that identify the result of the row; a new result with the same values
        replaces it.
        """
        return tuple(getattr(self, name) for name in UNIT)


def main_rows(rows: Iterable[Row]) -> list[Row]:
    """The row of the main metric of every result: the first row."""
    first: dict[tuple, Row] = {}
    for row in rows:
        first.setdefault(row.unit(), row)
    return list(first.values())


class Results:
    """The rows of a ``results.csv``.

    Args:
        file: results file. An existing one is read; else it is created with the first row.

    Raises:
        UserError: if the file is not a results file.
    """

    def __init__(self, file: str | Path):
        self.file = Path(file)
        self.rows: list[Row] = []
        if self.file.exists():
            types = {f.name: cast("Callable[[str], Any]", f.type) for f in fields(Row)}
            try:
                with self.file.open(newline="") as lines:
                    reader = csv.DictReader(lines)
                    if set(reader.fieldnames or ()) != set(types):
                        raise ValueError("it has other columns")
                    self.rows = [
                        Row(**{k: types[k](plain_cell(v)) for k, v in line.items()})
                        for line in reader
                    ]
                for row in self.rows:
                    for name in filter(None, (row.predictions, row.head)):
                        inside(self.file.parent, name, str(self.file))
            except UserError:
                raise
            except (KeyError, TypeError, ValueError, AttributeError, csv.Error) as error:
                raise UserError(
                    f"{self.file} is not a results file of this version: {error}.\nMove it away, "
                    "or give another --out."
                ) from error
            self._leave_out_lost()

    def _leave_out_lost(self) -> None:
        """Drop rows whose predictions no longer exist, so that their probes are run again."""
        lost = {
            row.predictions
            for row in self.rows
            if row.predictions and not (self.file.parent / row.predictions).is_file()
        }
        if lost:
            log.warning(
                "%d predictions are missing in %s; their probes are run again.",
                len(lost),
                self.file.parent,
            )
            self.rows = [row for row in self.rows if row.predictions not in lost]

    def done(self, identity: str) -> bool:
        """Whether there is a result with this identity."""
        return any(row.identity == identity for row in self.rows)

    def put(self, rows: Sequence[Row]) -> None:
        """Add the rows of a probe, replace older rows of the same results, and write the whole
        file.
        """
        units = {row.unit() for row in rows}
        self.rows = [row for row in self.rows if row.unit() not in units] + list(rows)
        write_csv(self.file, [f.name for f in fields(Row)], map(short_values, self.rows))


def short_values(item: Any) -> list[Any]:
    """The values of a dataclass instance; floats with six digits."""
    return [f"{v:.6g}" if isinstance(v, float) else v for v in asdict(item).values()]


def identity_of(*parts: object) -> str:
    """A short hash of plain values (16 hexadecimal digits)."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def write_predictions(
    file: Path,
    paths: Iterable[str],
    targets: np.ndarray,
    scores: np.ndarray,
    classes: Sequence[str],
    kind: str,
) -> None:
    """Write one row per clip: path, target, prediction (multiclass only), and the score of every
    class.
    """
    if kind == "multiclass":
        known = ["true", "predicted"]
        names = zip(targets.argmax(axis=1), scores.argmax(axis=1), strict=True)
        rows = ([classes[t], classes[p]] for t, p in names)
    else:
        known = [f"true {c}" for c in classes]
        rows = ([f"{v:g}" for v in row] for row in targets)
    lines = (
        [path, *words, *(f"{v:.6g}" for v in numbers)]
        for path, words, numbers in zip(paths, rows, scores, strict=True)
    )
    write_csv(file, ["path", *known, *(f"score {c}" for c in classes)], lines)


def read_predictions(
    file: Path,
) -> tuple[list[str], np.ndarray, np.ndarray, tuple[str, ...], str | None]:
    """Read a file of `write_predictions`.

    Returns:
        Paths, targets ``[n, C]``, scores ``[n, C]``, classes, and "multiclass" (None for other
        label kinds).

    Raises:
        UserError: if the file is damaged.
    """
    try:
        with file.open(newline="") as lines:
            header, *rows = list(csv.reader(lines))
        names = tuple(h.removeprefix("score ") for h in header if h.startswith("score "))
        if not rows or not names or any(len(row) != len(header) for row in rows):
            raise ValueError("rows are missing or incomplete")
        scores = np.array([row[-len(names) :] for row in rows], dtype=np.float64).reshape(
            len(rows), len(names)
        )
        if header[1] == "true":
            targets = np.eye(len(names))[[names.index(plain_cell(row[1])) for row in rows]]
        else:
            targets = np.array([row[1 : 1 + len(names)] for row in rows], dtype=np.float64)
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise UserError(
            f"{file} is damaged: {first_line(error, 160)}.\nDelete it and repeat the command; the "
            "probe is then run again."
        ) from error
    return (
        [plain_cell(row[0]) for row in rows],
        targets,
        scores,
        names,
        "multiclass" if header[1] == "true" else None,
    )
