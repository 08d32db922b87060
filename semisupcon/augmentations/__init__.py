"""Waveform and spectrogram augmentation: batched transforms with parameters per example, chains."""

from semisupcon.augmentations.base import Chain, OneOf, Transform
from semisupcon.augmentations.chains import build_chain

__all__ = ["Chain", "OneOf", "Transform", "build_chain"]
