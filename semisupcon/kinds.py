"""Loss, activation, decisions, metrics and chance level of each label kind.

Also the names of the ways to aggregate the segments of a clip.

Metrics are computed in `semisupcon.probing.scores.metrics`. Regression losses compare standardised
values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

# Quantities that a probe can average over the segments of a clip.
AGGREGATIONS = ("embedding", "logit", "probability", "vote")


@dataclass(frozen=True)
class LabelKind:
    """Properties of a label kind. N is the number of rows, C the number of classes or values.

    Attributes:
        loss: PyTorch function that computes the mean loss from outputs ``[N, C]`` (logits or
            standardised values) and targets ``[N, C]``.
        loss_and_gradient: NumPy function that computes this loss and its gradient with respect to
            the outputs, ``[N, C]``.
        activation: function that converts logits to probabilities; regression values are unchanged.
        decisions: function that converts logits ``[N, C]`` to decisions 0 or 1 ``[N, C]``; None for
            regression.
        metrics: names of the metrics, the main one first. ``mirex_weighted`` needs musical keys as
            classes.
        shown: prefixes of the names of metrics that appear in tables of results.
        chance: value of the main metric for the best prediction that does not use the audio; None
            if this value depends on the class frequencies.
    """

    loss: Callable[..., "Tensor"]
    loss_and_gradient: Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]
    activation: Callable[["Tensor"], "Tensor"]
    decisions: Callable[["Tensor"], "Tensor"] | None
    metrics: tuple[str, ...]
    shown: tuple[str, ...]
    chance: float | None

    @property
    def main(self) -> str:
        """Name of the main metric. A data set may define another main metric."""
        return self.metrics[0]

    def losses(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Return the loss of each row, ``[N]``."""
        each = self.loss(outputs, targets, reduction="none")
        return each.mean(dim=1) if each.ndim > 1 else each


def _cross_entropy(outputs: "Tensor", targets: "Tensor", reduction: str = "mean") -> "Tensor":
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs, targets, reduction=reduction)


def _cross_entropy_and_gradient(
    outputs: np.ndarray, targets: np.ndarray
) -> tuple[float, np.ndarray]:
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = (targets * (log_sum - shifted)).sum() / len(outputs)
    return loss, (np.exp(shifted - log_sum) * targets.sum(axis=1, keepdims=True) - targets) / len(
        outputs
    )


def _binary_cross_entropy(
    outputs: "Tensor", targets: "Tensor", reduction: str = "mean"
) -> "Tensor":
    from torch.nn.functional import binary_cross_entropy_with_logits

    return binary_cross_entropy_with_logits(outputs, targets, reduction=reduction)


def _binary_cross_entropy_and_gradient(
    outputs: np.ndarray, targets: np.ndarray
) -> tuple[float, np.ndarray]:
    loss = (np.maximum(outputs, 0) - outputs * targets + np.log1p(np.exp(-np.abs(outputs)))).mean()
    return loss, ((1 + np.tanh(outputs / 2)) / 2 - targets) / outputs.size


def _squared_error(outputs: "Tensor", targets: "Tensor", reduction: str = "mean") -> "Tensor":
    from torch.nn.functional import mse_loss

    return mse_loss(outputs, targets, reduction=reduction)


def _squared_error_and_gradient(
    outputs: np.ndarray, targets: np.ndarray
) -> tuple[float, np.ndarray]:
    error = outputs - targets
    return (error**2).mean(), 2 * error / error.size


def _most_likely(outputs: "Tensor") -> "Tensor":
    from torch.nn.functional import one_hot

    return one_hot(outputs.argmax(dim=1), outputs.shape[1])


def _more_likely_than_not(outputs: "Tensor") -> "Tensor":
    return outputs > 0


KINDS: dict[str, LabelKind] = {
    "binary": LabelKind(
        _binary_cross_entropy,
        _binary_cross_entropy_and_gradient,
        activation=lambda outputs: outputs.sigmoid(),
        decisions=_more_likely_than_not,
        metrics=("roc_auc", "mAP", "accuracy", "d_prime", "ece"),
        shown=("roc_auc", "accuracy"),
        chance=0.5,
    ),
    "multiclass": LabelKind(
        _cross_entropy,
        _cross_entropy_and_gradient,
        activation=lambda outputs: outputs.softmax(dim=1),
        decisions=_most_likely,
        metrics=("accuracy", "precision", "recall", "f1", "mirex_weighted", "ece"),
        shown=("accuracy", "mirex_weighted"),
        chance=None,
    ),
    "multilabel": LabelKind(
        _binary_cross_entropy,
        _binary_cross_entropy_and_gradient,
        activation=lambda outputs: outputs.sigmoid(),
        decisions=_more_likely_than_not,
        metrics=("roc_auc", "mAP", "lrap", "d_prime", "ece"),
        shown=("roc_auc", "mAP"),
        chance=0.5,
    ),
    "regression": LabelKind(
        _squared_error,
        _squared_error_and_gradient,
        activation=lambda outputs: outputs,
        decisions=None,
        metrics=("r2", "median_error"),
        shown=("r2", "median_error"),
        chance=0.0,
    ),
}
