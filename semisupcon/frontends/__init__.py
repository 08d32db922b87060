"""Waveform in, what the trunk reads out: normalisation rules and front ends."""

from semisupcon.frontends.base import Frontend, Waveform
from semisupcon.frontends.normalization import L2, DatasetStatistics, NoNormalization, Normalization, PerClip

__all__ = ["DatasetStatistics", "Frontend", "L2", "NoNormalization", "Normalization", "PerClip", "Waveform"]
