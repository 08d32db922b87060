"""HEAR 2021 (Turian et al. 2022): the functions of its common API.

``hear-validator semisupcon.adapters.hear --model CHECKPOINT`` checks them. Scene embeddings are
those of ``semisupcon embed --per file``. Timestamp embeddings are those of segments that are centred
on the timestamps, as in ``--per second`` but every 50 ms.

https://hearbenchmark.com/hear-api.html
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from semisupcon.adapters.common import Adapter, stacked, waveforms_of

# Sample rates in Hz that HEAR provides.
RATES = (16000, 22050, 44100, 48000)
HOP_MS = 50.0  # the longest that HEAR suggests


class HearModel(Adapter):
    """An encoder with the attributes that HEAR reads.

    Args:
        checkpoint, hop_ms, trust: see `Adapter`.

    Attributes:
        sample_rate: sample rate of the audio that HEAR is to provide, in Hz: that of the encoder,
            or else the next higher rate of HEAR. In this case audio is resampled.
        scene_embedding_size, timestamp_embedding_size: width of the embedding.
    """

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        hop_ms: float = HOP_MS,
        trust: Sequence[str] = (),
    ):
        super().__init__(checkpoint, hop_ms, trust)
        self.sample_rate = next((rate for rate in RATES if rate >= self.rate), RATES[-1])
        self.scene_embedding_size = self.timestamp_embedding_size = self.dim


def load_model(
    model_file_path: str | Path = "", hop_ms: float = HOP_MS, trust: Sequence[str] = ()
) -> HearModel:
    """Load a checkpoint, run folder or exported folder as a `HearModel`.

    Raises the errors of `Adapter`.
    """
    return HearModel(model_file_path or None, hop_ms, trust)


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """Return one embedding per clip, ``[B, D]`` float32: the mean over its segments.

    Args:
        audio: ``[B, T]`` at ``model.sample_rate``, in about [-1, 1].
        model: result of `load_model`.

    Raises the errors of `Adapter.clip_embeddings`.
    """
    rows = model.clip_embeddings(waveforms_of(audio, model.sample_rate, model.rate))
    return torch.from_numpy(rows).to(audio.device)


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """Return embeddings ``[B, F, D]`` and their timestamps ``[B, F]`` in milliseconds.

    Frame k lies at ``(k + 0.5) * hop``, and F is ceil(length / hop). The arguments are those of
    `get_scene_embeddings`.
    """
    clips = waveforms_of(audio, model.sample_rate, model.rate)
    embeddings = stacked(model.frame_embeddings(clips), audio.device)
    places = (torch.arange(embeddings.shape[1], dtype=torch.float64) + 0.5) * model.frame_ms
    return embeddings, places.float().to(audio.device).expand(len(embeddings), -1)
