"""Waveform and spectrogram augmentation: batched transforms with parameters per example, chains."""

from semisupcon.augmentations.base import Chain, OneOf
from semisupcon.augmentations.chains import build_chain
from semisupcon.augmentations.transform import Transform

__all__ = ["Chain", "OneOf", "Transform", "build_chain"]
