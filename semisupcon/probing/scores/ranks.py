"""Ranking metrics over weighted test clips: ROC-AUC, average precision, d-prime, LRAP.

The functions of scikit-learn take one row of weights per call. The functions here take the weights
of all resamples of a bootstrap at once. Tests compare both to 1e-12.
"""

import numpy as np
from scipy.sparse import csr_array
from scipy.stats import norm, rankdata


def ranking(
    positive: np.ndarray, score: np.ndarray, drawn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the area under the ROC curve and the average precision of one class, each ``[B]``.

    The average precision is the sum over thresholds of the precision times the increase of the
    recall. The area is NaN without positives or without negatives, and the average precision
    without positives.

    Args:
        positive: ``[n]``, whether each clip is a positive.
        score: ``[n]``, higher is more likely. Equal scores share a threshold.
        drawn: ``[n, B]``, non-negative weights, a column per resample.
    """
    order = np.argsort(-score, kind="stable")
    part = _parts(score[order], positive[order])
    first = np.searchsorted(part, np.arange(part[-1] + 2))
    positives = order[positive[order]]
    first_positive = np.searchsorted(part[positive[order]], np.arange(part[-1] + 2))
    all_, hits = (
        csr_array((np.ones(len(clips)), clips, begins), (part[-1] + 1, len(score))) @ drawn
        for clips, begins in ((order, first), (positives, first_positive))
    )
    found, above = hits.cumsum(axis=0), all_.cumsum(axis=0)
    misses = all_ - hits
    precision = np.divide(found, above, out=np.zeros_like(found), where=above > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        area = ((found - hits / 2) * misses).sum(axis=0) / (found[-1] * misses.sum(axis=0))
        return area, (precision * hits).sum(axis=0) / found[-1]


def _parts(score: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Number the parts ``[n]`` of a ranking whose clips need not be told apart.

    These are equal scores, and thresholds without positives that follow each other.

    Args:
        score: ``[n]``, sorted.
        positive: ``[n]``, whether each clip is a positive.
    """
    run = np.concatenate([[0], np.cumsum(np.diff(score) != 0)])
    has = np.bincount(run, positive) > 0
    begins = np.concatenate([[True], has[1:] | has[:-1]])
    return (np.cumsum(begins) - 1)[run]


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
