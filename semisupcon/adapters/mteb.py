"""MTEB and its audio benchmark MAEB: an encoder for ``mteb.evaluate``, of the interface of mteb 2.

Audio of any sample rate is resampled with soxr. The embedding of a clip is that of ``semisupcon embed
--per file``.

https://github.com/embeddings-benchmark/mteb
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semisupcon.adapters.common import Adapter
from semisupcon.audio.reading import resample
from semisupcon.audio.values import waveform
from semisupcon.errors import AudioError, ConfigError


def load(
    checkpoint: str | Path | None = None,
    name: str | None = None,
    device: str | None = None,
    trust: Sequence[str] = (),
) -> Any:
    """Load a checkpoint as an encoder of mteb.

    Args:
        checkpoint: see `semisupcon.adapters.common.Adapter`.
        name: name of the model in the results, such as ``me/my-encoder``. None is
            ``semisupcon/`` with digits of the weights, so that mteb, which keeps results by name,
            never mixes two checkpoints.
        device: device of the encoder, such as ``cuda``; None is the CPU.
        trust: modules outside this package whose classes the checkpoint may name.

    Returns:
        A ``mteb.models.abs_encoder.AbsEncoder``.

    Raises:
        ConfigError: if mteb is not installed, or the name has no slash.
        CheckpointError: if the checkpoint cannot be loaded.
    """
    try:
        from mteb.models import ModelMeta
        from mteb.models.abs_encoder import AbsEncoder
    except ImportError as error:
        raise ConfigError(f"This adapter needs mteb 2 ({error}).\npip install mteb") from error
    if name is not None and name.count("/") != 1:
        raise ConfigError(f"The name of a model in mteb is OWNER/NAME, got '{name}'.")
    adapter = Adapter(checkpoint, trust=trust).to(device or "cpu")

    class SemisupconEncoder(AbsEncoder):
        """Embeds the audio of mteb's batches."""

        def __init__(self) -> None:
            parameters = sum(p.numel() for p in adapter.encoder.parameters())
            self.model = adapter
            self.mteb_model_meta = ModelMeta(
                loader=None,
                name=name or f"semisupcon/{adapter.fingerprint}",
                revision=adapter.fingerprint,
                release_date=None,
                languages=None,
                n_parameters=parameters,
                memory_usage_mb=round(parameters * 4 / 2**20),
                max_tokens=None,
                embed_dim=adapter.dim,
                license=None,
                open_weights=None,
                public_training_code=None,
                public_training_data=None,
                framework=["PyTorch"],
                similarity_fn_name="cosine",
                use_instructions=False,
                training_datasets=None,
                modalities=["audio"],
            )

        def encode(self, inputs: Any, **kwargs: Any) -> np.ndarray:
            """Return embeddings ``[n, D]`` of the audio of a loader; see ``mteb.EncoderProtocol``."""
            return encode(adapter, inputs)

    return SemisupconEncoder()


def encode(adapter: Adapter, inputs: Any) -> np.ndarray:
    """Embed the audio of a loader of mteb.

    Args:
        adapter: the encoder.
        inputs: ``DataLoader`` whose batches have the key ``audio``: mappings with ``array`` ``[T]``
            or ``[channels, T]`` and ``sampling_rate`` in Hz.

    Returns:
        ``[n, D]`` float32.

    Raises:
        ConfigError: if the rows have no audio.
        AudioError: if a waveform cannot be used.
    """
    inputs.collate_fn = list
    rows = []
    for batch in inputs:
        for row in batch:
            if row.get("audio") is None:
                raise ConfigError("The encoder embeds audio; this task has rows without audio.")
            item = row["audio"]
            rows.append(_embedded(adapter, np.asarray(item["array"]), int(item["sampling_rate"])))
    return np.stack(rows) if rows else np.zeros((0, adapter.dim), np.float32)


def _embedded(adapter: Adapter, audio: np.ndarray, rate: int) -> np.ndarray:
    if audio.ndim not in (1, 2):
        raise AudioError(f"audio of the shape {list(audio.shape)} is not [T] or [channels, T].")
    mono = audio if audio.ndim == 1 else audio.mean(axis=0)
    clip = resample(waveform(mono, "audio"), rate, adapter.rate)
    return adapter.clip_embeddings([clip])[0]


__all__ = ["encode", "load"]
