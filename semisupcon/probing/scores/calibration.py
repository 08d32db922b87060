"""Expected calibration error over weighted test clips (Guo et al. 2017, equation 3).

Probabilities are sorted into 15 bins of equal width. The error is the mean over bins of the
distance between the mean probability and the share of correct predictions, weighted by the number
of clips per bin. The values equal those of ``MulticlassCalibrationError`` and
``BinaryCalibrationError`` of torchmetrics with norm "l1". The functions here take many rows of
weights at once.
"""

import numpy as np

BINS = 15
# Name of the error after temperature scaling, and name of the temperature in ``Row.detail``.
SCALED, TEMPERATURE = "ece_scaled", "temperature"


def are_probabilities(scores: np.ndarray, one: bool) -> bool:
    """Return whether scores ``[n, C]`` are probabilities.

    They must be in [0, 1]. If ``one`` is true, the sum of each row must be 1.
    """
    within = scores.min() >= -1e-6 and scores.max() <= 1 + 1e-4
    return bool(within and (not one or np.abs(scores.sum(axis=1) - 1).max() < 1e-3))


def calibration_error(probability: np.ndarray, hit: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the expected calibration error ``[B]``, in [0, 1].

    Args:
        probability: ``[n]``, probability of each prediction, in [0, 1].
        hit: ``[n]``, whether each prediction is correct.
        weights: ``[B, n]``, non-negative.
    """
    bins = np.clip((probability * BINS).astype(int), 0, BINS - 1)
    gap = np.zeros((len(bins), BINS))
    gap[np.arange(len(bins)), bins] = probability - hit
    return np.abs(weights @ gap).sum(axis=1) / weights.sum(axis=1)


def of_multiclass(targets: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the calibration error ``[B]`` of the probability of the predicted class.

    It is NaN if the scores are not probabilities.

    Args:
        targets: ``[n, C]``, one-hot.
        scores: ``[n, C]``.
        weights: ``[B, n]``, non-negative.
    """
    if not are_probabilities(scores, one=True):
        return np.full(len(weights), np.nan)
    guess = scores.argmax(axis=1)
    hit = guess == targets.argmax(axis=1)
    return calibration_error(scores[np.arange(len(scores)), guess], hit, weights)


def of_labels(targets: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the calibration error ``[B]`` of the probability of each class, mean over classes.

    It is NaN if the scores are not probabilities.

    Args:
        targets: ``[n, C]``, 0 or 1.
        scores: ``[n, C]``.
        weights: ``[B, n]``, non-negative.
    """
    if not are_probabilities(scores, one=False):
        return np.full(len(weights), np.nan)
    each = [
        calibration_error(scores[:, c], targets[:, c] > 0.5, weights)
        for c in range(targets.shape[1])
    ]
    return np.mean(each, axis=0)
