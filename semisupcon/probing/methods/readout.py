"""Two quick read-outs of embeddings, cross-validated within one set of labelled clips: k nearest
neighbours and ridge regression in closed form.

`pretrain` measures them while it trains. Every clip is scored by read-outs of the other folds, so
no other labelled clips are needed. Both are deterministic and have no random start.
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
PENALTIES = tuple(10.0**power for power in range(-1, 6))  # of standardised dimensions
NAMES = ("knn", "linear")


def cross_validation(
    targets: np.ndarray, groups: Sequence[str], kind: str, seed: int = 0
) -> np.ndarray:
    """Draw the fold of each clip, ``[n]`` in 0..4: groups stay whole, labels are spread evenly.

    Groups are dealt one by one, those with rare labels first, to the fold that has fewest of their
    labels.

    Args:
        targets: ``[n, C]``.
        groups: group of each clip (speaker, recording); a clip of its own is a group of one.
        kind: label kind; values of a regression are not balanced, only the sizes of the folds.
        seed: breaks ties.
    """
    balanced = np.zeros((len(targets), 0)) if kind == "regression" else targets > 0.5
    # The last column balances the sizes of the folds.
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
    """Scores ``[n, C]`` of both read-outs by name.

    The scores of a clip come from the clips of the other folds. ``knn``: mean target of the 5
    nearest (cosine). ``linear``: `left_out_ridge` on standardised embeddings.

    Args:
        embeddings: ``[n, D]``, finite.
        targets: ``[n, C]``; 0 and 1 for classes.
        fold: ``[n]``, from `cross_validation`.
    """
    x, near = embeddings.astype(np.float64), np.zeros(targets.shape)
    for number in np.unique(fold):
        inside = fold == number
        near[inside] = predict(x[inside], x[~inside], targets[~inside], [NEIGHBOURS])[0]
    scale = without_constant(x.std(axis=0))
    return {"knn": near, "linear": left_out_ridge((x - x.mean(axis=0)) / scale, targets, fold)}


def left_out_ridge(x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Ridge regression with intercept: for each fold, the prediction of a fit to the other folds.

    One eigendecomposition gives the fits of all folds and penalties: with the hat matrix H of all
    rows, the residuals of a fold S that is left out are ``(I - H_SS)^-1 (y - H y)_S`` (Hastie,
    Tibshirani and Friedman 2009, section 7.10, for one row). The penalty of a fold is the one with
    the smallest squared error in the other folds, each left out too, so that it does not depend on
    the targets of the fold.

    Args:
        x: ``[n, D]``, columns with mean 0.
        y: ``[n, C]``.
        fold: ``[n]``.

    Returns:
        ``[n, C]``.
    """
    n, numbers = len(x), np.unique(fold)
    values, vectors = np.linalg.eigh(x @ x.T if n <= x.shape[1] else x.T @ x)
    kept = values > 1e-10 * max(values[-1], 1e-12)
    values, vectors = values[kept], vectors[:, kept]
    left = vectors if n <= x.shape[1] else x @ vectors / np.sqrt(values)
    rows = [np.flatnonzero(fold == number) for number in numbers]
    residuals = np.empty((len(PENALTIES), *y.shape))
    errors = np.zeros((len(PENALTIES), len(numbers)))  # with the fold and another one left out
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
    """A metric of both read-outs by name; NaN for embeddings that are not finite.

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
    """The metric for embeddings that are all equal: the chance level of the read-outs."""
    nothing = np.zeros((len(targets), 1))
    return read_out_scores(kind, metric, classes, nothing, targets, fold)["linear"]
