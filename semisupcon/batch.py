"""The batch type of all loaders and criteria, and the facts of the data that are known before
training.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor


class Batch(TypedDict):
    """B clips with V views each.

    Keys:
        audio: ``[B, V, 1, T]`` float32 in about [-1, 1]; int16 until the batch is on the device.
        length: ``[B, V]`` int64, number of samples without padding.
        targets: ``[B, C]`` float32. A NaN row is unlabelled; an all-zero row is labelled without
            tags. C may be 0.
        clip: ``[B]`` int64, stable 63-bit hash of the clip's relative path.
        key: ``[B, V]`` int64, random key of each view (see `semisupcon.random`).
        applied: ``[B, V, K]`` bool, whether each of K operators changed a view; only after
            augmentation.
        parameters: ``[B, V, K, P]`` float32, parameters of the operators (NaN if not applied, or if
            an operator has fewer).
        plan: augmentations for an accelerator, drawn by the loader; only before augmentation.
    """

    audio: Tensor
    length: Tensor
    targets: Tensor
    clip: Tensor
    key: Tensor
    applied: NotRequired[Tensor]
    parameters: NotRequired[Tensor]
    plan: NotRequired[Any]


class Scored(NamedTuple):
    """Predictions of a criterion for the views of a batch, with targets, for metrics over the whole
    validation set.

    Attributes:
        scores: ``[B, V, C]``, logits or values.
        targets: ``[B, V, C]``; a NaN row is unknown.
        kind: label kind, see `semisupcon.kinds`.
        prefix: prefix of the metric names.
    """

    scores: Tensor
    targets: Tensor
    kind: str
    prefix: str = ""


def labelled(targets: Tensor) -> Tensor:
    """Mask ``[B]`` (bool) of the labelled rows of ``targets [B, C]``; all False if C is 0."""
    if targets.shape[1] == 0:
        return targets.new_zeros(len(targets), dtype=torch.bool)
    return ~targets.isnan().any(dim=1)


@dataclass(frozen=True)
class DataFacts:
    """Facts of the data that a criterion may use before training.

    Attributes:
        classes: names of the C target columns; empty without labels.
        kind: binary, multiclass, multilabel or regression; None without labels.
        operators: names of the K augmentations, in the order of ``applied``.
        parameter_names: names of the parameters of each operator.
        train_targets: targets ``[n, C]`` of the labelled training clips, after
            ``supervised_data_p``; None for a checkpoint without its data.
        padding: whether views may end with padding.
    """

    classes: tuple[str, ...] = ()
    kind: str | None = None
    operators: tuple[str, ...] = ()
    parameter_names: tuple[tuple[str, ...], ...] = ()
    train_targets: np.ndarray | None = None
    padding: bool = False

    @property
    def values(self) -> Tensor:
        """``train_targets`` as a tensor; ``[0, C]`` if they are unknown."""
        return (
            torch.zeros(0, len(self.classes))
            if self.train_targets is None
            else torch.as_tensor(self.train_targets)
        )
