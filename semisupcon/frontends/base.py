"""What a front end is, and the identity that waveform encoders use."""

from typing import TypeVar

from torch import Tensor

from semisupcon.spec import Recorded

Count = TypeVar("Count", int, Tensor)  # One number, or one a waveform ``[N]``.


class Frontend(Recorded):
    """Turns waveforms ``[N, 1, T]`` into what a trunk reads.

    Attributes:
        sample_rate: Hz that its constants are meant for; None when any will do.
        channels: channels of its output.
        bands: frequency bands of its output ``[N, channels, bands, frames]``; None for waveform output ``[N, channels, frames]``.
        min_samples: the shortest waveform it takes.
    """

    sample_rate: int | None = None
    channels: int = 1
    bands: int | None = None
    min_samples: int = 1

    def frame_count(self, samples: Count) -> Count:
        """Frames of its output for waveforms of so many samples; the same type as given."""
        return samples

    def samples_for(self, frames: int) -> int:
        """The shortest waveform that gives so many frames."""
        return frames


class Waveform(Frontend):
    """The identity: ``[N, 1, T]`` to ``[N, 1, T]``."""

    def forward(self, x: Tensor) -> Tensor:
        return x
