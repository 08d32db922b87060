"""Linear probes of scikit-learn on standardised embeddings: folds, regularisation, fit."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semisupcon.datasets.parsing.splits import stratified_folds
from semisupcon.kinds import KINDS
from semisupcon.probing.methods.head import without_constant

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)  # C of scikit-learn, 1 / alpha of ridge regression
COARSE, FINE = 1e-4, 1e-8  # tolerances of fits that are compared, and of those that predict
NEVER = -30.0  # logit of a class without training clips


@dataclass(frozen=True)
class Line:
    """A linear map of embeddings: ``((x - mean) / scale) weight^T + bias``, in float64."""

    mean: np.ndarray
    scale: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Logits or standardised values ``[n, C]`` of embeddings ``[n, D]``."""
        return ((x - self.mean) / self.scale) @ self.weight.T + self.bias


def folds_of(
    kind: str, y: np.ndarray, names: Sequence[str], groups: Sequence[str] | None, folds: int
) -> np.ndarray:
    """The fold of each clip ``[n]``, from 1: labels are balanced, groups stay whole.

    Args:
        kind: label kind.
        y: targets ``[n, C]``; values are balanced by tenths of the first.
        names: n unique names, which decide the folds.
        groups: n names of groups, or None.
        folds: number of folds; fewer if there are fewer clips or groups.
    """
    labels = y
    if kind == "regression":
        tenths = (10 * y[:, 0].argsort().argsort() // len(y)).astype(int)
        labels = np.eye(10)[tenths]
    units = list(names if groups is None else groups)
    count = max(2, min(folds, len(set(units))))
    if groups is None:
        found = stratified_folds(names, [tuple(row) for row in labels.tolist()], count, 0)
    else:
        found = _group_folds(labels, groups, count)
    if len(np.unique(found)) < 2:  # few clips or groups
        found = np.unique(units, return_inverse=True)[1] % 2
    return np.unique(found, return_inverse=True)[1] + 1


def _group_folds(labels: np.ndarray, groups: Sequence[str], count: int) -> np.ndarray:
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    stratum = np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)
    enough = np.bincount(stratum).max() >= count
    splitter = (StratifiedGroupKFold if enough else GroupKFold)(n_splits=count)
    found = np.zeros(len(labels), int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # labels with fewer clips than folds
        for f, (_, inside) in enumerate(splitter.split(labels, stratum, groups)):
            found[inside] = f
    return found


def choose(kind: str, x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> float:
    """The regularisation with the smallest loss out of fold; the strongest of equal ones.

    Args:
        kind: label kind.
        x, y: embeddings ``[n, D]`` and targets ``[n, C]``.
        fold: ``[n]``.
    """
    losses = np.zeros(len(STRENGTHS))
    for f in np.unique(fold):
        inside, rest = np.flatnonzero(fold == f), fold != f
        if not rest.any():
            continue
        inside = inside[known_classes(kind, y[rest], y[inside])]
        if not len(inside):
            continue
        centre, spread = _scale(kind, y[rest])
        for i, strength in enumerate(STRENGTHS):
            line = fit(kind, x[rest], y[rest], strength, COARSE)
            outputs, truth = line(x[inside]), y[inside]
            loss, _ = KINDS[kind].loss_and_gradient(
                (outputs - centre) / spread, (truth - centre) / spread
            )
            losses[i] += loss * len(inside)
    return STRENGTHS[int(losses.argmin())]


def fit(kind: str, x: np.ndarray, y: np.ndarray, strength: float, tolerance: float = FINE) -> Line:
    """Fit logistic regression (multinomial, or one per tag) or ridge regression.

    Args:
        kind: label kind.
        x, y: embeddings ``[n, D]`` and targets ``[n, C]``.
        strength: inverse of the L2 penalty.
        tolerance: largest gradient at which logistic regression stops.

    Returns:
        The map to logits, or to values in their unit.
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    mean, scale = x.mean(axis=0), without_constant(x.std(axis=0))
    inputs = (x - mean) / scale
    weight, bias = np.zeros((y.shape[1], x.shape[1])), np.full(y.shape[1], NEVER)
    if kind == "regression":
        centre, spread = _scale(kind, y)
        ridge = Ridge(alpha=1 / strength).fit(inputs, (y - centre) / spread)
        weight = np.atleast_2d(ridge.coef_) * spread[:, None]
        return Line(mean, scale, weight, np.atleast_1d(ridge.intercept_) * spread + centre)
    make = LogisticRegression(C=strength, max_iter=10_000, tol=tolerance)
    if kind == "multiclass":
        present = np.flatnonzero(y.any(axis=0))
        if len(present) == 1:
            bias[present] = 0.0
            return Line(mean, scale, weight, bias)
        found = make.fit(inputs, y.argmax(axis=1))
        if len(present) == 2:  # one logit, that of the second class
            weight[present], bias[present] = 0.0, 0.0
            weight[present[1]], bias[present[1]] = found.coef_[0], found.intercept_[0]
        else:
            weight[present], bias[present] = found.coef_, found.intercept_
        return Line(mean, scale, weight, bias)
    for c in range(y.shape[1]):
        positive = y[:, c] > 0.5
        if positive.all() or not positive.any():
            odds = (positive.sum() + 0.5) / (len(positive) - positive.sum() + 0.5)
            bias[c] = np.log(odds)
            continue
        found = make.fit(inputs, positive)
        weight[c], bias[c] = found.coef_[0], found.intercept_[0]
    return Line(mean, scale, weight, bias)


def known_classes(kind: str, y: np.ndarray, other: np.ndarray) -> np.ndarray:
    """``[m]``: whether the class of each clip of ``other`` occurs in ``y``."""
    if kind != "multiclass":
        return np.ones(len(other), dtype=bool)
    return np.asarray(y.any(axis=0))[other.argmax(axis=1)]


def _scale(kind: str, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if kind != "regression":
        return np.zeros(y.shape[1]), np.ones(y.shape[1])
    return y.mean(axis=0), np.maximum(y.std(axis=0), 1e-12)
