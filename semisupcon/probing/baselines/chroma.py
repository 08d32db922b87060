"""Baseline from signal features: statistics of a chromagram.

A frame has the strength of the twelve pitch classes from C to B (Fujishima 1999). Frames have 512 ms
every 256 ms at 16 kHz, with a Hann window. The square root of the magnitude of each Fourier
coefficient from E2 to C7 counts for the nearest note of twelve-tone equal temperament (A4 = 440 Hz),
with a weight that falls to zero half a semitone from the note. Frames have unit length, so that the
level does not matter.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from semisupcon.probing.baselines.base import Extractor

RATE, WINDOW, HOP = 16000, 8192, 4096
LOWEST, HIGHEST = 40, 96  # MIDI notes E2 and C7
SILENCE = 1e-3  # frames of a smaller norm (full scale 1) are not scaled up to unit length
FRAMES_AT_ONCE = 256


class Chroma(Extractor):
    """Means and standard deviations of the twelve pitch classes over frames, ``[N, 24]``."""

    source = "baseline"
    layer = "chroma"
    whole_clips = True

    def __init__(self) -> None:
        super().__init__(24, RATE, RATE, min_samples=WINDOW)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        self.register_buffer("weights", weights(), persistent=False)

    window: Tensor
    weights: Tensor

    def sequence(self, x: Tensor) -> Tensor:
        """Return the chromagram ``[N, 12, F]`` of waveforms ``[N, T]``, values in [0, 1].

        Long clips are transformed in parts, to limit memory.
        """
        parts = []
        for frames in x.unfold(1, WINDOW, HOP).split(FRAMES_AT_ONCE, dim=1):  # [N, F, WINDOW]
            magnitude = torch.fft.rfft(frames * self.window).abs() * (2 / WINDOW)
            chroma = magnitude.sqrt() @ self.weights.T
            parts.append(normalize(chroma, dim=2, eps=SILENCE))
        return torch.cat(parts, dim=1).transpose(1, 2)


def weights() -> Tensor:
    """Return the weight of each Fourier coefficient for each pitch class, ``[12, WINDOW / 2 + 1]``."""
    hertz = torch.arange(WINDOW // 2 + 1) * (RATE / WINDOW)
    notes = 69 + 12 * torch.log2(hertz.clamp(min=1) / 440)
    nearest = notes.round()
    weight = 1 - 2 * (notes - nearest).abs()
    weight[(nearest < LOWEST) | (nearest > HIGHEST)] = 0
    return torch.nn.functional.one_hot(nearest.long() % 12, 12).T * weight
