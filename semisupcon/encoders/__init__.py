"""Encoders: networks that map a waveform to an embedding."""

from semisupcon.encoders.base import Encoder, freeze
from semisupcon.encoders.dilated import DilatedCNN
from semisupcon.encoders.multiformat import MultiFormat
from semisupcon.encoders.multitask import (
    AdapterResNet1d,
    AdapterResNet2d,
    SplitResNet1d,
    SplitResNet2d,
)
from semisupcon.encoders.panns import Res1dNet31, Res1dNet51
from semisupcon.encoders.pooling import AttentionPool, AveragePool, MaxPlusMeanPool, MaxPool, Pool
from semisupcon.encoders.resnet import ResNet1d, ResNet2d
from semisupcon.encoders.samplecnn import SampleCNN, SampleCNNSmall, SampleCNNXL
from semisupcon.encoders.tuneplus import TUNePlus
from semisupcon.encoders.vision import ConvNeXtLarge, ConvNeXtTiny, EfficientNetB0, TimmEncoder

__all__ = [
    "AdapterResNet1d",
    "AdapterResNet2d",
    "AttentionPool",
    "AveragePool",
    "ConvNeXtLarge",
    "ConvNeXtTiny",
    "DilatedCNN",
    "EfficientNetB0",
    "Encoder",
    "MaxPlusMeanPool",
    "MaxPool",
    "MultiFormat",
    "Pool",
    "Res1dNet31",
    "Res1dNet51",
    "ResNet1d",
    "ResNet2d",
    "SampleCNN",
    "SampleCNNSmall",
    "SampleCNNXL",
    "SplitResNet1d",
    "SplitResNet2d",
    "TUNePlus",
    "TimmEncoder",
    "freeze",
]
