"""Base class of front ends, and the identity front end of waveform encoders."""

from typing import TypeVar

from torch import Tensor

from semisupcon.spec import Recorded

Count = TypeVar("Count", int, Tensor)  # one number, or one per waveform ``[N]``


class Frontend(Recorded):
    """Converts waveforms ``[N, 1, T]`` to the input of a trunk.

    Attributes:
        sample_rate: Hz assumed by its constants; None if any rate is possible.
        channels: output channels.
        bands: frequency bands of the output ``[N, channels, bands, frames]``; None for waveform
            output ``[N, channels, frames]``.
        min_samples: length of the shortest accepted waveform.
    """

    sample_rate: int | None = None
    channels: int = 1
    bands: int | None = None
    min_samples: int = 1

    def frame_count(self, samples: Count) -> Count:
        """Number of output frames for waveforms of ``samples`` samples, of the same type."""
        return samples

    def samples_for(self, frames: int) -> int:
        """Length of the shortest waveform that gives ``frames`` frames."""
        return frames


class Waveform(Frontend):
    """Identity front end, ``[N, 1, T]`` to ``[N, 1, T]``."""

    def forward(self, x: Tensor) -> Tensor:
        return x
