"""A linear probe on few labelled clips, with cross-validation, temperature and thresholds.

Logistic or ridge regression of scikit-learn on standardised embeddings. The regularisation is chosen
by cross-validation within the labelled clips. Its quality is estimated by nested cross-validation:
no clip is predicted by a probe that it trained or tuned. Groups (speaker, recording) stay whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from semisupcon.datasets.base import LabelledClips
from semisupcon.errors import ConfigError
from semisupcon.labelling.linear import Line, choose, fit, folds_of, known_classes
from semisupcon.labelling.tagger import Tagger
from semisupcon.probing.methods.calibrating import (
    Calibration,
    best_thresholds,
    fit_temperature,
    scaled,
)
from semisupcon.probing.methods.head import ProbeHead, new_head

FOLDS, INNER = 5, 3


@dataclass(frozen=True)
class Trained:
    """A probe on all labelled clips, and predictions of each clip by a probe without its fold.

    Attributes:
        tagger: the probe, with temperature and thresholds.
        targets: ``[n, C]``.
        scores: out-of-fold probabilities or values ``[n, C]``; regularisation and temperature of
            each fold are chosen within the other folds.
        folds: number of folds.
        strength: chosen regularisation, one of `semisupcon.labelling.linear.STRENGTHS`.
    """

    tagger: Tagger
    targets: np.ndarray
    scores: np.ndarray
    folds: int
    strength: float


def train(
    x: np.ndarray,
    clips: LabelledClips,
    groups: Sequence[str] | None = None,
    folds: int = FOLDS,
) -> Trained:
    """Train a probe on labelled clips.

    Args:
        x: embeddings ``[n, D]``.
        clips: n labelled clips.
        groups: n names of groups that stay in one fold; None for none.
        folds: at most this many folds.

    Raises:
        ConfigError: for fewer than two clips, groups or different labels.
    """
    from sklearn import config_context

    kind, y = clips.label_kind, clips.targets.astype(np.float64)
    check_labels(clips, groups)
    x, names = x.astype(np.float64), list(clips.paths)
    fold = folds_of(kind, y, names, groups, folds)
    scores = np.zeros_like(y)
    with config_context(skip_parameter_validation=True):  # a third of the time of few clips
        for f in np.unique(fold):
            inside, rest = fold == f, fold != f
            named = _of(names, rest), groups and _of(groups, rest)
            within = folds_of(kind, y[rest], *named, INNER)
            probe, calibration = fitted(kind, x[rest], y[rest], within)[:2]
            scores[inside] = _scores(kind, probe(x[inside]), y[rest], calibration)
        line, calibration, strength = fitted(kind, x, y, fold)
    tagger = Tagger(head_of(line, kind, y), clips.classes, "embedding", calibration)
    return Trained(tagger, clips.targets, scores, len(np.unique(fold)), strength)


def fitted(
    kind: str, x: np.ndarray, y: np.ndarray, fold: np.ndarray
) -> tuple[Line, Calibration | None, float]:
    """A probe on all clips, its calibration, and its regularisation; the latter two from
    predictions out of fold, of probes with the same regularisation.

    Args:
        kind: label kind.
        x, y: embeddings ``[n, D]`` and targets ``[n, C]``.
        fold: ``[n]``.
    """
    strength = choose(kind, x, y, fold)
    line = fit(kind, x, y, strength)
    if kind == "regression":
        return line, None, strength
    outputs, known = np.zeros_like(y), np.zeros(len(y), dtype=bool)
    for f in np.unique(fold):
        inside, rest = fold == f, fold != f
        if rest.any():
            outputs[inside] = fit(kind, x[rest], y[rest], strength)(x[inside])
            known[inside] = known_classes(kind, y[rest], y[inside])
    # A class without other clips tells nothing about the temperature.
    temperature = fit_temperature(kind, outputs[known], y[known]) if known.any() else 1.0
    if kind == "multiclass":
        return line, Calibration(temperature), strength
    thresholds = best_thresholds(scaled(kind, outputs, temperature), y)
    return line, Calibration(temperature, thresholds), strength


def _scores(
    kind: str, outputs: np.ndarray, y: np.ndarray, calibration: Calibration | None
) -> np.ndarray:
    """Probabilities, or values in the range of the targets ``y`` of training."""
    if calibration is None:
        return np.clip(outputs, y.min(axis=0), y.max(axis=0))
    return scaled(kind, outputs, calibration.temperature)


def check_labels(clips: LabelledClips, groups: Sequence[str] | None) -> None:
    """Check that labelled clips can train a probe.

    Raises:
        ConfigError: if not, with the reason.
    """
    if len(clips) < 2:
        raise ConfigError(
            f"Only {len(clips)} readable clip{'s are' * (len(clips) != 1) or ' is'} labelled; a "
            "probe needs two or more."
        )
    if groups is not None and len(set(groups)) < 2:
        raise ConfigError(
            f"All labelled clips belong to one group ('{groups[0]}'); a cross-validated estimate "
            "needs two or more groups."
        )
    y = clips.targets
    if not (y != y[0]).any():
        raise ConfigError(
            f"All {len(clips)} labelled clips have the same label; a probe needs two different ones."
        )


def head_of(line: Line, kind: str, y: np.ndarray) -> ProbeHead:
    """The head of a linear map; values are limited to the range of the targets ``y [n, C]``."""
    head = new_head("linear", line.weight.shape[1], len(line.weight), kind)
    weight, bias = head.net.parameters()
    with torch.no_grad():
        weight.copy_(torch.from_numpy(line.weight))
        bias.copy_(torch.from_numpy(line.bias))
        head.mean.copy_(torch.from_numpy(line.mean))
        head.scale.copy_(torch.from_numpy(line.scale))
        if kind == "regression":
            head.target_low.copy_(torch.from_numpy(y.min(axis=0)))
            head.target_high.copy_(torch.from_numpy(y.max(axis=0)))
    return head.eval()


def _of(names: Sequence[str], rows: np.ndarray) -> list[str]:
    return [names[i] for i in np.flatnonzero(rows).tolist()]
