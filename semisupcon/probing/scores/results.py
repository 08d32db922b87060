"""Read and write ``results.csv``, with one row per metric of each probe.

The file is written after each probe, so that an interrupted suite can continue.
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

# Columns that identify a result: a new result with equal values replaces an old one.
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
    """One metric of one result.

    Attributes:
        task, kind, fold: name of the task, label kind, and cross-validation fold (0 without folds).
        checkpoint, source, representation: name, source and representation of the encoder; source
            is "random" for an untrained encoder.
        method, aggregation, train_share, detail: method of the probe, and its main settings.
        seed: seed of the head, of random draws, and of the initialisation of random encoders.
        metric, value, low, high: name and value of the metric, and its 95 % interval. The first row
            of a result has the main metric of the task.
        chance: main metric of a prediction without audio; NaN for other metrics.
        n_train, n_test: number of training and test clips; of episodes for few-shot methods.
        seconds: run time of the probe in seconds, without the embedding of clips.
        identity: hash of all inputs that affect the value.
        predictions, head: files of the predictions and the head, relative to the results file.
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
        """Return the values of the columns that identify the result of this row."""
        return tuple(getattr(self, name) for name in UNIT)


def main_rows(rows: Iterable[Row]) -> list[Row]:
    """Return the first row of each result, which has the main metric."""
    first: dict[tuple, Row] = {}
    for row in rows:
        first.setdefault(row.unit(), row)
    return list(first.values())


class Results:
    """The rows of a ``results.csv``.

    Args:
        file: results file. An existing file is read. A new file is written with the first rows.

    Raises:
        UserError: if an existing file is not a results file.
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
        """Drop rows whose prediction files no longer exist, so that their probes are repeated."""
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
        """Return whether there is a result with this identity."""
        return any(row.identity == identity for row in self.rows)

    def put(self, rows: Sequence[Row]) -> None:
        """Add the rows of a probe, replace older rows of the same results, and write the file."""
        units = {row.unit() for row in rows}
        self.rows = [row for row in self.rows if row.unit() not in units] + list(rows)
        write_csv(self.file, [f.name for f in fields(Row)], map(short_values, self.rows))


def short_values(item: Any) -> list[Any]:
    """Return the values of a dataclass instance, with floats as text of six digits."""
    return [f"{v:.6g}" if isinstance(v, float) else v for v in asdict(item).values()]


def identity_of(*parts: object) -> str:
    """Return a hash of plain values, with 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def write_predictions(
    file: Path,
    paths: Iterable[str],
    targets: np.ndarray,
    scores: np.ndarray,
    classes: Sequence[str],
    kind: str,
) -> None:
    """Write a CSV file with the path, the targets and the scores of each clip.

    Args:
        file: path of the file.
        paths: names of the n clips.
        targets: ``[n, C]``; one-hot for multiclass.
        scores: ``[n, C]``.
        classes: C class names.
        kind: label kind. For multiclass, the names of the true and the predicted class are written
            in place of the targets.
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
    """Read a file written by `write_predictions`.

    Returns:
        Paths, targets ``[n, C]``, scores ``[n, C]``, class names, and the label kind if it is
        "multiclass", else None.

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
