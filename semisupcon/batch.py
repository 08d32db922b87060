"""The type of the batches of all loaders and criteria, and the properties of the data that are
known before training.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor


class Batch(TypedDict):
    """B clips with V views each.

    Keys:
        audio: ``[B, V, 1, T]`` float32 in about [-1, 1]; int16 until the batch is moved to the
            device.
        length: ``[B, V]`` int64, number of samples without padding.
        targets: ``[B, C]`` float32. A NaN row is unlabelled; an all-zero row is labelled without
            tags. C may be 0.
        clip: ``[B]`` int64, stable 63-bit hash of the clip's relative path.
        key: ``[B, V]`` int64, random key of each view (see `semisupcon.random`).
        applied: ``[B, V, K]`` bool, whether each of the K operators changed a view. Only present
            after augmentation.
        parameters: ``[B, V, K, P]`` float32, the parameters of each operator. NaN if the operator
            was not applied, or has fewer than P parameters.
        plan: augmentations that the loader drew and the accelerator will apply. Only present before
            augmentation.
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
    """Predictions of a criterion for the views of a batch and their targets, collected for metrics
    over the whole validation set.

    Attributes:
        scores: ``[B, V, C]``, logits or values.
        targets: ``[B, V, C]``; a NaN row is an unlabelled view.
        kind: label kind, see `semisupcon.kinds`.
        prefix: prefix of the metric names.
    """

    scores: Tensor
    targets: Tensor
    kind: str
    prefix: str = ""


def labelled(targets: Tensor) -> Tensor:
    """Return a mask ``[B]`` (bool) of the labelled rows of ``targets [B, C]``.

    The mask is all False if C is 0.
    """
    if targets.shape[1] == 0:
        return targets.new_zeros(len(targets), dtype=torch.bool)
    return ~targets.isnan().any(dim=1)


@dataclass(frozen=True)
class DataFacts:
    """Properties of the data that a criterion may use before training.

    Attributes:
        classes: names of the C target columns; empty without labels.
        kind: binary, multiclass, multilabel or regression; None without labels.
        operators: names of the K augmentations, in the order of the key ``applied`` of a `Batch`.
        parameter_names: names of the parameters of each operator.
        train_targets: targets ``[n, C]`` of the training clips that keep their labels (see the
            option ``supervised_data_p``). None if a checkpoint is loaded without its data.
        padding: whether the end of a view may be padding.
    """

    classes: tuple[str, ...] = ()
    kind: str | None = None
    operators: tuple[str, ...] = ()
    parameter_names: tuple[tuple[str, ...], ...] = ()
    train_targets: np.ndarray | None = None
    padding: bool = False

    @property
    def values(self) -> Tensor:
        """``train_targets`` as a tensor ``[n, C]``, or an empty tensor ``[0, C]`` if they are
        unknown.
        """
        return (
            torch.zeros(0, len(self.classes))
            if self.train_targets is None
            else torch.as_tensor(self.train_targets)
        )
