"""Losses that compare a prediction with what it should be, without negatives."""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from semisupcon.losses.precision import at_least_float32


def negative_cosine(predictions: Tensor, projections: Tensor) -> Tensor:
    """Minus the cosine of each row of ``predictions [N, D]`` with its row of ``projections [N, D]``: ``[N]`` in [-1, 1] (Chen and He 2021, eq. 1).

    In float32 under any autocast (float64 when given it). The caller stops the gradient.
    """
    with torch.autocast(predictions.device.type, enabled=False):
        return -cosine_similarity(at_least_float32(predictions), at_least_float32(projections), dim=-1)
