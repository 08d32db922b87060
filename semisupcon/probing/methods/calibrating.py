"""Calibrate a trained head on validation clips: one temperature, and one threshold per class.

The temperature divides the logits of a clip (Guo et al. 2017, section 4.2). It minimises the
negative log-likelihood of the validation clips. Labels that can occur together (multilabel, binary)
also get the threshold with the best F1 of each class.
"""

import math
from dataclasses import dataclass

import numpy as np

from semisupcon.kinds import KINDS

LOWEST, HIGHEST = 0.05, 20.0  # bounds of the temperature
THRESHOLD = 0.5  # of a class without positive or without negative validation clips


@dataclass(frozen=True)
class Calibration:
    """What a head learned from validation clips besides its weights.

    Attributes:
        temperature: divides the logits of a clip; 1 for shares of votes.
        thresholds: probability from which a class is predicted, for each class; empty for
            multiclass labels, of which the best one is predicted.
    """

    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()


def calibration_of(kind: str, outputs: np.ndarray, targets: np.ndarray, votes: bool) -> Calibration:
    """Fit temperature and thresholds.

    Args:
        kind: label kind, not regression.
        outputs: logits of validation clips ``[n, C]``, or shares of votes.
        targets: ``[n, C]``.
        votes: whether ``outputs`` are shares of votes, which have no temperature.
    """
    temperature = 1.0 if votes else fit_temperature(kind, outputs, targets)
    if kind == "multiclass":
        return Calibration(temperature)
    probabilities = outputs if votes else scaled(kind, outputs, temperature)
    return Calibration(temperature, best_thresholds(probabilities, targets))


def fit_temperature(kind: str, outputs: np.ndarray, targets: np.ndarray) -> float:
    """The temperature in [0.05, 20] with the smallest loss.

    It is 1 if all clips are predicted correctly: the loss then falls without end towards 0.

    Args:
        kind: label kind, not regression.
        outputs: logits ``[n, C]``.
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
    """Probabilities ``[n, C]`` of logits divided by a temperature, in the precision of the logits."""
    import torch

    return KINDS[kind].activation(torch.from_numpy(outputs) / temperature).numpy()


def best_thresholds(probabilities: np.ndarray, targets: np.ndarray) -> tuple[float, ...]:
    """The threshold with the best F1 of each class: ``probability >= threshold`` is a prediction.

    It lies halfway between the lowest probability that is predicted and the next lower one.

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
