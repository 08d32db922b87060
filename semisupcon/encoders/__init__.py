"""Encoders: waveform in, embedding out."""

from semisupcon.encoders.base import Encoder, freeze
from semisupcon.encoders.pooling import AttentionPool, AveragePool, MaxPlusMeanPool, MaxPool, Pool
from semisupcon.encoders.samplecnn import SampleCNN, SampleCNNSmall, SampleCNNXL

__all__ = [
    "AttentionPool",
    "AveragePool",
    "Encoder",
    "MaxPlusMeanPool",
    "MaxPool",
    "Pool",
    "SampleCNN",
    "SampleCNNSmall",
    "SampleCNNXL",
    "freeze",
]
