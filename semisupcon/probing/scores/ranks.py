"""Rank metrics over weighted test clips: ROC-AUC, average precision, d-prime, LRAP.

scikit-learn takes one weighting per call. These functions take all resamples of a bootstrap at
once. Tests compare both to 1e-12.
"""

import numpy as np
from scipy.stats import norm, rankdata


def roc_auc(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve ``[B]`` of one class; NaN without positives or without negatives.

    Args:
        positive: ``[n]`` boolean.
        score: ``[n]``, higher is more likely; ties share a threshold.
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
    """Average precision ``[B]`` of one class: sum over thresholds of precision times recall step;
    NaN without positives. Arguments as in `roc_auc`.
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
    """Separation d' = sqrt(2) * Phi^-1(AUC) of two normal distributions of equal variance.

    AudioSet papers give it for the mean AUC of the classes (Gemmeke et al. 2017). The AUC is
    limited to [1 / 2n, 1 - 1 / 2n] with n clips, so that a perfect ranking is finite.
    """
    edge = 1 / (2 * clips)
    return np.sqrt(2) * norm.ppf(np.clip(auc, edge, 1 - edge))


def lrap(targets: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Label ranking average precision ``[B]`` of multilabel clips, weighted by clip.

    For every label of a clip: the share of the classes scored at least as high that are labels of
    the clip, averaged over the labels and then over the clips. A clip with none or all of the
    labels counts as 1, as in scikit-learn.

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
    """Order of decreasing scores, and the last index of each run of equal scores."""
    order = np.argsort(-score, kind="stable")
    return order, np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)


def _up_to(w: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Cumulative sums up to each end ``[B, ends + 1]``, starting with 0."""
    return np.concatenate([np.zeros((len(w), 1)), w.cumsum(axis=1)[:, ends]], axis=1)
