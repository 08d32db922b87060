"""Baselines from signal features: statistics of MFCCs and of a log-mel spectrogram.

The spectrogram has frames of 25 ms every 10 ms at 16 kHz, and 64 HTK mel bands from 20 Hz to 8 kHz
in decibels. MFCCs are the orthonormal discrete cosine transform of the decibels (Davis and
Mermelstein 1980). Differences (deltas) are regressions over five frames (HTK Book, Young et al.
2006, eq. 5.16). The embedding of a clip has the means and the standard deviations over all frames
of values and differences.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad

from semisupcon.errors import ConfigError
from semisupcon.frontends.mel import LogMel
from semisupcon.probing.baselines.base import Extractor

FRAMES_AT_ONCE = 6_000  # one minute, to limit the memory of the Fourier transform


class LogMelStatistics(Extractor):
    """Means and standard deviations of log-mel bands and of their differences, ``[N, 4 n_mels]``.

    Args:
        n_mels: number of mel bands.
    """

    source = "baseline"
    layer = "log-mel, differences"
    whole_clips = True

    def __init__(self, n_mels: int = 64):
        self._start(n_mels, n_mels)

    def _start(self, n_mels: int, values: int) -> None:
        """Initialise the encoder for ``values`` values per frame."""
        rate, window = 16000, 400
        super().__init__(4 * values, rate, rate, min_samples=window)
        self.log_mel = LogMel(
            rate,
            n_fft=512,
            win_length=window,
            hop_length=160,
            padding=0,
            n_mels=n_mels,
            f_min=20.0,
            f_max=8000.0,
            power=2.0,
            scale="decibel",
            floor=1e-10,
            ceiling=None,
        )

    def sequence(self, x: Tensor) -> Tensor:
        """Return values and differences of each frame, ``[N, 2 values, F]``."""
        values = self.values(self.spectrum(x))
        return torch.cat([values, differences(values)], dim=1)

    def spectrum(self, x: Tensor) -> Tensor:
        """Compute log-mel bands in dB, ``[N, n_mels, F]``, of waveforms ``[N, T]``.

        Long clips are transformed in parts, to limit memory.
        """
        hop, window = self.log_mel.hop_length, self.log_mel.win_length
        count = 1 + (x.shape[1] - window) // hop
        starts = range(0, count, FRAMES_AT_ONCE)
        ends = [min(start + FRAMES_AT_ONCE, count) for start in starts]
        parts = [
            self.log_mel(x[:, None, start * hop : (end - 1) * hop + window])[:, 0]
            for start, end in zip(starts, ends, strict=True)
        ]
        return torch.cat(parts, dim=2)

    def values(self, spectrum: Tensor) -> Tensor:
        """Compute the values ``[N, values, F]`` of frames from their log-mel bands."""
        return spectrum


class MFCC(LogMelStatistics):
    """Means and standard deviations of MFCCs and of their differences, ``[N, 4 coefficients]``.

    Args:
        coefficients: number of MFCCs, including the first one, which is the level.
        n_mels: number of mel bands.
    """

    layer = "MFCC, differences"

    def __init__(self, coefficients: int = 20, n_mels: int = 64):
        if not 0 < coefficients <= n_mels:
            raise ConfigError(
                f"mfcc needs 1 to n_mels ({n_mels}) coefficients, got {coefficients}."
            )
        self._start(n_mels, coefficients)
        self.register_buffer("cosines", cosines(coefficients, n_mels), persistent=False)

    cosines: Tensor

    def values(self, spectrum: Tensor) -> Tensor:
        return self.cosines @ spectrum


def cosines(coefficients: int, bands: int) -> Tensor:
    """Return the matrix of the orthonormal type-II cosine transform, ``[coefficients, bands]``."""
    k, n = torch.arange(coefficients)[:, None], torch.arange(bands)
    transform = torch.cos(math.pi / bands * (n + 0.5) * k) * math.sqrt(2 / bands)
    transform[0] /= math.sqrt(2)
    return transform


def differences(values: Tensor, reach: int = 2) -> Tensor:
    """Return the slope of a regression over ``2 reach + 1`` frames at each frame of ``[N, D, F]``.

    The first and the last frame are repeated beyond the edges.
    """
    steps = torch.arange(-reach, reach + 1, dtype=values.dtype, device=values.device)
    kernel = (steps / steps.square().sum())[None, None]
    n, width, count = values.shape
    padded = pad(values, (reach, reach), mode="replicate").reshape(n * width, 1, -1)
    return conv1d(padded, kernel).reshape(n, width, count)
