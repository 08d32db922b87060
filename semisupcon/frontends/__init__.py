"""Normalisation of waveforms, and front ends that compute the input of an encoder's trunk."""

from semisupcon.frontends.base import Frontend, Waveform
from semisupcon.frontends.mel import (
    LogMel,
    ThreeChannelMel,
    audax_log_mel,
    cola_log_mel,
    mfcl_log_mel,
    mtslvr_log_mel,
)
from semisupcon.frontends.normalization import (
    L2,
    DatasetStatistics,
    NoNormalization,
    Normalization,
    PerClip,
    fit_statistics,
)

__all__ = [
    "DatasetStatistics",
    "Frontend",
    "L2",
    "LogMel",
    "NoNormalization",
    "Normalization",
    "PerClip",
    "ThreeChannelMel",
    "Waveform",
    "audax_log_mel",
    "cola_log_mel",
    "fit_statistics",
    "mfcl_log_mel",
    "mtslvr_log_mel",
]
