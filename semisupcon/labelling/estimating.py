"""How good out-of-fold predictions are: metrics with 95 % intervals over clips, or over groups."""

from collections.abc import Sequence

import numpy as np

from semisupcon.errors import UserError
from semisupcon.probing.scores.bootstrap import RESAMPLES, percentiles, resamples
from semisupcon.probing.scores.metrics import evaluate, metric_names

Estimate = tuple[float, float, float]
SHOWN = {
    "multiclass": ("accuracy", "ece"),
    "binary": ("roc_auc", "accuracy", "ece"),
    "multilabel": ("roc_auc", "mAP", "ece"),
}
FEW = 500  # clips; with fewer, chance differences within the 15 bins enlarge the error
WORDS = {
    "accuracy": "accuracy",
    "roc_auc": "ROC-AUC",
    "mAP": "mean average precision",
    "r2": "R2",
    "ece": "expected calibration error",
}


def estimates(
    kind: str,
    targets: np.ndarray,
    scores: np.ndarray,
    classes: tuple[str, ...],
    groups: Sequence[str] | None = None,
    count: int = RESAMPLES,
) -> dict[str, Estimate]:
    """Metrics by name: value, and bounds of the 95 % interval. Empty if they are not defined.

    Args:
        kind, classes: label kind and C class names.
        targets, scores: ``[n, C]``.
        groups: n names of groups, which are resampled as a whole; None resamples clips.
        count: number of resamples.
    """
    shown = SHOWN.get(kind) or tuple(metric_names(kind, classes))
    unit = np.arange(len(targets)) if groups is None else np.unique(groups, return_inverse=True)[1]
    try:
        values = evaluate(kind, targets, scores, classes)
        drawn = [
            evaluate(kind, targets, scores, classes, weights[:, unit])
            for weights in resamples(int(unit.max()) + 1, count)
        ]
    except UserError:
        return {}
    found = {}
    for name in shown:
        draws = np.concatenate([d[name] for d in drawn]) if drawn else np.zeros(0)
        found[name] = (float(values[name][0]), *percentiles(draws))
    return found


def sentences(found: dict[str, Estimate], clips: int, folds: int, grouped: bool) -> list[str]:
    """A line per metric, after a line that says how it was measured."""
    how = f"Cross-validated on {clips} labelled clips, {folds} folds"
    lines = [f"{how} of whole groups:" if grouped else f"{how}:"]
    for name, (value, low, high) in found.items():
        words = WORDS.get(name) or name.replace("median_error", "median error of")
        if name == "ece":
            # Resampling enlarges the differences within bins: the interval would lie above the value.
            lines.append(f"  {words} {value:.3f}{' (few clips enlarge it)' * (clips < FEW)}")
            continue
        lines.append(f"  {words} {value:.3f} (95 % interval {low:.3f} to {high:.3f})")
    return lines if found else [f"{how}: no metric is defined for these labels."]
