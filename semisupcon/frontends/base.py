"""Base class of front ends, and the identity front end of waveform encoders."""

from typing import TypeVar

from torch import Tensor

from semisupcon.spec import Recorded

Count = TypeVar("Count", int, Tensor)  # one number, or a tensor ``[N]`` with one per waveform


class Frontend(Recorded):
    """Base class of modules that convert waveforms ``[N, 1, T]`` to the input of a trunk.

    Attributes:
        sample_rate: sample rate in Hz that the constants assume; None if any rate is possible.
        channels: number of output channels.
        bands: number of frequency bands of the output ``[N, channels, bands, frames]``. None if the
            output is a waveform ``[N, channels, frames]``.
        min_samples: length in samples of the shortest accepted waveform.
    """

    sample_rate: int | None = None
    channels: int = 1
    bands: int | None = None
    min_samples: int = 1

    def frame_count(self, samples: Count) -> Count:
        """Return the number of output frames for waveforms of ``samples`` samples.

        ``samples`` and the result are a number, or a tensor ``[N]``.
        """
        return samples

    def samples_for(self, frames: int) -> int:
        """Return the length in samples of the shortest waveform that gives ``frames`` frames."""
        return frames


class Waveform(Frontend):
    """Front end that returns waveforms ``[N, 1, T]`` unchanged."""

    def forward(self, x: Tensor) -> Tensor:
        return x
