"""Check decoded samples: impossible values, and silence after averaging the channels.

Full scale is 1. Samples of float files can be larger: field recorders keep about 24 dB of headroom,
and a sum of a hundred tracks at full scale reaches 40 dB. Samples with a magnitude above `LIMIT`
(100, or 40 dB) have another scale (8-bit samples reach 128, 16-bit samples 32,768) or are damaged
(1e29). A single such sample leaves the loss finite, but makes the running variance of batch norm
infinite, so that all embeddings become equal.
"""

import numpy as np

from semisupcon.errors import AudioError

LIMIT = 100.0
# Minimum ratio of the power of the channel mean to the mean power of the channels. The ratio is 0.5
# for two unrelated channels, and about 1e-5 for a channel and its inverted copy after lossy coding.
CANCELLED = 1e-4
SILENT, OPPOSITE = (
    "silence only",
    "silence once its channels are averaged: they have opposite phase",
)
_SCALES = {
    np.dtype(np.int16): (0, 1 << 15),
    np.dtype(np.int32): (0, 1 << 31),
    np.dtype(np.int8): (0, 1 << 7),
    np.dtype(np.uint8): (128, 128),
}


def problem_of(samples: np.ndarray) -> str:
    """Return the reason why samples cannot be audio; "" if they can.

    Samples have any shape and full scale 1.
    """
    if not samples.size:
        return ""
    peak = max(float(samples.max()), -float(samples.min()))
    if peak <= LIMIT:
        return ""
    if not peak < np.inf:
        return "infinite samples" if peak == np.inf else "NaN samples"
    scale = " (samples in the scale of integers?)" if peak <= 1 << 31 else ""
    return f"samples of magnitude {peak:.3g}, where full scale is 1{scale}"


def power(samples: np.ndarray) -> tuple[float, float]:
    """Return two sums of squares of samples ``[n, channels]``.

    The first is that of the mean over channels, the second is the average over the channels of
    their sums of squares.
    """
    if samples.shape[1] == 1:
        flat = samples[:, 0]
        return (both := float(np.dot(flat, flat))), both
    mono = samples.mean(axis=1)
    return float(np.dot(mono, mono)), float(np.vdot(samples, samples)) / samples.shape[1]


def silence(of_mean: float, of_channels: float) -> str:
    """Return `SILENT`, `OPPOSITE`, or "" for audible sound, from the results of `power`."""
    if of_channels == 0:
        return SILENT
    return OPPOSITE if of_mean < CANCELLED * of_channels else ""


def waveform(samples: np.ndarray, name: str) -> np.ndarray:
    """Convert a waveform ``[T]`` to float32. Integers are scaled to [-1, 1), floats are not scaled.

    Args:
        samples: int8, int16, int32, uint8 (where 128 means zero, as in wav), or floating point with
            full scale 1.
        name: name of the waveform, for messages.

    Raises:
        AudioError: if the shape or type is wrong, or if there are no samples or impossible values.
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
            "Give floating point in [-1, 1], or int16, int32, int8 or uint8 as audio files have "
            "them."
        )
    if problem := problem_of(samples):
        raise AudioError(
            f"{name} cannot be used: {problem}.\nGive floating point in [-1, 1], or int16 as it "
            "is.",
        )
    return samples.astype(np.float32, copy=False)
