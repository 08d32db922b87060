"""Compare encoders over several tasks: mean ranks, wins and losses, Friedman's test and the critical
difference of Nemenyi's test (Demsar 2006, section 3.2).

Ranks compare the values of the main metric: rank 1 is the best encoder of a task, ties share their
mean rank. Wins, losses and ties come from the paired intervals of the comparisons.
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
        ranks: mean rank of each, 1 to k.
        record: for each, wins, ties and losses over all other encoders and tasks.
        p: of Friedman's test that all encoders are equal; NaN for two encoders.
        critical: two mean ranks that differ by more are different at the level 0.05.
        left_out: encoders or tasks without results in all cells.
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
    """Nemenyi's critical difference of mean ranks: ``q sqrt(k (k + 1) / (6 N))``, with q the
    quantile of the studentized range for infinite degrees of freedom, over the root of 2.

    Args:
        encoders: k, at least 2.
        tasks: N.
        level: probability of any false difference.
    """
    q = studentized_range.ppf(1 - level, encoders, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(encoders * (encoders + 1) / (6 * tasks)))


def across_tasks(lines: Sequence[Line], comparisons: Sequence[Comparison]) -> list[Across]:
    """One comparison per method that has at least two encoders on the same two or more tasks.

    The main metric of a task is that of its first line. A task without results of all encoders is
    left out; an encoder that lacks more than half of the tasks is left out first.
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
    """Wins, ties and losses of an encoder."""
    verdicts = [
        c.verdict for c in comparisons if c.ours == name and c.theirs in kept and c.task in tasks
    ]
    return verdicts.count("better"), verdicts.count("same"), verdicts.count("worse")


def not_different(ranks: Sequence[float], critical: float) -> list[tuple[int, int]]:
    """Maximal groups of neighbouring encoders whose ranks differ by at most ``critical``: first and
    last position of each, in ascending order of ranks; groups of one are left out.
    """
    groups: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = max(i for i in range(first, len(ranks)) if ranks[i] - ranks[first] <= critical)
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return groups
