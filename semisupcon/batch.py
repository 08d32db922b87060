"""The one batch that every loader yields and every criterion takes, and what is known of the data before the first of them."""

from dataclasses import dataclass
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor


class Batch(TypedDict):
    """B clips with V views each.

    Keys:
        audio: ``[B, V, 1, T]`` float32 in about [-1, 1]; int16 until the device hook has scaled it.
        length: ``[B, V]`` int64, samples that are audio; what follows is padding.
        targets: ``[B, C]`` float32, a NaN row where unlabelled; an all-zero row is a labelled clip without tags; C may be 0.
        clip: ``[B]`` int64, the stable 63-bit hash of the clip's relative path.
        key: ``[B, V]`` int64, the randomness of each view (see `semisupcon.random`).
        applied: ``[B, V, K]`` bool, which of K operators touched a view; after augmentation only.
        parameters: ``[B, V, K, P]`` float32, with what parameters (NaN where an operator has fewer, or was not applied).
        plan: what an accelerator will do to the views, decided by the loader; before augmentation only.
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
    """What a criterion predicts for the views of a batch, and what is true: metrics are computed over all of validation.

    Attributes:
        scores: ``[B, V, C]``, logits or values.
        targets: ``[B, V, C]``; a NaN row where the truth is not known.
        kind: of label, see `semisupcon.kinds`.
        prefix: of the names of the metrics.
    """

    scores: Tensor
    targets: Tensor
    kind: str
    prefix: str = ""


def labelled(targets: Tensor) -> Tensor:
    """``[B]`` bool: which rows of ``targets [B, C]`` carry a label; none when there are no classes."""
    if targets.shape[1] == 0:
        return targets.new_zeros(len(targets), dtype=torch.bool)
    return ~targets.isnan().any(dim=1)


@dataclass(frozen=True)
class DataFacts:
    """What a criterion may know of the data before training.

    Attributes:
        classes: names of the C target columns; empty without labels.
        kind: binary, multiclass, multilabel or regression; None without labels.
        operators: names of the K augmentations that a view may undergo, in the order of ``applied``.
        parameter_names: for each operator, the names of its parameters.
        train_targets: ``[n, C]`` of the labelled training clips, after ``supervised_data_p``; None where a checkpoint is read without its data.
        padding: whether views may end in padding.
    """

    classes: tuple[str, ...] = ()
    kind: str | None = None
    operators: tuple[str, ...] = ()
    parameter_names: tuple[tuple[str, ...], ...] = ()
    train_targets: np.ndarray | None = None
    padding: bool = False

    @property
    def values(self) -> Tensor:
        """``train_targets`` as a tensor, ``[0, C]`` where they are not known."""
        return torch.zeros(0, len(self.classes)) if self.train_targets is None else torch.as_tensor(self.train_targets)
