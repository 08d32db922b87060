"""Mixup and class weights for fine-tuning."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from semisupcon.kinds import KINDS


def mixed(
    audio: Tensor, length: Tensor, targets: Tensor, alpha: float, key: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Mix each segment of a batch and its targets with another segment (mixup, Zhang et al. 2018).

    Args:
        audio: ``[N, 1, T]``.
        length: ``[N]``, samples without padding. A mixture has the greater of the two lengths.
        targets: ``[N, C]``.
        alpha: both parameters of the Beta distribution from which the mixing share of each segment
            is drawn.
        key: seed of the draws.

    Returns:
        Mixed audio, lengths and targets, in the shapes of the arguments.
    """
    draw = np.random.default_rng(key % (1 << 63))
    order = torch.from_numpy(draw.permutation(len(audio))).to(audio.device)
    share = torch.from_numpy(draw.beta(alpha, alpha, len(audio)).astype(np.float32))
    share = share.to(audio.device)
    of_audio, of_targets = share[:, None, None], share[:, None]
    return (
        of_audio * audio + (1 - of_audio) * audio[order],
        torch.maximum(length, length[order]),
        of_targets * targets + (1 - of_targets) * targets[order],
    )


def class_weights(targets: Tensor, kind: str) -> Tensor:
    """Return the weights ``[C]`` that balance classes, from the training targets ``[n, C]``.

    Multiclass: n / (C * clips of the class), as "balanced" in scikit-learn. Multilabel and binary:
    ratio of negatives to positives. A class without clips has weight 1.
    """
    count, n = targets.sum(dim=0), len(targets)
    weights = n / (targets.shape[1] * count) if kind == "multiclass" else (n - count) / count
    return torch.where(count > 0, weights, torch.ones_like(weights))


def weighted_loss(outputs: Tensor, targets: Tensor, kind: str, weights: Tensor) -> Tensor:
    """Compute the loss of a label kind with class weights ``[C]``.

    Multiclass: ``cross_entropy`` of torch with ``weight``. Multilabel and binary:
    ``binary_cross_entropy_with_logits`` with ``pos_weight``.
    """
    if kind != "multiclass":
        return binary_cross_entropy_with_logits(outputs, targets, pos_weight=weights)
    each = KINDS[kind].losses(outputs, targets)
    of_row = (targets * weights).sum(dim=1)
    return (of_row * each).sum() / of_row.sum()
