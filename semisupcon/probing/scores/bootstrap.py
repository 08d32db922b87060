"""How sure a score is: bootstrap over test tracks, and the paired bootstrap that says whether one encoder beats another.

A resample of n tracks with replacement is how often each was drawn, so that metrics take it as weights. Percentile intervals (Efron 1979). The same
resamples serve every encoder, so that differences are paired track by track.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from semisupcon.probing.scores.metrics import evaluate, lower_is_better

RESAMPLES = 1000
_BLOCK = 100


@dataclass(frozen=True)
class Drawn:
    """Metrics of one encoder on n tracks, and on every resample of them ``[count]``."""

    values: dict[str, float]
    draws: dict[str, np.ndarray]

    def interval(self, metric: str) -> tuple[float, float]:
        """The 95 % interval of a metric."""
        return percentiles(self.draws[metric])


def resamples(n: int, count: int = RESAMPLES, seed: int = 0) -> Iterator[np.ndarray]:
    """Weights ``[b, n]`` of resamples of n tracks, in blocks; each row sums to n."""
    generator = np.random.default_rng(seed)
    for start in range(0, count, _BLOCK):
        yield generator.multinomial(n, np.full(n, 1 / n), size=min(_BLOCK, count - start)).astype(np.float64)


def bootstrap(kind: str, targets: np.ndarray, scores: np.ndarray, classes: tuple[str, ...], count: int = RESAMPLES, seed: int = 0) -> Drawn:
    """All metrics of a label kind on the tracks and on resamples of them.

    Args:
        kind, targets, classes: of the task; targets ``[n, C]``.
        scores: ``[n, C]``.
        count: resamples.
        seed: of the resamples; equal ones pair two encoders.
    """
    values = evaluate(kind, targets, scores, classes)
    drawn = [evaluate(kind, targets, scores, classes, weights) for weights in resamples(len(targets), count, seed)]
    return Drawn(
        {name: float(value[0]) for name, value in values.items()},
        {name: np.concatenate([d[name] for d in drawn]) if drawn else np.zeros(0) for name in values},
    )


def average(each: Sequence[Drawn]) -> Drawn:
    """The mean over seeds, resample by resample; all are of the same tracks."""
    return Drawn(
        {name: float(np.mean([d.values[name] for d in each])) for name in each[0].values},
        {name: np.mean([d.draws[name] for d in each], axis=0) for name in each[0].draws},
    )


def percentiles(draws: np.ndarray) -> tuple[float, float]:
    """The 2.5 and 97.5 percentiles; undefined draws (a class that a resample missed) are left out."""
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return float("nan"), float("nan")
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def difference(ours: Drawn, theirs: Drawn, metric: str) -> tuple[float, float, float, str]:
    """By how much one encoder beats another on the same tracks.

    Returns:
        Difference, its 95 % interval, and "better", "same" or "worse": same when the interval holds 0.
    """
    low, high = percentiles(ours.draws[metric] - theirs.draws[metric])
    return ours.values[metric] - theirs.values[metric], low, high, verdict(low, high, metric)


def verdict(low: float, high: float, metric: str) -> str:
    """What the interval of a difference says."""
    if low > 0 or high < 0:
        return "better" if (low > 0) != lower_is_better(metric) else "worse"
    return "same"
