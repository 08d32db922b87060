"""Loss functions on tensors."""

from semisupcon.losses.contrastive import Contrast, contrastive_loss, cross_entropy_of_products
from semisupcon.losses.precision import at_least_float32
from semisupcon.losses.predictive import negative_cosine

__all__ = [
    "Contrast",
    "at_least_float32",
    "contrastive_loss",
    "cross_entropy_of_products",
    "negative_cosine",
]
