"""Compute metrics over test clips with weights.

With all weights 1, the result is the usual metric. In a bootstrap, the weights are how often each
clip was drawn. The functions take B rows of weights ``[B, n]`` at once and return ``[B]`` values.
The values equal those of scikit-learn, which takes one row of weights per call.

A macro average leaves out classes without positives or without negatives of non-zero weight. The
MIREX score of musical keys (fifth 0.5, relative 0.3, parallel 0.2) comes from mir_eval.
"""

import numpy as np

from semisupcon.errors import ConfigError, UserError, nearest
from semisupcon.kinds import KINDS
from semisupcon.probing.scores import calibration
from semisupcon.probing.scores.ranks import blocks, d_prime, lrap, ranking

ByClass = dict[str, np.ndarray]


def evaluate(
    kind: str,
    targets: np.ndarray,
    scores: np.ndarray,
    classes: tuple[str, ...],
    weights: np.ndarray | None = None,
    by_class: ByClass | None = None,
) -> dict[str, np.ndarray]:
    """Compute all metrics of a label kind.

    Args:
        kind: binary, multiclass, multilabel or regression.
        targets: ``[n, C]``; one-hot for multiclass.
        scores: ``[n, C]``, higher is more likely; for regression, the predicted values.
        classes: C class names.
        weights: ``[B, n]``, non-negative; None for one row of ones.
        by_class: dictionary to which the metrics of each class are added, as arrays ``[B, C]`` by
            metric name, with NaN where a metric is undefined. Nothing is added for regression.

    Returns:
        Arrays ``[B]`` by metric name, the main metric of the label kind first.

    Raises:
        UserError: if all test clips have the same class or value.
    """
    weights = np.ones((1, len(targets))) if weights is None else weights
    if kind == "regression":
        return _regression(targets, scores, classes, weights)
    if kind == "multiclass":
        return _multiclass(targets, scores, classes, weights, by_class)
    scorable = np.logical_and((targets > 0.5).any(axis=0), (targets <= 0.5).any(axis=0))
    if not scorable.any():
        raise UserError(
            f"All test clips have the same labels: no class of {', '.join(classes[:5])} has both "
            "positives and negatives."
        )
    each = _each(targets, scores, weights, scorable)
    if by_class is not None:
        by_class |= each
    auc = _macro(each["roc_auc"])
    result = {"roc_auc": auc, "mAP": _macro(each["average_precision"])}
    if kind == "binary":
        correct = (scores[:, 0] > 0.5) == (targets[:, 0] > 0.5)
        result["accuracy"] = weights @ correct / weights.sum(axis=1)
    else:
        result["lrap"] = lrap(targets, scores, weights)
    result["d_prime"] = d_prime(auc, len(targets))
    result["ece"] = calibration.of_labels(targets, scores, weights)
    return result


def lower_is_better(metric: str) -> bool:
    """Return whether lower values of a metric are better, as for errors."""
    return metric.startswith(("median_error", "ece"))


def metric_names(kind: str, classes: tuple[str, ...]) -> list[str]:
    """Return the names of the metrics that `evaluate` computes for a label kind and classes."""
    if kind == "regression":
        each = ("r2", "median_error") if len(classes) > 1 else ("median_error",)
        return ["r2", *(f"{metric} {name}" for name in classes for metric in each)]
    return [
        name
        for name in KINDS[kind].metrics
        if name != "mirex_weighted" or key_scores(classes) is not None
    ]


def main_metric(kind: str, classes: tuple[str, ...], named: str, task: str) -> str:
    """Return the main metric of a task.

    This is the first metric that the data set names, or the main metric of the label kind if the
    data set names none.

    Args:
        kind, classes: label kind and class names.
        named: metrics that the data set names, separated by commas ("roc_auc, mAP").
        task: name of the task, for error messages.

    Raises:
        ConfigError: if the label kind has no metric of a given name.
    """
    known, names = (
        metric_names(kind, classes),
        [name.strip() for name in named.split(",") if name.strip()],
    )
    if kind == "regression" and len(classes) == 1:
        names = [f"{name} {classes[0]}" if name == "median_error" else name for name in names]
    for name in names:
        if name not in known:
            raise ConfigError(
                f"The data set of task '{task}' names the metric '{name}', which its {kind} labels "
                f"do not have.{nearest(name, known)}\n"
                f"They have: {', '.join(known)}."
            )
    return names[0] if names else KINDS[kind].main


def main_first(main: str, by_metric: dict) -> dict:
    """Return the dictionary with the main metric as its first key."""
    return {main: by_metric[main], **by_metric} if main in by_metric else by_metric


def chance(
    kind: str,
    metric: str,
    train_targets: np.ndarray,
    test_targets: np.ndarray,
    classes: tuple[str, ...],
) -> float:
    """Return the value of a metric for a prediction without audio.

    The prediction is the class frequencies of the training clips, or their median value for
    regression. The value is 0.5 for ROC-AUC and 0 for R2.

    Args:
        kind: label kind.
        metric: name of the metric.
        train_targets: ``[m, C]``, targets of the training clips.
        test_targets: ``[n, C]``, targets of the test clips.
        classes: C class names.
    """
    level = KINDS[kind].chance
    if level is not None and metric.split()[0] == KINDS[kind].main:
        return level
    answer = (
        np.median(train_targets, axis=0) if kind == "regression" else train_targets.mean(axis=0)
    )
    return float(
        evaluate(kind, test_targets, np.broadcast_to(answer, test_targets.shape), classes)[metric][
            0
        ]
    )


def confusion(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the confusion matrix ``[C, C]`` of a multiclass task.

    Rows are true classes, and columns are predicted classes.

    Args:
        targets: ``[n, C]``, one-hot.
        scores: ``[n, C]``.
    """
    matrix = np.zeros((targets.shape[1],) * 2, int)
    np.add.at(matrix, (targets.argmax(axis=1), scores.argmax(axis=1)), 1)
    return matrix


def _each(
    targets: np.ndarray, scores: np.ndarray, weights: np.ndarray, scorable: np.ndarray
) -> ByClass:
    """Compute ROC-AUC and average precision of each class, ``[B, C]``.

    They are NaN for a class without positives or without negatives. Classes that are false in
    ``scorable [C]`` are not computed.
    """
    values = np.full((2, len(weights), targets.shape[1]), np.nan)
    drawn = blocks(weights)
    for c in np.flatnonzero(scorable):
        area, precision = ranking(targets[:, c] > 0.5, scores[:, c], drawn)
        values[:, :, c] = area, np.where(np.isnan(area), np.nan, precision)
    return {"roc_auc": values[0], "average_precision": values[1]}


def _macro(values: np.ndarray) -> np.ndarray:
    """Return the mean ``[B]`` over the classes whose value is not NaN; 0 if all are NaN."""
    known = ~np.isnan(values)
    return np.where(known, values, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)


def _multiclass(
    targets: np.ndarray,
    scores: np.ndarray,
    classes: tuple[str, ...],
    weights: np.ndarray,
    by_class: ByClass | None = None,
) -> dict[str, np.ndarray]:
    truth, guess, n = targets.argmax(axis=1), scores.argmax(axis=1), targets.shape[1]
    if len(set(truth.tolist())) < 2:
        raise UserError(
            f"All {len(truth)} test clips have the class '{classes[truth[0]]}', so accuracy is "
            "meaningless."
        )
    hit = truth == guess
    in_truth, in_guess = (np.eye(n)[rows] for rows in (truth, guess))
    right, true, guessed = (
        weights @ (in_truth * hit[:, None]),
        weights @ in_truth,
        weights @ in_guess,
    )
    # As in scikit-learn, a class without true and predicted clips is left out, and a class without
    # correct predictions has the value 0.
    part = (true + guessed) > 0
    precision, recall, f1 = (
        np.divide(right, d, out=np.zeros_like(right), where=d > 0)
        for d in (guessed, true, (true + guessed) / 2)
    )
    each = {"precision": precision, "recall": recall, "f1": f1}
    if by_class is not None:
        by_class |= {name: np.where(part, value, np.nan) for name, value in each.items()}
    macro = {name: (value * part).sum(axis=1) / part.sum(axis=1) for name, value in each.items()}
    result = {"accuracy": weights @ hit / weights.sum(axis=1), **macro}
    if (table := key_scores(classes)) is not None:
        result["mirex_weighted"] = weights @ table[truth, guess] / weights.sum(axis=1)
    result["ece"] = calibration.of_multiclass(targets, scores, weights)
    return result


def key_scores(classes: tuple[str, ...]) -> np.ndarray | None:
    """Return the MIREX score ``[C, C]`` of each true key (row) and predicted key (column).

    Returns None if the classes are not musical keys, such as "Db minor".
    """
    if not all(
        len(words := c.split()) == 2
        and words[1].lower() in ("major", "minor")
        and words[0][0].upper() in "ABCDEFG"
        for c in classes
    ):
        return None
    from mir_eval.key import weighted_score

    return np.array([[weighted_score(true, guess) for guess in classes] for true in classes])


def _regression(
    targets: np.ndarray, scores: np.ndarray, classes: tuple[str, ...], weights: np.ndarray
) -> dict[str, np.ndarray]:
    mass = weights.sum(axis=1, keepdims=True)
    mean = weights @ targets / mass
    spread = weights @ targets.astype(np.float64) ** 2 - mass * mean**2
    if (targets.std(axis=0) == 0).any():
        raise UserError(
            "The test clips all have the same value of "
            f"'{classes[int((targets.std(axis=0) == 0).argmax())]}': R2 is not defined."
        )
    residual = weights @ (targets.astype(np.float64) - scores) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        r2 = np.where(spread > 1e-12, 1 - residual / spread, np.nan)
    result = {"r2": r2.mean(axis=1)}
    for c, name in enumerate(classes):
        if len(classes) > 1:
            result[f"r2 {name}"] = r2[:, c]
        # The median error has the unit of the values, such as semitones for MIDI pitch.
        result[f"median_error {name}"] = _weighted_median(
            np.abs(targets[:, c] - scores[:, c]), weights
        )
    return result


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted median ``[B]``: the mean of the lower and the upper weighted median.

    With weights of one, this is the usual median.
    """
    order = np.argsort(values)
    below = weights[:, order].cumsum(axis=1)
    half = below[:, -1:] / 2
    lower, upper = (below >= half - 1e-9).argmax(axis=1), (below > half + 1e-9).argmax(axis=1)
    return (values[order][lower] + values[order][upper]) / 2
