"""Ranking metrics over weighted test clips: ROC-AUC, average precision, d-prime, LRAP.

The functions of scikit-learn take one row of weights per call. The functions here take the weights
of all resamples of a bootstrap at once. Tests compare both to 1e-12.
"""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.stats import norm, rankdata


def ranking(
    positive: np.ndarray, score: np.ndarray, drawn: Sequence[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the area under the ROC curve and the average precision of one class, each ``[B]``.

    The average precision is the sum over thresholds of the precision times the increase of the
    recall. The area is NaN without positives or without negatives, and the average precision
    without positives.

    Args:
        positive: ``[n]``, whether each clip is a positive.
        score: ``[n]``, higher is more likely. Equal scores share a threshold.
        drawn: the weights of B resamples in blocks of `blocks`.
    """
    order = np.argsort(-score, kind="stable")
    run = np.concatenate([[0], np.cumsum(np.diff(score[order]) != 0)])
    # Only thresholds with positives count. A part is such a threshold and all clips between it and
    # the one before.
    has = np.bincount(run, positive[order]) > 0
    part: np.ndarray = (np.cumsum(has) - has)[run]
    count, hit = int(has.sum()), positive[order]
    everyone, hits = (_sums(part, order, which, count) for which in (part < count, hit))
    tied: np.ndarray = has[run] & ~hit
    ties = _sums(part, order, tied, count) if tied.any() else None
    found = [
        _area_and_precision(everyone @ w, hits @ w, None if ties is None else ties @ w, mass)
        for w, mass in drawn
    ]
    areas, precisions = zip(*found, strict=True)
    return np.concatenate(areas), np.concatenate(precisions)


def blocks(weights: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return weights ``[B, n]`` in blocks of 100 resamples: ``[n, b]`` and their sums ``[b]``."""
    parts = (weights[start : start + 100] for start in range(0, len(weights), 100))
    return [(np.ascontiguousarray(part.T), part.sum(axis=1)) for part in parts]


def _sums(part: np.ndarray, order: np.ndarray, which: np.ndarray, count: int) -> csr_array:
    """Return the matrix ``[count, n]`` that adds the weights of the clips of each part.

    Args:
        part: ``[n]``, part of each clip in the order of scores.
        order: ``[n]``, clips in the order of scores.
        which: ``[n]``, mask of the clips that are added, in the order of scores.
        count: number of parts.
    """
    begins = np.searchsorted(part[which], np.arange(count + 1))
    return csr_array((np.ones(which.sum()), order[which], begins), (count, len(order)))


def _area_and_precision(
    all_: np.ndarray, hits: np.ndarray, ties: np.ndarray | None, mass: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return both results of `ranking` for a block of b resamples.

    Args:
        all_: ``[k, b]``, weight of the clips of each part.
        hits: ``[k, b]``, weight of the positives of each part.
        ties: ``[k, b]``, weight of the negatives with the score of these positives; None for 0.
        mass: ``[b]``, weight of all clips.
    """
    found, above = hits.cumsum(axis=0), all_.cumsum(axis=0)
    positives = hits.sum(axis=0)
    negatives = mass - positives
    precision = np.divide(found, above, out=np.zeros_like(found), where=above > 0)
    worse = negatives - above + found  # negatives with a lower score
    if ties is not None:
        worse += ties / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        area = (hits * worse).sum(axis=0) / (positives * negatives)
        return area, (precision * hits).sum(axis=0) / positives


def d_prime(auc: np.ndarray, clips: int) -> np.ndarray:
    """Return d-prime, sqrt(2) * Phi^-1(AUC), with the inverse normal CDF Phi^-1.

    Papers on AudioSet report d-prime of the mean AUC over classes (Gemmeke et al. 2017). With n
    clips, the AUC is limited to [1 / 2n, 1 - 1 / 2n], so that a perfect ranking has a finite value.

    Args:
        auc: area under the ROC curve, of any shape.
        clips: number of clips n.
    """
    edge = 1 / (2 * clips)
    return np.sqrt(2) * norm.ppf(np.clip(auc, edge, 1 - edge))


def lrap(targets: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the label ranking average precision ``[B]`` of multilabel clips.

    For each label of a clip, consider all classes with at least the score of this label; the value
    is the share of them that are labels of the clip. The values are averaged over the labels of a
    clip, and then over clips. A clip with no labels or all labels has the value 1, as in
    scikit-learn.

    Args:
        targets: ``[n, C]``, 0 or 1.
        scores: ``[n, C]``.
        weights: ``[B, n]``.
    """
    label = targets > 0.5
    among_all = rankdata(-scores, method="max", axis=1)
    among_labels = rankdata(np.where(label, -scores, np.inf), method="max", axis=1)
    count = label.sum(axis=1)
    each = np.where(label, among_labels / among_all, 0).sum(axis=1) / np.maximum(count, 1)
    each[(count == 0) | (count == targets.shape[1])] = 1
    return weights @ each / weights.sum(axis=1)
