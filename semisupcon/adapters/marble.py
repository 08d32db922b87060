"""MARBLE (Yuan et al. 2023), version 2: an encoder for its configurations.

Give ``semisupcon.adapters.marble.MarbleEncoder`` as ``class_path`` of the encoder. MARBLE itself is
not on PyPI. This module follows its published interface: ``marble.core.base_encoder.BaseEncoder``,
whose ``forward`` maps waveforms to ``[B, T, H]``.

https://github.com/a43992899/MARBLE
"""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from semisupcon.adapters.common import Adapter, stacked, waveforms_of


def _base() -> type[nn.Module]:
    """Return the base class of encoders of MARBLE, or ``nn.Module`` if it is not installed."""
    try:
        from marble.core.base_encoder import BaseEncoder
    except ImportError:
        return nn.Module
    return BaseEncoder


class MarbleEncoder(_base()):  # type: ignore[misc]  # the base class is known at run time only
    """A frozen encoder with the interface of MARBLE.

    Args:
        checkpoint: see `semisupcon.adapters.common.Adapter`.
        hop_ms: see `semisupcon.adapters.common.Adapter`.
        as_layers: return a tuple with one layer ``[B, T, H]``, as encoders with hidden layers do.
            The transform ``LayerSelector`` of MARBLE needs it.

    Attributes:
        sample_rate: sample rate of the input in Hz. MARBLE resamples audio to the rate that its
            configuration names; give the same rate there.
        NUM_FEATURES: width H of the embedding.
        TOKEN_RATE: number of frames per second.
    """

    NAME = "semisupcon"

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        hop_ms: float | None = None,
        as_layers: bool = False,
    ):
        super().__init__()
        self.adapter = Adapter(checkpoint, hop_ms)
        self.requires_grad_(False)
        self.as_layers = as_layers
        self.sample_rate = self.SAMPLING_RATE = self.adapter.rate
        self.NUM_FEATURES, self.TOKEN_RATE = self.adapter.dim, 1000 / self.adapter.frame_ms

    def forward(self, input_tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Return frames ``[B, T, H]`` of waveforms ``[B, samples]`` or ``[B, channels, samples]``.

        Channels are averaged. With ``as_layers``, the result is a tuple of one such tensor. Raises
        the errors of `semisupcon.adapters.common.Adapter.frame_embeddings`.
        """
        adapter = self.adapter
        clips = waveforms_of(input_tensor, adapter.rate, adapter.rate)
        frames = stacked(adapter.frame_embeddings(clips), input_tensor.device)
        return (frames,) if self.as_layers else frames


__all__ = ["MarbleEncoder"]
