"""The one batch that every loader yields and every criterion takes."""

from typing import NotRequired, TypedDict

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
    """

    audio: Tensor
    length: Tensor
    targets: Tensor
    clip: Tensor
    key: Tensor
    applied: NotRequired[Tensor]
    parameters: NotRequired[Tensor]


def labelled(targets: Tensor) -> Tensor:
    """``[B]`` bool: which rows of ``targets [B, C]`` carry a label; none when there are no classes."""
    if targets.shape[1] == 0:
        return targets.new_zeros(len(targets), dtype=bool)
    return ~targets.isnan().any(dim=1)
