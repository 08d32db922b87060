"""Two fast classifiers of embeddings for probes during pretraining: kNN and ridge regression.

They are cross-validated within one set of labelled clips: each clip is scored by a classifier that
was fitted to the other folds. Both classifiers are deterministic.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from semisupcon.probing.methods.head import without_constant
from semisupcon.probing.methods.knn import predict
from semisupcon.probing.scores.metrics import evaluate
from semisupcon.random import stable_hash

FOLDS = 5
NEIGHBOURS = 5
PENALTIES = tuple(10.0**power for power in range(-1, 6))  # candidates for the ridge penalty
NAMES = ("knn", "linear")


def cross_validation(
    targets: np.ndarray, groups: Sequence[str], kind: str, seed: int = 0
) -> np.ndarray:
    """Assign each clip to one of five folds: ``[n]``, values 0 to 4.

    All clips of a group get the same fold. Groups are assigned one by one, groups with rare labels
    first. A group gets the fold that has the fewest clips with the labels of the group.

    Args:
        targets: ``[n, C]``.
        groups: group of each clip, such as its speaker or recording.
        kind: label kind. For regression, only the sizes of the folds are balanced.
        seed: seed of the order of groups that are otherwise equal.
    """
    balanced = np.zeros((len(targets), 0)) if kind == "regression" else targets > 0.5
    # A last column of ones balances the sizes of the folds.
    balanced = np.concatenate([balanced, np.ones((len(targets), 1))], axis=1).astype(float)
    names, member = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    held = np.zeros((len(names), balanced.shape[1]))
    np.add.at(held, member, balanced)
    rare = 1 / np.maximum(held.sum(axis=0), 1)
    order = sorted(range(len(names)), key=lambda i: stable_hash(f"{seed}/{names[i]}"))
    has, fold_of = np.zeros((FOLDS, held.shape[1])), np.zeros(len(names), int)
    for group in sorted(order, key=lambda i: -(held[i] @ rare)):
        fold_of[group] = ((has * rare) @ held[group]).argmin()
        has[fold_of[group]] += held[group]
    return fold_of[member]


def read_out(
    embeddings: np.ndarray, targets: np.ndarray, fold: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the scores ``[n, C]`` of both classifiers, by name.

    The scores of a clip come from the clips of the other folds. "knn" is the mean target of the 5
    nearest clips (cosine). "linear" is ridge regression on standardised embeddings.

    Args:
        embeddings: ``[n, D]``, finite.
        targets: ``[n, C]``; 0 and 1 for classes.
        fold: ``[n]``, fold of each clip.
    """
    x, near = embeddings.astype(np.float64), np.zeros(targets.shape)
    for number in np.unique(fold):
        inside = fold == number
        near[inside] = predict(x[inside], x[~inside], targets[~inside], [NEIGHBOURS])[0]
    scale = without_constant(x.std(axis=0))
    return {"knn": near, "linear": left_out_ridge((x - x.mean(axis=0)) / scale, targets, fold)}


def left_out_ridge(x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Predict each fold by a ridge regression (with intercept) fitted to the other folds.

    One eigendecomposition is enough for all folds and penalties: with the hat matrix H of all rows,
    the residuals of a left-out fold S are ``(I - H_SS)^-1 (y - H y)_S`` (for single rows, see
    Hastie, Tibshirani and Friedman 2009, section 7.10).

    The penalty of a fold is chosen by cross-validation within the other folds, so it does not
    depend on the targets of the fold.

    Args:
        x: ``[n, D]``, columns with mean 0.
        y: ``[n, C]``.
        fold: ``[n]``.

    Returns:
        Predictions ``[n, C]``.
    """
    n, numbers = len(x), np.unique(fold)
    values, vectors = np.linalg.eigh(x @ x.T if n <= x.shape[1] else x.T @ x)
    kept = values > 1e-10 * max(values[-1], 1e-12)
    values, vectors = values[kept], vectors[:, kept]
    left = vectors if n <= x.shape[1] else x @ vectors / np.sqrt(values)
    rows = [np.flatnonzero(fold == number) for number in numbers]
    residuals = np.empty((len(PENALTIES), *y.shape))
    errors = np.zeros((len(PENALTIES), len(numbers)))  # of each fold
    for i, penalty in enumerate(PENALTIES):
        hat = (left * (values / (values + penalty))) @ left.T + 1 / n
        apart = y - hat @ y

        def left_out(these: np.ndarray, hat: np.ndarray = hat, apart: np.ndarray = apart) -> Any:
            inner = np.eye(len(these)) - hat[np.ix_(these, these)]
            return np.linalg.solve(inner, apart[these])

        for these in rows:
            residuals[i, these] = left_out(these)
        for a, b in combinations(range(len(rows)), 2):
            squares = left_out(np.concatenate([rows[a], rows[b]])) ** 2
            errors[i, b] += squares[: len(rows[a])].sum()
            errors[i, a] += squares[len(rows[a]) :].sum()
    result = np.empty(y.shape)
    for these, best in zip(rows, errors.argmin(axis=0), strict=True):
        result[these] = y[these] - residuals[best, these]
    return result


def read_out_scores(
    kind: str,
    metric: str,
    classes: tuple[str, ...],
    embeddings: np.ndarray,
    targets: np.ndarray,
    fold: np.ndarray,
) -> dict[str, float]:
    """Return a metric of both classifiers, by name; NaN for embeddings that are not finite.

    Raises:
        UserError: if all clips have the same class or value.
    """
    if not np.isfinite(embeddings).all():
        return dict.fromkeys(NAMES, float("nan"))
    scores = read_out(embeddings, targets, fold)
    return {
        name: float(evaluate(kind, targets, of, classes)[metric][0]) for name, of in scores.items()
    }


def by_guessing(
    kind: str, metric: str, classes: tuple[str, ...], targets: np.ndarray, fold: np.ndarray
) -> float:
    """Return the chance level of a metric: its value for embeddings that are all equal."""
    nothing = np.zeros((len(targets), 1))
    return read_out_scores(kind, metric, classes, nothing, targets, fold)["linear"]
