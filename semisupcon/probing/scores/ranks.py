"""Ranking metrics over weighted test clips: ROC-AUC, average precision, d-prime, LRAP.

The functions of scikit-learn take one row of weights per call. The functions here take the weights
of all resamples of a bootstrap at once. Tests compare both to 1e-12.
"""

import numpy as np
from scipy.stats import norm, rankdata


def roc_auc(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve ``[B]`` of one class.

    It is NaN without positives or without negatives.

    Args:
        positive: ``[n]``, whether each clip is a positive.
        score: ``[n]``, higher is more likely. Equal scores share a threshold.
        weights: ``[B, n]``, non-negative.
    """
    order, ends = _by_score(score)
    w = weights[:, order]
    positives, negatives = _up_to(w * positive[order], ends), _up_to(w * ~positive[order], ends)
    height = (positives[:, 1:] + positives[:, :-1]) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return (height * np.diff(negatives, axis=1)).sum(axis=1) / (
            positives[:, -1] * negatives[:, -1]
        )


def average_precision(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the average precision ``[B]`` of one class.

    This is the sum over thresholds of the precision times the increase of the recall. It is NaN
    without positives.

    Args:
        positive: ``[n]``, whether each clip is a positive.
        score: ``[n]``, higher is more likely. Equal scores share a threshold.
        weights: ``[B, n]``, non-negative.
    """
    order, ends = _by_score(score)
    w = weights[:, order]
    positives, all_ = _up_to(w * positive[order], ends), _up_to(w, ends)
    precision = np.divide(
        positives[:, 1:], all_[:, 1:], out=np.zeros_like(positives[:, 1:]), where=all_[:, 1:] > 0
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return (precision * np.diff(positives, axis=1)).sum(axis=1) / positives[:, -1]


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


def _by_score(score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the order of decreasing scores, and the last index of each run of equal scores."""
    order = np.argsort(-score, kind="stable")
    return order, np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)


def _up_to(w: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the cumulative sums of ``w [B, n]`` at the k ends, ``[B, k + 1]``, starting at 0."""
    return np.concatenate([np.zeros((len(w), 1)), w.cumsum(axis=1)[:, ends]], axis=1)
