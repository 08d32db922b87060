"""Summarise results: average over seeds, pool folds, and compare encoders clip by clip."""

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
    """The result of one encoder for one question (task, method, metric).

    Attributes:
        task, method, metric: the question. The method includes aggregation and share of training
            clips if they are not the default.
        checkpoint: name of the encoder, with the representation if it is not the embedding.
        untrained: whether it is a random encoder.
        value, low, high: mean over seeds on all test clips (folds pooled), and its 95 % interval
            over clips.
        spread: standard deviation over seeds; NaN for one seed.
        chance: value of the best prediction without audio; NaN if unknown.
        tracks, seeds: number of test clips (few-shot: episodes) and of seeds.
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
        """Task, method and metric: only lines with the same question are compared."""
        return self.task, self.method, self.metric


@dataclass(frozen=True)
class Comparison:
    """Paired bootstrap of two encoders on the same clips: ``ours`` minus ``theirs``."""

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
    """All rows of one encoder, method and task, with the pooled bootstrap of their predictions."""

    rows: list[Row]
    drawn: Drawn | None
    paths: tuple[str, ...]


def summarise(
    rows: Sequence[Row], out: Path, count: int = RESAMPLES
) -> tuple[list[Line], list[Comparison]]:
    """Summary lines and all pairwise comparisons of results.

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
    """The encoder that others are compared with: the random one, else the first; None for fewer
    than two.
    """
    asked = [line for line in lines if line.question == question]
    if len(asked) < 2:
        return None
    return next((line.checkpoint for line in asked if line.untrained), asked[0].checkpoint)


def write_lines(items: "Sequence[DataclassInstance]", file: Path) -> None:
    """Write dataclass instances of one class, such as lines or comparisons, as CSV."""
    if items:
        write_csv(file, [f.name for f in fields(items[0])], map(short_values, items))


def who_of(row: Row) -> str:
    """Name of the encoder, with the representation if it is not the embedding."""
    return (
        row.checkpoint
        if row.representation == "embedding"
        else f"{row.checkpoint} ({row.representation})"
    )


def how_of(row: Row) -> str:
    """Name of the method, with aggregation and share of the training clips if not the default."""
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
    """Files of the predictions of one encoder, method and task by seed, in the order of the folds."""
    by_seed: dict[int, list[str]] = {}
    for row in sorted(rows, key=lambda row: row.fold):
        files = by_seed.setdefault(row.seed, [])
        if row.predictions not in files:
            files.append(row.predictions)
    return by_seed


def _lines(task: str, method: str, checkpoint: str, pool: _Pool) -> list[Line]:
    lines = []
    for metric in dict.fromkeys(row.metric for row in pool.rows):
        # Keep the main metric, the metrics shown for this label kind, and all metrics of methods
        # without scores.
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
        # Two means over the same episodes, treated as independent, which is conservative.
        half = float(np.hypot(ours.value - ours.low, theirs.value - theirs.low))
        by = ours.value - theirs.value
        low, high = by - half, by + half
        word = verdict(low, high, ours.metric)
    names = ours.checkpoint, theirs.checkpoint
    return Comparison(ours.task, ours.method, ours.metric, *names, by, low, high, word)
