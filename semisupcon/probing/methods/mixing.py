"""Changes of the batches and of the loss in fine-tuning: mixup, and weights of classes."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from semisupcon.kinds import KINDS


def mixed(
    audio: Tensor, length: Tensor, targets: Tensor, alpha: float, key: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Mix every segment and its targets with another one of the batch (Zhang et al. 2018, mixup).

    Args:
        audio: ``[N, 1, T]``.
        length: ``[N]`` samples without padding; a mixture has the greater length.
        targets: ``[N, C]``.
        alpha: both parameters of the Beta distribution of the share; one share per segment.
        key: seed of the draws.
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
    """Weights ``[C]`` that make classes equal, from the training targets ``[n, C]``.

    Multiclass: n / (C * clips of the class), as "balanced" in scikit-learn. Tags and binary: ratio
    of negatives to positives. A class without clips has weight 1.
    """
    count, n = targets.sum(dim=0), len(targets)
    weights = n / (targets.shape[1] * count) if kind == "multiclass" else (n - count) / count
    return torch.where(count > 0, weights, torch.ones_like(weights))


def weighted_loss(outputs: Tensor, targets: Tensor, kind: str, weights: Tensor) -> Tensor:
    """The loss of a label kind with class weights ``[C]``.

    Multiclass: as ``cross_entropy`` of torch with ``weight``. Tags and binary: as
    ``binary_cross_entropy_with_logits`` with ``pos_weight``.
    """
    if kind != "multiclass":
        return binary_cross_entropy_with_logits(outputs, targets, pos_weight=weights)
    each = KINDS[kind].losses(outputs, targets)
    of_row = (targets * weights).sum(dim=1)
    return (of_row * each).sum() / of_row.sum()
