"""Bootstrap intervals of metrics over test clips, and the paired bootstrap of two encoders.

A resample draws n clips with replacement. The number of times that each clip was drawn is its
weight in the metrics. Intervals are percentile intervals (Efron 1979). All encoders use the same
resamples, so differences of encoders are paired.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from semisupcon.probing.scores.calibration import of_labels, of_multiclass
from semisupcon.probing.scores.metrics import ByClass, evaluate, lower_is_better

RESAMPLES = 1000
# Resamples that are computed at once: as many as have 2^24 weights (128 MiB), and at least 100.
_WEIGHTS, _LEAST = 1 << 24, 100


@dataclass(frozen=True)
class Drawn:
    """Metrics of one encoder on the test clips and on their resamples.

    Attributes:
        values: value on the test clips, by metric.
        draws: ``[count]``, values on the resamples, by metric.
        by_class: ``[C, 3]``, value of each class and its 95 % interval, by metric.
        scaled: expected calibration error of calibrated probabilities, and its 95 % interval; None
            without them.
    """

    values: dict[str, float]
    draws: dict[str, np.ndarray]
    by_class: dict[str, np.ndarray] = field(default_factory=dict)
    scaled: tuple[float, float, float] | None = None

    def interval(self, metric: str) -> tuple[float, float]:
        """Return the lower and the upper bound of the 95 % interval of a metric."""
        return percentiles(self.draws[metric])


def resamples(n: int, count: int = RESAMPLES, seed: int = 0) -> Iterator[np.ndarray]:
    """Yield the weights of ``count`` resamples of n clips, in blocks ``[b, n]``.

    The sum of each row is n.
    """
    generator = np.random.default_rng(seed)
    block = max(_LEAST, _WEIGHTS // n)
    for start in range(0, count, block):
        yield generator.multinomial(n, np.full(n, 1 / n), size=min(block, count - start)).astype(
            np.float64
        )


def bootstrap(
    kind: str,
    targets: np.ndarray,
    scores: np.ndarray,
    classes: tuple[str, ...],
    count: int = RESAMPLES,
    seed: int = 0,
    calibrated: np.ndarray | None = None,
) -> Drawn:
    """Compute all metrics of a label kind on test clips and on resamples of them.

    Args:
        kind, targets, classes: label kind, targets ``[n, C]`` and class names of the task.
        scores: ``[n, C]``, scores of the encoder.
        count: number of resamples.
        seed: seed of the resamples. Use the same seed for encoders that are compared.
        calibrated: ``[n, C]``, calibrated probabilities, of which only the expected calibration
            error is computed.
    """
    each: ByClass = {}
    values = evaluate(kind, targets, scores, classes, by_class=each)
    drawn, drawn_each, drawn_scaled = [], [], [np.zeros(0)]
    error = of_multiclass if kind == "multiclass" else of_labels
    for weights in resamples(len(targets), count, seed):
        of_block: ByClass = {}
        drawn.append(evaluate(kind, targets, scores, classes, weights, of_block))
        drawn_each.append(of_block)
        if calibrated is not None:
            drawn_scaled.append(error(targets, calibrated, weights))
    scaled = None
    if calibrated is not None:
        value = float(error(targets, calibrated, np.ones((1, len(targets))))[0])
        scaled = value, *percentiles(np.concatenate(drawn_scaled))
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
        scaled,
    )


def _class_intervals(values: np.ndarray, blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Return value, lower bound and upper bound of each class, ``[C, 3]``.

    Args:
        values: ``[C]``, values on the test clips.
        blocks: ``[b, C]``, values on blocks of resamples.
    """
    draws = np.concatenate(blocks) if blocks else np.zeros((0, len(values)))
    return np.array([(value, *percentiles(draws[:, c])) for c, value in enumerate(values)]).reshape(
        len(values), 3
    )


def average(each: Sequence[Drawn]) -> Drawn:
    """Average the metrics of several seeds on the same clips.

    The values on each resample are averaged over seeds. For classes, values and bounds of the
    intervals are averaged.
    """
    return Drawn(
        {name: float(np.mean([d.values[name] for d in each])) for name in each[0].values},
        {name: np.mean([d.draws[name] for d in each], axis=0) for name in each[0].draws},
        {name: np.mean([d.by_class[name] for d in each], axis=0) for name in each[0].by_class},
    )


def percentiles(draws: np.ndarray) -> tuple[float, float]:
    """Return the 2.5 and 97.5 percentiles of draws.

    NaN values are left out; they occur in resamples without clips of a class.
    """
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return float("nan"), float("nan")
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def difference(ours: Drawn, theirs: Drawn, metric: str) -> tuple[float, float, float, str]:
    """Compare a metric of two encoders on the same clips.

    Returns:
        Difference, lower and upper bound of its 95 % interval, and "better", "same" or "worse"
        ("same" if the interval contains 0).
    """
    low, high = percentiles(ours.draws[metric] - theirs.draws[metric])
    return ours.values[metric] - theirs.values[metric], low, high, verdict(low, high, metric)


def verdict(low: float, high: float, metric: str) -> str:
    """Return "better", "same" or "worse" for a difference with the interval (low, high)."""
    if low > 0 or high < 0:
        return "better" if (low > 0) != lower_is_better(metric) else "worse"
    return "same"
