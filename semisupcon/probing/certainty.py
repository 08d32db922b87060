"""How sure a score is: bootstrap over test tracks, and the paired bootstrap that says whether one encoder beats another.

A resample of n tracks with replacement is how often each was drawn, so that metrics take it as weights. Percentile intervals (Efron 1979).
"""

from collections.abc import Iterator, Sequence

import numpy as np

from semisupcon.probing.metrics import evaluate

RESAMPLES = 1000
_BLOCK = 100


def resamples(n: int, count: int = RESAMPLES, seed: int = 0) -> Iterator[np.ndarray]:
    """Weights ``[b, n]`` of resamples of n tracks, in blocks; each row sums to n."""
    generator = np.random.default_rng(seed)
    for start in range(0, count, _BLOCK):
        yield generator.multinomial(n, np.full(n, 1 / n), size=min(_BLOCK, count - start)).astype(np.float64)


def score_with_interval(
    kind: str, targets: np.ndarray, scores: np.ndarray, classes: tuple[str, ...], count: int = RESAMPLES, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """Every metric of a label kind with its 95 % interval over tracks: name to (value, low, high)."""
    values = evaluate(kind, targets, scores, classes)
    drawn = [evaluate(kind, targets, scores, classes, weights) for weights in resamples(len(targets), count, seed)]
    result = {}
    for name, value in values.items():
        low, high = interval(np.concatenate([d[name] for d in drawn])) if drawn else (float("nan"), float("nan"))
        result[name] = (float(value[0]), low, high)
    return result


def interval(draws: np.ndarray) -> tuple[float, float]:
    """The 2.5 and 97.5 percentiles of bootstrap values; undefined ones (a class that a resample missed) are left out."""
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return float("nan"), float("nan")
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def compare(
    kind: str,
    targets: np.ndarray,
    ours: Sequence[np.ndarray],
    theirs: Sequence[np.ndarray],
    classes: tuple[str, ...],
    metric: str,
    count: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float, float, str]:
    """Whether one encoder beats another on the same test tracks.

    Args:
        kind, targets, classes: of the task.
        ours, theirs: scores ``[n, C]``, one a seed; seeds are averaged within every resample.
        metric: of which the difference is taken; greater is better.

    Returns:
        Difference, its 95 % interval, and "better", "same" or "worse": same when the interval holds 0.
    """

    def mean(scores, weights):
        return np.mean([evaluate(kind, targets, s, classes, weights)[metric] for s in scores], axis=0)

    value = float((mean(ours, None) - mean(theirs, None))[0])
    low, high = interval(np.concatenate([mean(ours, w) - mean(theirs, w) for w in resamples(len(targets), count, seed)]))
    return value, low, high, "better" if low > 0 else "worse" if high < 0 else "same"
