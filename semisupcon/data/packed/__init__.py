"""Packed audio: clips decoded and resampled once, read from disk or from the memory of the device."""

from semisupcon.data.packed.reading import HEADER, INDEX, TARGETS, VERSION, Packed, PackedAudio, SourceFile, describe, digest_of, shard_name

__all__ = ["HEADER", "INDEX", "TARGETS", "VERSION", "Packed", "PackedAudio", "SourceFile", "describe", "digest_of", "shard_name"]
