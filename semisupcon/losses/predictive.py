"""Losses between a prediction and its target, without negatives."""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from semisupcon.losses.precision import at_least_float32


def negative_cosine(predictions: Tensor, projections: Tensor) -> Tensor:
    """Return the negative cosine similarity ``[N]`` of the rows of two tensors ``[N, D]``.

    See Chen and He 2021, eq. 1. Values are in [-1, 1], in float32 under any autocast (float64 for
    float64 input). The caller must stop the gradient of ``projections``.
    """
    with torch.autocast(predictions.device.type, enabled=False):
        return -cosine_similarity(
            at_least_float32(predictions), at_least_float32(projections), dim=-1
        )
