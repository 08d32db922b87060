"""Batched augmentation of waveforms and spectrograms, with random parameters for each example."""

from semisupcon.augmentations.base import Chain, OneOf
from semisupcon.augmentations.chains import build_chain
from semisupcon.augmentations.transform import Transform

__all__ = ["Chain", "OneOf", "Transform", "build_chain"]
