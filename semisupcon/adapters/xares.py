"""X-ARES (Zhang et al. 2025): an encoder class as its command expects it.

``python -m xares.run semisupcon/adapters/xares.py TASKS`` builds the only class of this module whose
name ends in "Encoder", without arguments. The checkpoint is therefore given in the environment
variable ``SEMISUPCON_CHECKPOINT``, and the hop in ``SEMISUPCON_HOP_MS``.

https://github.com/jimbozhang/xares
"""

import os
from pathlib import Path

from torch import Tensor

from semisupcon.adapters.common import Adapter, stacked, waveforms_of
from semisupcon.errors import ConfigError

HOP = "SEMISUPCON_HOP_MS"  # environment variable


class SemisupconEncoder(Adapter):
    """An encoder with the attributes that X-ARES reads.

    X-ARES keeps its results by the name of the class. The class of an object is therefore a
    subclass whose name contains digits of the weights, so that results of two checkpoints are never
    mixed.

    Args:
        checkpoint: see `Adapter`.
        hop_ms: see `Adapter`; the default is the environment variable ``SEMISUPCON_HOP_MS``.

    Attributes:
        sampling_rate: sample rate in Hz, to which X-ARES resamples audio.
        output_dim: width of the embedding.
        hop_size_in_ms: time between two frames in milliseconds.
    """

    def __init__(self, checkpoint: str | Path | None = None, hop_ms: float | None = None):
        given = os.environ.get(HOP)
        if hop_ms is None and given:
            try:
                hop_ms = float(given)
            except ValueError:
                raise ConfigError(f"{HOP} is a number of milliseconds, got '{given}'.") from None
        super().__init__(checkpoint, hop_ms)
        self.sampling_rate, self.output_dim = self.rate, self.dim
        self.hop_size_in_ms = self.frame_ms
        hop = "" if self.hop is None else f"{self.hop}"
        self.__class__ = type(
            f"Semisupcon{self.fingerprint}{hop and '_'}{hop}Encoder", (type(self),), {}
        )

    def forward(self, audio: Tensor) -> Tensor:
        """Return frames ``[B, F, D]`` of waveforms ``[B, T]`` at ``sampling_rate``.

        The waveforms of a batch are as long as the longest clip: X-ARES pads them with zeros.
        Waveforms shorter than a segment are repeated. Raises the errors of
        `Adapter.frame_embeddings`.
        """
        clips = waveforms_of(audio, self.rate, self.rate)
        return stacked(self.frame_embeddings(clips), audio.device)
