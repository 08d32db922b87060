"""Expected calibration error over weighted test clips (Guo et al. 2017, equation 3).

Probabilities are sorted into 15 bins of equal width. The error is the mean over bins of the
distance between mean probability and share of hits, weighted by the bins' clips. As
``MulticlassCalibrationError`` and ``BinaryCalibrationError`` of torchmetrics with norm "l1", for
many weightings at once.
"""

import numpy as np

BINS = 15
# Metric of the probabilities after the temperature of the head, and its name in ``detail``.
SCALED, TEMPERATURE = "ece_scaled", "temperature"


def are_probabilities(scores: np.ndarray, one: bool) -> bool:
    """Whether scores ``[n, C]`` lie in [0, 1], and with ``one`` have row sums of 1."""
    within = scores.min() >= -1e-6 and scores.max() <= 1 + 1e-4
    return bool(within and (not one or np.abs(scores.sum(axis=1) - 1).max() < 1e-3))


def calibration_error(probability: np.ndarray, hit: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Expected calibration error ``[B]``, in [0, 1].

    Args:
        probability: ``[n]``, in [0, 1].
        hit: ``[n]``, whether the event with this probability came true.
        weights: ``[B, n]``, non-negative.
    """
    bins = np.clip((probability * BINS).astype(int), 0, BINS - 1)
    gap = np.zeros((len(bins), BINS))
    gap[np.arange(len(bins)), bins] = probability - hit
    return np.abs(weights @ gap).sum(axis=1) / weights.sum(axis=1)


def of_multiclass(targets: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Error ``[B]`` of the probability of the predicted class; NaN for scores that are no
    probabilities.
    """
    if not are_probabilities(scores, one=True):
        return np.full(len(weights), np.nan)
    guess = scores.argmax(axis=1)
    hit = guess == targets.argmax(axis=1)
    return calibration_error(scores[np.arange(len(scores)), guess], hit, weights)


def of_labels(targets: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over classes of the error of each class's probability ``[B]``; NaN for scores that are
    no probabilities.
    """
    if not are_probabilities(scores, one=False):
        return np.full(len(weights), np.nan)
    each = [
        calibration_error(scores[:, c], targets[:, c] > 0.5, weights)
        for c in range(targets.shape[1])
    ]
    return np.mean(each, axis=0)
