"""Summarise results: average over seeds, pool folds, and compare pairs of encoders."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semisupcon.files import write_csv
from semisupcon.kinds import KINDS
from semisupcon.probing.scores.bootstrap import RESAMPLES, Drawn, average, difference, verdict
from semisupcon.probing.scores.draws import stored_bootstrap
from semisupcon.probing.scores.results import Row, read_predictions, short_values

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True)
class Line:
    """The result of one encoder for one task, method and metric.

    Attributes:
        task, method, metric: names of task, method and metric. The name of the method includes
            aggregation and share of training clips, if they are not the defaults.
        checkpoint: name of the encoder, with the representation if it is not the embedding.
        untrained: whether the encoder is untrained.
        value, low, high: mean over seeds on all test clips (folds pooled), and its 95 % interval
            over clips.
        spread: standard deviation over seeds; NaN for one seed.
        chance: value of the best prediction without audio; NaN if unknown.
        tracks: number of test clips; of episodes for few-shot methods.
        seeds: number of seeds.
        in_pretraining: test clips that were in the training audio of the encoder ("12 of 80"),
            "unknown", or empty for encoders without training.
    """

    task: str
    method: str
    metric: str
    checkpoint: str
    untrained: bool
    value: float
    low: float
    high: float
    spread: float
    chance: float
    tracks: int
    seeds: int
    in_pretraining: str = ""

    @property
    def question(self) -> tuple[str, str, str]:
        """Task, method and metric. Only lines that agree in all three are compared."""
        return self.task, self.method, self.metric


@dataclass(frozen=True)
class Comparison:
    """Comparison of two encoders on the same clips by a paired bootstrap.

    ``difference`` is the metric of ``ours`` minus that of ``theirs``; ``low`` and ``high`` are its
    95 % interval. ``verdict`` says whether ``ours`` is "better", "same" or "worse".
    """

    task: str
    method: str
    metric: str
    ours: str
    theirs: str
    difference: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class _Pool:
    """All rows of one encoder, method and task, and the bootstrap of their pooled predictions."""

    rows: list[Row]
    drawn: Drawn | None
    paths: tuple[str, ...]


def summarise(
    rows: Sequence[Row], out: Path, count: int = RESAMPLES
) -> tuple[list[Line], list[Comparison]]:
    """Return summary lines of results, and the comparisons of all pairs of encoders.

    Args:
        rows: result rows.
        out: folder of the results and predictions.
        count: number of bootstrap resamples.
    """
    groups: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in rows:
        groups.setdefault((row.task, how_of(row)), {}).setdefault(who_of(row), []).append(row)
    lines, comparisons = [], []
    for (task, how), encoders in groups.items():
        pools = {who: _pool(of, out, count) for who, of in encoders.items()}
        found = {
            who: {line.metric: line for line in _lines(task, how, who, pool)}
            for who, pool in pools.items()
        }
        lines += [line for by_metric in found.values() for line in by_metric.values()]
        for ours, theirs in permutations(pools, 2):
            shared = [
                (found[ours][metric], found[theirs][metric])
                for metric in found[ours]
                if metric in found[theirs]
            ]
            comparisons += [_compare(a, b, pools[ours], pools[theirs]) for a, b in shared]
    return lines, [comparison for comparison in comparisons if comparison is not None]


def baseline(lines: Sequence[Line], question: tuple[str, str, str]) -> str | None:
    """Return the encoder with which a report compares the others.

    This is the untrained encoder if there is one, else the first encoder. Returns None if there are
    fewer than two encoders.

    Args:
        lines: summary of the results.
        question: task, method and metric.
    """
    asked = [line for line in lines if line.question == question]
    if len(asked) < 2:
        return None
    return next((line.checkpoint for line in asked if line.untrained), asked[0].checkpoint)


def write_lines(items: "Sequence[DataclassInstance]", file: Path) -> None:
    """Write dataclass instances of one class, such as lines or comparisons, to a CSV file."""
    if items:
        write_csv(file, [f.name for f in fields(items[0])], map(short_values, items))


def who_of(row: Row) -> str:
    """Return the name of the encoder, with the representation if it is not the embedding."""
    return (
        row.checkpoint
        if row.representation == "embedding"
        else f"{row.checkpoint} ({row.representation})"
    )


def how_of(row: Row) -> str:
    """Return the name of the method, with all settings that are not the default.

    The settings are the aggregation and the share of the training clips.
    """
    more = [f"by {row.aggregation}"] * (row.aggregation != "embedding") + [
        f"{row.train_share:.3g} of training"
    ] * (row.train_share < 1)
    return ", ".join([row.method, *more])


def _pool(rows: list[Row], out: Path, count: int) -> _Pool:
    if not rows[0].predictions:
        return _Pool(rows, None, ())
    by_seed = predictions_by_seed(rows)
    drawn = average(
        [stored_bootstrap(rows[0].kind, out, files, count) for files in by_seed.values()]
    )
    return _Pool(
        rows,
        drawn,
        tuple(
            path
            for file in next(iter(by_seed.values()))
            for path in read_predictions(out / file)[0]
        ),
    )


def predictions_by_seed(rows: Sequence[Row]) -> dict[int, list[str]]:
    """Return the prediction files of each seed, in the order of the folds.

    Args:
        rows: rows of one encoder, method and task.
    """
    by_seed: dict[int, list[str]] = {}
    for row in sorted(rows, key=lambda row: row.fold):
        files = by_seed.setdefault(row.seed, [])
        if row.predictions not in files:
            files.append(row.predictions)
    return by_seed


def _lines(task: str, method: str, checkpoint: str, pool: _Pool) -> list[Line]:
    lines = []
    for metric in dict.fromkeys(row.metric for row in pool.rows):
        # Keep the main metric and the metrics that reports show for this label kind. Methods
        # without stored predictions keep all metrics.
        if (
            pool.drawn is not None
            and metric != pool.rows[0].metric
            and not metric.startswith(KINDS[pool.rows[0].kind].shown)
        ):
            continue
        rows = [row for row in pool.rows if row.metric == metric]
        seeds = sorted({row.seed for row in rows})
        by_seed = [np.mean([row.value for row in rows if row.seed == seed]) for seed in seeds]
        if pool.drawn is not None:
            value, (low, high), tracks = (
                pool.drawn.values[metric],
                pool.drawn.interval(metric),
                len(pool.paths),
            )
        else:
            value, low, high = (
                float(np.mean([getattr(row, name) for row in rows]))
                for name in ("value", "low", "high")
            )
            tracks = rows[0].n_test
        spread = float(np.std(by_seed, ddof=1)) if len(seeds) > 1 else float("nan")
        by_chance = float(np.mean([row.chance for row in rows]))
        untrained = rows[0].source == "random"
        lines.append(
            Line(
                task,
                method,
                metric,
                checkpoint,
                untrained,
                value,
                low,
                high,
                spread,
                by_chance,
                tracks,
                len(seeds),
            )
        )
    return lines


def _compare(ours: Line, theirs: Line, our_pool: _Pool, their_pool: _Pool) -> Comparison | None:
    if our_pool.drawn is not None and their_pool.drawn is not None:
        if our_pool.paths != their_pool.paths:
            return None
        by, low, high, word = difference(our_pool.drawn, their_pool.drawn, ours.metric)
    else:
        # Both values are means over the same episodes. It is conservative to treat the values as
        # independent.
        half = float(np.hypot(ours.value - ours.low, theirs.value - theirs.low))
        by = ours.value - theirs.value
        low, high = by - half, by + half
        word = verdict(low, high, ours.metric)
    names = ours.checkpoint, theirs.checkpoint
    return Comparison(ours.task, ours.method, ours.metric, *names, by, low, high, word)
