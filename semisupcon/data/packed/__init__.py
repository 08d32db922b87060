"""Packed audio: decoded and resampled clips, read from disk or from device memory."""

from semisupcon.data.packed.checks import HEADER, INDEX, TARGETS, VERSION, SourceFile, describe
from semisupcon.data.packed.reading import Packed, PackedAudio, shard_name

__all__ = [
    "HEADER",
    "INDEX",
    "TARGETS",
    "VERSION",
    "Packed",
    "PackedAudio",
    "SourceFile",
    "describe",
    "shard_name",
]
