"""Calibrate a trained head on validation clips: one temperature, and one threshold per class.

The temperature is a divisor of the logits (Guo et al. 2017, section 4.2). It minimises the negative
log-likelihood of the validation clips. For multilabel and binary tasks, the threshold of a class
maximises its F1 score.
"""

import math
from dataclasses import dataclass

import numpy as np

from semisupcon.kinds import KINDS

LOWEST, HIGHEST = 0.05, 20.0  # bounds of the temperature
THRESHOLD = 0.5  # threshold of a class without positive or negative validation clips


@dataclass(frozen=True)
class Calibration:
    """Temperature and thresholds of a head, from validation clips.

    Attributes:
        temperature: divisor of the logits of a clip; 1 for shares of votes.
        thresholds: probability from which each class is predicted. Empty for multiclass tasks, for
            which the class with the highest probability is predicted.
    """

    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()


def calibration_of(kind: str, outputs: np.ndarray, targets: np.ndarray, votes: bool) -> Calibration:
    """Fit the temperature and the thresholds of a head.

    Args:
        kind: binary, multiclass or multilabel.
        outputs: ``[n, C]``, logits of validation clips, or shares of votes.
        targets: ``[n, C]``.
        votes: whether ``outputs`` are shares of votes, which have no temperature.
    """
    temperature = 1.0 if votes else fit_temperature(kind, outputs, targets)
    if kind == "multiclass":
        return Calibration(temperature)
    probabilities = outputs if votes else scaled(kind, outputs, temperature)
    return Calibration(temperature, best_thresholds(probabilities, targets))


def fit_temperature(kind: str, outputs: np.ndarray, targets: np.ndarray) -> float:
    """Return the temperature in [0.05, 20] with the smallest loss.

    If all clips are predicted correctly, the loss has no minimum: it falls as the temperature falls
    to 0. The result is then 1.

    Args:
        kind: binary, multiclass or multilabel.
        outputs: ``[n, C]``, logits.
        targets: ``[n, C]``.
    """
    from scipy.optimize import minimize_scalar

    logits, truth = outputs.astype(np.float64), targets.astype(np.float64)
    if _all_correct(kind, logits, truth > 0.5):
        return 1.0

    def loss(logarithm: float) -> float:
        return float(KINDS[kind].loss_and_gradient(logits / math.exp(logarithm), truth)[0])

    bounds = math.log(LOWEST), math.log(HIGHEST)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-7})
    return min(max(math.exp(found.x), LOWEST), HIGHEST)


def _all_correct(kind: str, logits: np.ndarray, truth: np.ndarray) -> bool:
    if kind == "multiclass":
        return bool((logits.argmax(axis=1) == truth.argmax(axis=1)).all())
    return bool(((logits > 0) == truth).all())


def scaled(kind: str, outputs: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities ``[n, C]`` of logits ``[n, C]`` divided by a temperature."""
    import torch

    return KINDS[kind].activation(torch.from_numpy(outputs) / temperature).numpy()


def best_thresholds(probabilities: np.ndarray, targets: np.ndarray) -> tuple[float, ...]:
    """Return the threshold of each class with the best F1 score.

    A class is predicted if its probability is at least the threshold. The threshold is the mean of
    the lowest probability that is predicted and the next lower probability.

    Args:
        probabilities: ``[n, C]``.
        targets: ``[n, C]`` of zeros and ones.
    """
    return tuple(
        _best_threshold(probabilities[:, c].astype(np.float64), targets[:, c] > 0.5)
        for c in range(targets.shape[1])
    )


def _best_threshold(probabilities: np.ndarray, positive: np.ndarray) -> float:
    from sklearn.metrics import precision_recall_curve

    if positive.all() or not positive.any():
        return THRESHOLD
    precision, recall, thresholds = precision_recall_curve(positive, probabilities)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = int(f1[:-1].argmax())
    below = thresholds[best - 1] if best else 0.0
    return float((thresholds[best] + below) / 2)
