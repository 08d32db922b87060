"""Curves of results over numbers of labels, and numbers of labels that give equal results.

Intervals are 95 %, by a bootstrap of two levels: draws of the labelled clips with replacement, and
test clips. All encoders and numbers share the resamples and the draws, so comparisons are paired.
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
# Task, method and metric.
Question = tuple[str, str, str]


@dataclass(frozen=True)
class Point:
    """Result of one encoder with one number of labels.

    Attributes:
        task, method, metric, encoder, labels: what was measured.
        value, low, high: mean over draws, and its 95 % interval over draws and test clips.
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
    """``labels`` labels on ``encoder`` give the result of ``equal`` labels on ``other``.

    ``equal`` is interpolated on the logarithm of the number of labels. Infinity: more than the
    largest number measured; 0: fewer than the smallest one. ``low`` and ``high`` are its 95 %
    interval.
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
        """The sentence of the comparison."""
        return (
            f"{self.labels} labels on {self.encoder} equal {self.number(self.equal)} labels "
            f"({self.number(self.low)} to {self.number(self.high)}) on {self.other}"
        )

    def number(self, value: float) -> str:
        """A number of labels in words: below, within or above the numbers measured."""
        if value <= 0:
            return f"fewer than {self.least}"
        return f"more than {self.most}" if np.isinf(value) else f"{value:.0f}"


# By number of labels, the resampled results [count].
Resampled = Mapping[int, np.ndarray]


def curves(rows: Sequence[Row], out: Path, count: int) -> tuple[list[Point], list[Equal]]:
    """Points and comparisons of all rows of ``budgets.csv``.

    Args:
        rows: its rows; those of the main metric are used.
        out: folder of the results.
        count: bootstrap resamples of each draw.
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
    """Resampled means over draws, ``[count]``: draws with replacement, resample b of the clips."""
    each = np.stack(
        [stored_bootstrap(r.kind, out, [r.predictions], count).draws[metric] for r in rows]
    )
    chosen = np.random.default_rng(0).integers(len(rows), size=(each.shape[1], len(rows)))
    return each[chosen, np.arange(each.shape[1])[:, None]].mean(axis=1)


def _interval(values: np.ndarray) -> tuple[float, float]:
    known = np.sort(values[~np.isnan(values)])
    if not len(known):
        return float("nan"), float("nan")
    # Without interpolation: some may be infinite.
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
    """The numbers of labels at which curves reach values, ``[b]``.

    Args:
        wanted: ``[b]`` values; higher is better.
        curve: ``[b, k]`` values at ``sizes``. The best value so far is used, so that a curve does
            not fall.
        sizes: k numbers of labels, ascending.

    Returns:
        Interpolated in the logarithm of the number; 0 where the first value is better already,
            infinity where no value is as good.
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
    """Write ``label_budgets.csv`` and ``equal_labels.csv``."""
    for items, name in ((points, CURVES), (equal, EQUAL)):
        if items:
            write_csv(out / name, [f.name for f in fields(items[0])], map(short_values, items))
