"""Features of a signal as baselines: statistics of MFCCs and of a log-mel spectrogram.

Frames of 25 ms every 10 ms at 16 kHz; 64 HTK mel bands from 20 Hz to 8 kHz; decibels. Differences
are the regression over five frames of the HTK Book (Young et al. 2006, eq. 5.16). The embedding of
a clip has means and standard deviations over all its frames, of values and of differences. MFCCs
are the orthonormal discrete cosine transform of the decibels (Davis and Mermelstein 1980).
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad

from semisupcon.errors import ConfigError
from semisupcon.frontends.mel import LogMel
from semisupcon.probing.baselines.base import Extractor

FRAMES_AT_ONCE = 6_000  # one minute; bounds the memory of the Fourier transform


class LogMelStatistics(Extractor):
    """Means and standard deviations of log-mel bands and of their differences, ``[N, 4 n_mels]``.

    Args:
        n_mels: mel bands.
    """

    source = "baseline"
    layer = "log-mel, differences"
    whole_clips = True

    def __init__(self, n_mels: int = 64):
        self._start(n_mels, n_mels)

    def _start(self, n_mels: int, values: int) -> None:
        """Initialise the encoder with ``values`` per frame."""
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
        """Values and differences ``[N, 2 values, F]``."""
        values = self.values(self.spectrum(x))
        return torch.cat([values, differences(values)], dim=1)

    def spectrum(self, x: Tensor) -> Tensor:
        """Log-mel bands in dB, ``[N, n_mels, F]``; long clips are transformed in parts."""
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
        """Values of a frame."""
        return spectrum


class MFCC(LogMelStatistics):
    """Means and standard deviations of MFCCs and of their differences, ``[N, 4 coefficients]``.

    Args:
        coefficients: MFCCs, the first is the level.
        n_mels: mel bands.
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
    """Orthonormal type-II cosine transform ``[coefficients, bands]``."""
    k, n = torch.arange(coefficients)[:, None], torch.arange(bands)
    transform = torch.cos(math.pi / bands * (n + 0.5) * k) * math.sqrt(2 / bands)
    transform[0] /= math.sqrt(2)
    return transform


def differences(values: Tensor, reach: int = 2) -> Tensor:
    """Slope of the regression over ``2 reach + 1`` frames of ``[N, D, F]``; edges are repeated."""
    steps = torch.arange(-reach, reach + 1, dtype=values.dtype, device=values.device)
    kernel = (steps / steps.square().sum())[None, None]
    n, width, count = values.shape
    padded = pad(values, (reach, reach), mode="replicate").reshape(n * width, 1, -1)
    return conv1d(padded, kernel).reshape(n, width, count)
