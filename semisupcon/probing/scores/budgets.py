"""Results by number of training labels, and numbers of labels that give equal results.

The 95 % intervals come from a bootstrap over two levels: the random draws of the labelled training
clips, and the test clips. All encoders use the same draws and resamples, so comparisons are paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from semisupcon.files import write_csv
from semisupcon.probing.scores.draws import stored_bootstrap
from semisupcon.probing.scores.metrics import lower_is_better
from semisupcon.probing.scores.results import Row, main_rows, short_values

CURVES, EQUAL = "label_budgets.csv", "equal_labels.csv"
# Names of task, method and metric.
Question = tuple[str, str, str]


@dataclass(frozen=True)
class Point:
    """Result of one encoder with one number of labels.

    Attributes:
        task, method, metric, encoder: names of task, method, metric and encoder.
        labels: number of training labels.
        value, low, high: mean over draws of the training clips, and its 95 % interval over draws
            and test clips.
        chance: value of the best prediction without audio, mean over draws.
        draws: number of draws.
    """

    task: str
    method: str
    metric: str
    encoder: str
    labels: int
    value: float
    low: float
    high: float
    chance: float
    draws: int


@dataclass(frozen=True)
class Equal:
    """Numbers of labels with which two encoders have equal results.

    With ``labels`` labels, ``encoder`` has the same result as ``other`` with ``equal`` labels.

    Attributes:
        task, method, metric: names of task, method and metric.
        encoder, labels: an encoder and its number of labels.
        other: another encoder.
        equal: its number of labels, interpolated on a logarithmic scale. Infinity means more than
            ``most``, 0 means fewer than ``least``.
        low, high: 95 % interval of ``equal``.
        least, most: smallest and largest number of labels measured with ``other``.
    """

    task: str
    method: str
    metric: str
    encoder: str
    labels: int
    other: str
    equal: float
    low: float
    high: float
    least: int
    most: int

    def told(self) -> str:
        """Return the comparison as a sentence."""
        return (
            f"{self.labels} labels on {self.encoder} equal {self.number(self.equal)} labels "
            f"({self.number(self.low)} to {self.number(self.high)}) on {self.other}"
        )

    def number(self, value: float) -> str:
        """Format a number of labels; 0 and infinity become "fewer than ..." and "more than ..."."""
        if value <= 0:
            return f"fewer than {self.least}"
        return f"more than {self.most}" if np.isinf(value) else f"{value:.0f}"


# Number of labels -> the results of all resamples [count].
Resampled = Mapping[int, np.ndarray]


def curves(rows: Sequence[Row], out: Path, count: int) -> tuple[list[Point], list[Equal]]:
    """Return the points of all curves, and the comparisons of all pairs of encoders.

    Args:
        rows: rows of ``budgets.csv``. Only the rows of the main metric are used.
        out: folder of the results.
        count: number of bootstrap resamples of each draw.
    """
    found: dict[Question, dict[str, dict[int, list[Row]]]] = {}
    for row in main_rows(rows):
        method = row.method.rpartition(", ")[0]
        if row.aggregation != "embedding":
            method += f", by {row.aggregation}"
        who = row.checkpoint
        if row.representation != "embedding":
            who += f" ({row.representation})"
        by_size = found.setdefault((row.task, method, row.metric), {}).setdefault(who, {})
        by_size.setdefault(row.n_train, []).append(row)
    points: list[Point] = []
    equal: list[Equal] = []
    for question, encoders in found.items():
        drawn: dict[str, dict[int, np.ndarray]] = {}
        for who, by_size in encoders.items():
            drawn[who] = {}
            for size, of in sorted(by_size.items()):
                each = _resampled(sorted(of, key=lambda row: row.seed), out, count, question[2])
                low, high = _interval(each)
                value, chance = (
                    float(np.mean([getattr(row, name) for row in of]))
                    for name in ("value", "chance")
                )
                points.append(Point(*question, who, size, value, low, high, chance, len(of)))
                drawn[who][size] = each
        values = {who: {p.labels: p.value for p in _of(points, question, who)} for who in drawn}
        for who in drawn:
            for other in drawn:
                if who != other:
                    equal += _equal(question, who, other, drawn, values)
    return points, equal


def _of(points: Sequence[Point], question: Question, who: str) -> list[Point]:
    return [p for p in points if (p.task, p.method, p.metric, p.encoder) == (*question, who)]


def _resampled(rows: Sequence[Row], out: Path, count: int, metric: str) -> np.ndarray:
    """Return the mean over draws of a metric in each resample, ``[count]``.

    Resample b takes the draws with replacement and the test clips of bootstrap resample b.
    """
    each = np.stack(
        [stored_bootstrap(r.kind, out, [r.predictions], count).draws[metric] for r in rows]
    )
    chosen = np.random.default_rng(0).integers(len(rows), size=(each.shape[1], len(rows)))
    return each[chosen, np.arange(each.shape[1])[:, None]].mean(axis=1)


def _interval(values: np.ndarray) -> tuple[float, float]:
    known = np.sort(values[~np.isnan(values)])
    if not len(known):
        return float("nan"), float("nan")
    # No interpolation between values, because some may be infinite.
    last = len(known) - 1
    return float(known[round(0.025 * last)]), float(known[round(0.975 * last)])


def _equal(
    question: Question,
    who: str,
    other: str,
    drawn: Mapping[str, Resampled],
    values: Mapping[str, Mapping[int, float]],
) -> list[Equal]:
    sizes = sorted(drawn[other])
    if len(sizes) < 2:
        return []
    sign = -1 if lower_is_better(question[2]) else 1
    curve = sign * np.stack([drawn[other][size] for size in sizes], axis=1)
    told = sign * np.array([[values[other][size] for size in sizes]])
    result = []
    for size, mine in drawn[who].items():
        (middle,) = labels_for(sign * np.array([values[who][size]]), told, sizes)
        low, high = _interval(labels_for(sign * mine, curve, sizes))
        ends = sizes[0], sizes[-1]
        result.append(Equal(*question, who, size, other, float(middle), low, high, *ends))
    return result


def labels_for(wanted: np.ndarray, curve: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Return the numbers of labels at which curves reach given values.

    Args:
        wanted: ``[b]``, value to reach on each curve; higher is better.
        curve: ``[b, k]``, values of each curve at ``sizes``. They are replaced by their running
            maximum, so that no curve falls.
        sizes: k numbers of labels, ascending.

    Returns:
        ``[b]``, interpolated on a logarithmic scale; 0 where the first value of the curve is
        already better, infinity where the curve does not reach the value.
    """
    best, at = np.maximum.accumulate(curve, axis=1), np.log(np.asarray(sizes, float))
    result = np.empty(len(wanted))
    for i, (value, row) in enumerate(zip(wanted, best, strict=True)):
        reached = np.flatnonzero(row >= value)
        if np.isnan(value) or np.isnan(row).any():
            result[i] = np.nan
        elif not len(reached):
            result[i] = np.inf
        elif reached[0] == 0:
            result[i] = 0 if row[0] > value else sizes[0]
        else:
            j = reached[0]
            share = (value - row[j - 1]) / (row[j] - row[j - 1])
            result[i] = np.exp(at[j - 1] + share * (at[j] - at[j - 1]))
    return result


def write_curves(points: Sequence[Point], equal: Sequence[Equal], out: Path) -> None:
    """Write the points to ``label_budgets.csv`` and the comparisons to ``equal_labels.csv``."""
    for items, name in ((points, CURVES), (equal, EQUAL)):
        if items:
            write_csv(out / name, [f.name for f in fields(items[0])], map(short_values, items))
