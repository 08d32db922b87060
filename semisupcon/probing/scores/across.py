"""Compare encoders over several tasks by their ranks (Demsar 2006, section 3.2).

The encoders of a task are ranked by the main metric: rank 1 is the best, and equal values share
their mean rank. Friedman's test and the critical difference of Nemenyi's test use the mean ranks.
Wins, losses and ties come from paired bootstrap intervals.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from semisupcon.probing.scores.metrics import lower_is_better
from semisupcon.probing.scores.summary import Comparison, Line

LEVEL = 0.05


@dataclass(frozen=True)
class Across:
    """The comparison of k encoders on N tasks with one method.

    Attributes:
        method: name of the method.
        tasks: the N tasks that have results of all k encoders.
        encoders: the k encoders, best mean rank first.
        ranks: mean rank of each encoder, 1 to k.
        record: wins, ties and losses of each encoder against all other encoders on all tasks.
        p: p-value of Friedman's test, whose null hypothesis is that all encoders are equal; NaN for
            two encoders.
        critical: critical difference: encoders whose mean ranks differ by more are significantly
            different at the level 0.05.
        left_out: encoders and tasks that are left out because results are missing.
    """

    method: str
    tasks: tuple[str, ...]
    encoders: tuple[str, ...]
    ranks: tuple[float, ...]
    record: tuple[tuple[int, int, int], ...]
    p: float
    critical: float
    left_out: tuple[str, ...] = ()


def critical_difference(encoders: int, tasks: int, level: float = LEVEL) -> float:
    """Return Nemenyi's critical difference of mean ranks, ``q sqrt(k (k + 1) / (6 N))``.

    q is the quantile of the studentized range distribution for infinite degrees of freedom, divided
    by sqrt(2).

    Args:
        encoders: number of encoders k, at least 2.
        tasks: number of tasks N.
        level: significance level, the probability of at least one false difference.
    """
    q = studentized_range.ppf(1 - level, encoders, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(encoders * (encoders + 1) / (6 * tasks)))


def across_tasks(lines: Sequence[Line], comparisons: Sequence[Comparison]) -> list[Across]:
    """Return one comparison per method with at least two encoders and two tasks.

    First, encoders with results on at most half of the tasks are left out. Then, tasks without
    results of all remaining encoders are left out.

    Args:
        lines: summary of the results. The first line of a task has its main metric.
        comparisons: comparisons of all pairs of encoders.
    """
    found = []
    for method in dict.fromkeys(line.method for line in lines):
        values: dict[str, dict[str, float]] = {}
        metric: dict[str, str] = {}
        for line in lines:
            if line.method == method and metric.setdefault(line.task, line.metric) == line.metric:
                values.setdefault(line.task, {})[line.checkpoint] = line.value
        names = list(dict.fromkeys(name for of in values.values() for name in of))
        held = {name: sum(name in of for of in values.values()) for name in names}
        kept = [name for name in names if held[name] > len(values) / 2]
        tasks = [task for task, of in values.items() if all(name in of for name in kept)]
        if len(kept) < 2 or len(tasks) < 2:
            continue
        left_out = [*(n for n in names if n not in kept), *(t for t in values if t not in tasks)]
        table = np.array([[values[task][name] for name in kept] for task in tasks])
        if not np.isfinite(table).all():
            continue
        sign = np.array([[1.0] if lower_is_better(metric[task]) else [-1.0] for task in tasks])
        ranks = rankdata(sign * table, axis=1).mean(axis=0)
        order = np.argsort(ranks, kind="stable")
        p = float(friedmanchisquare(*table.T * sign.T).pvalue) if len(kept) > 2 else float("nan")
        mine = [c for c in comparisons if c.method == method and c.metric == metric.get(c.task)]
        found.append(
            Across(
                method,
                tuple(tasks),
                tuple(kept[i] for i in order),
                tuple(float(ranks[i]) for i in order),
                tuple(_record(kept[i], kept, tasks, mine) for i in order),
                p,
                critical_difference(len(kept), len(tasks)),
                tuple(left_out),
            )
        )
    return found


def _record(
    name: str, kept: Sequence[str], tasks: Sequence[str], comparisons: Sequence[Comparison]
) -> tuple[int, int, int]:
    """Count the wins, ties and losses of an encoder."""
    verdicts = [
        c.verdict for c in comparisons if c.ours == name and c.theirs in kept and c.task in tasks
    ]
    return verdicts.count("better"), verdicts.count("same"), verdicts.count("worse")


def not_different(ranks: Sequence[float], critical: float) -> list[tuple[int, int]]:
    """Return the groups of encoders that do not differ significantly.

    Args:
        ranks: mean ranks in ascending order.
        critical: critical difference. The ranks of a group differ by at most this value.

    Returns:
        Index of the first and the last encoder of each group. Groups are as large as possible and
        have at least two encoders.
    """
    groups: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = max(i for i in range(first, len(ranks)) if ranks[i] - ranks[first] <= critical)
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return groups
