"""Whether decoded samples can be audio, and whether anything is left of them once channels are averaged. One answer for all commands.

Full scale is 1. A float file can go above it: field recorders keep some 24 dB in reserve, and a sum of a hundred tracks at full scale
reaches 40 dB. What lies beyond `LIMIT` (40 dB, a magnitude of 100) is no level but another scale (8-bit samples reach 128, 16-bit ones
32,768) or damage (1e29). One such sample makes the loss finite, the running variance of batch norm infinite, and all embeddings equal.
"""

import numpy as np

from semisupcon.errors import AudioError

LIMIT = 100.0
CANCELLED = 1e-4  # of the channels' power; two unrelated channels keep half of it, an inverted copy after lossy coding some 1e-5
SILENT, OPPOSITE = "silence only", "silence once its channels are averaged: they have opposite phase"
_SCALES = {
    np.dtype(np.int16): (0, 1 << 15),
    np.dtype(np.int32): (0, 1 << 31),
    np.dtype(np.int8): (0, 1 << 7),
    np.dtype(np.uint8): (128, 128),
}


def problem_of(samples: np.ndarray) -> str:
    """Why samples of any shape, full scale being 1, cannot be audio; "" if they can."""
    if not samples.size:
        return ""
    peak = max(float(samples.max()), -float(samples.min()))
    if peak <= LIMIT:
        return ""
    if not peak < np.inf:
        return "infinite samples" if peak == np.inf else "samples that are not numbers"
    scale = " (samples in the scale of integers?)" if peak <= 1 << 31 else ""
    return f"samples of magnitude {peak:.3g}, where full scale is 1{scale}"


def power(samples: np.ndarray) -> tuple[float, float]:
    """The sum of squares of ``[n, channels]``: of the mean of the channels, and of the channels, averaged."""
    if samples.shape[1] == 1:
        flat = samples[:, 0]
        return (both := float(np.dot(flat, flat))), both
    mono = samples.mean(axis=1)
    return float(np.dot(mono, mono)), float(np.vdot(samples, samples)) / samples.shape[1]


def silence(of_mean: float, of_channels: float) -> str:
    """`SILENT`, `OPPOSITE`, or "" for what can be heard, from the sums that `power` gives."""
    if of_channels == 0:
        return SILENT
    return OPPOSITE if of_mean < CANCELLED * of_channels else ""


def waveform(samples: np.ndarray, name: str) -> np.ndarray:
    """A waveform ``[T]`` that a program passes, as float32: integers of 8, 16 and 32 bits are scaled to [-1, 1), floats stay.

    Args:
        samples: of int8, int16, int32, uint8 (128 is zero, as in wav), or floating point with full scale 1.
        name: what to call it in messages.

    Raises:
        AudioError: for another shape or type, no samples, or values that no audio has.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1:
        raise AudioError(f"{name} has the shape {samples.shape}; a waveform is [T], mono.")
    if not len(samples):
        raise AudioError(f"{name} holds no samples.")
    if samples.dtype in _SCALES:
        zero, scale = _SCALES[samples.dtype]
        return ((samples.astype(np.float64) - zero) / scale).astype(np.float32)
    if not np.issubdtype(samples.dtype, np.floating):
        raise AudioError(
            f"{name} is of type {samples.dtype}, whose full scale is not known.\n"
            "Give floating point in [-1, 1], or int16, int32, int8 or uint8 as audio files have them."
        )
    if problem := problem_of(samples):
        raise AudioError(f"{name} cannot be used: {problem}.\nGive floating point in [-1, 1], or int16 as it is.")
    return samples.astype(np.float32, copy=False)
