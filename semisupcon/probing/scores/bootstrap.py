"""Bootstrap intervals of scores over test clips, and a paired bootstrap to compare two encoders.

A resample of n clips with replacement is represented by how often each clip was drawn: these counts
are the weights of the metrics. Intervals are percentile intervals (Efron 1979). All encoders use
the same resamples, so differences are paired clip by clip.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from semisupcon.probing.scores.calibration import of_labels, of_multiclass
from semisupcon.probing.scores.metrics import ByClass, evaluate, lower_is_better

RESAMPLES = 1000
_BLOCK = 100


@dataclass(frozen=True)
class Drawn:
    """Metrics of one encoder on n clips, and on every resample of them (arrays ``[count]``).

    ``by_class``: by metric name, ``[C, 3]``: value of each class, and its 95 % interval.
    """

    values: dict[str, float]
    draws: dict[str, np.ndarray]
    by_class: dict[str, np.ndarray] = field(default_factory=dict)

    def interval(self, metric: str) -> tuple[float, float]:
        """The 95 % interval of a metric: lower and upper bound."""
        return percentiles(self.draws[metric])


def resamples(n: int, count: int = RESAMPLES, seed: int = 0) -> Iterator[np.ndarray]:
    """Yield weights ``[b, n]`` of resamples of n clips, in blocks; each row sums to n."""
    generator = np.random.default_rng(seed)
    for start in range(0, count, _BLOCK):
        yield generator.multinomial(n, np.full(n, 1 / n), size=min(_BLOCK, count - start)).astype(
            np.float64
        )


def bootstrap(
    kind: str,
    targets: np.ndarray,
    scores: np.ndarray,
    classes: tuple[str, ...],
    count: int = RESAMPLES,
    seed: int = 0,
) -> Drawn:
    """All metrics of a label kind, on the clips and on resamples of them.

    Args:
        kind, targets, classes: label kind, targets ``[n, C]`` and class names of the task.
        scores: ``[n, C]``.
        count: number of resamples.
        seed: seed of the resamples; use the same seed for encoders that are compared.
    """
    each: ByClass = {}
    values = evaluate(kind, targets, scores, classes, by_class=each)
    drawn, drawn_each = [], []
    for weights in resamples(len(targets), count, seed):
        of_block: ByClass = {}
        drawn.append(evaluate(kind, targets, scores, classes, weights, of_block))
        drawn_each.append(of_block)
    return Drawn(
        {name: float(value[0]) for name, value in values.items()},
        {
            name: np.concatenate([d[name] for d in drawn]) if drawn else np.zeros(0)
            for name in values
        },
        {
            name: _class_intervals(value[0], [d[name] for d in drawn_each])
            for name, value in each.items()
        },
    )


def calibration_interval(
    kind: str, targets: np.ndarray, scores: np.ndarray, count: int = RESAMPLES, seed: int = 0
) -> tuple[float, float, float]:
    """The expected calibration error of probabilities, and its 95 % interval, over the same
    resamples as `bootstrap`.

    Args:
        kind: label kind, not regression.
        targets, scores: ``[n, C]``.
        count, seed: of the resamples.
    """
    error = of_multiclass if kind == "multiclass" else of_labels
    value = float(error(targets, scores, np.ones((1, len(targets))))[0])
    draws = [error(targets, scores, w) for w in resamples(len(targets), count, seed)]
    return value, *percentiles(np.concatenate([np.zeros(0), *draws]))


def _class_intervals(values: np.ndarray, blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Values ``[C]`` and draws ``[B, C]`` to value, lower and upper bound of each class."""
    draws = np.concatenate(blocks) if blocks else np.zeros((0, len(values)))
    return np.array([(value, *percentiles(draws[:, c])) for c, value in enumerate(values)]).reshape(
        len(values), 3
    )


def average(each: Sequence[Drawn]) -> Drawn:
    """The mean over seeds, resample by resample; all must have the same clips.

    Of classes, the values and the bounds of the intervals are averaged.
    """
    return Drawn(
        {name: float(np.mean([d.values[name] for d in each])) for name in each[0].values},
        {name: np.mean([d.draws[name] for d in each], axis=0) for name in each[0].draws},
        {name: np.mean([d.by_class[name] for d in each], axis=0) for name in each[0].by_class},
    )


def percentiles(draws: np.ndarray) -> tuple[float, float]:
    """The 2.5 and 97.5 percentiles. NaN draws (resamples without clips of a class) are left out."""
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return float("nan"), float("nan")
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def difference(ours: Drawn, theirs: Drawn, metric: str) -> tuple[float, float, float, str]:
    """The difference of a metric between two encoders on the same clips.

    Returns:
        Difference, lower and upper bound of its 95 % interval, and "better", "same" or "worse"
        ("same" if the interval contains 0).
    """
    low, high = percentiles(ours.draws[metric] - theirs.draws[metric])
    return ours.values[metric] - theirs.values[metric], low, high, verdict(low, high, metric)


def verdict(low: float, high: float, metric: str) -> str:
    """ "better", "same" or "worse", from the interval of a difference."""
    if low > 0 or high < 0:
        return "better" if (low > 0) != lower_is_better(metric) else "worse"
    return "same"
