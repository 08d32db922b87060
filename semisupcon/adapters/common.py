"""The common part of the adapters: load a frozen encoder, and embed waveforms with it."""

import os
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from semisupcon.audio.reading import resample
from semisupcon.audio.values import waveform
from semisupcon.checkpoints import load_encoder
from semisupcon.digests import add_weights
from semisupcon.embedding import Piece, default_batch, embed, embed_pieces, frozen, whole
from semisupcon.embedding.cutting import segments_of_blocks, windows_of_blocks
from semisupcon.errors import AudioError, ConfigError

CHECKPOINT = "SEMISUPCON_CHECKPOINT"  # environment variable with the path of a checkpoint


class Adapter(nn.Module):
    """A frozen encoder that embeds batches of waveforms.

    Args:
        checkpoint: checkpoint, run folder or exported folder. None takes the path in the
            environment variable ``SEMISUPCON_CHECKPOINT``.
        hop_ms: time between two frames in milliseconds. Each frame is the embedding of a segment
            that is centred on it. None gives one frame per consecutive segment, whose mean is the
            embedding of ``semisupcon embed --per file``.
        trust: modules outside this package whose classes the checkpoint may name.

    Attributes:
        rate: sample rate of the encoder in Hz.
        dim: width of the embedding.
        frame_ms: time between two frames in milliseconds.

    Raises:
        CheckpointError: if the checkpoint cannot be loaded.
        ConfigError: if no checkpoint is given, or the hop is not positive.
    """

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        hop_ms: float | None = None,
        trust: Sequence[str] = (),
    ):
        super().__init__()
        checkpoint = checkpoint or os.environ.get(CHECKPOINT)
        if not checkpoint:
            raise ConfigError(
                "No checkpoint is given. Give its path as an argument, or in the environment "
                f"variable {CHECKPOINT}."
            )
        encoder: Any = load_encoder(Path(checkpoint).expanduser(), trust)
        self.encoder = encoder
        self.rate, self.dim = int(encoder.sample_rate), int(encoder.embedding_dim)
        self.hop = None if hop_ms is None else round(hop_ms * self.rate / 1000)
        if self.hop is not None and self.hop < 1:
            raise ConfigError(f"The hop of frames must be at least one sample, got {hop_ms} ms.")
        self.frame_ms = 1000 * (self.hop or encoder.segment_samples) / self.rate
        self.eval()

    def train(self, mode: bool = True) -> "Adapter":
        """Stay in evaluation mode: the encoder is frozen."""
        return super().train(False)

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that identify the weights."""
        digest = blake2b(digest_size=4)
        add_weights(digest, self.encoder)
        return digest.hexdigest()

    def clip_embeddings(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Return ``[B, D]`` float32, the mean over the segments of each mono waveform ``[T]``.

        Waveforms have the sample rate of the encoder. A waveform that is shorter than a segment is
        repeated.

        Raises:
            AudioError: if a waveform is empty, or has impossible values.
        """
        return cast("np.ndarray", embed(self.encoder, clips))

    def frame_embeddings(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the frames ``[F, D]`` float32 of each mono waveform ``[T]``.

        Without a hop, F is ceil(T / segment), else ceil(T / hop). At the ends of a clip, segments
        are moved so that they lie inside it. Raises the errors of `clip_embeddings`.
        """
        device, encoder = self.device, cast("Any", self.encoder)
        with frozen(encoder):
            size = default_batch(encoder.segment_samples, device)
            done = embed_pieces(encoder, self._pieces(clips), size, device)
            return [rows for _, rows, _ in whole(done)]

    def _pieces(self, clips: Sequence[np.ndarray]) -> Iterator[Piece]:
        segment = cast("Any", self.encoder).segment_samples
        for number, clip in enumerate(clips):
            blocks = [waveform(clip, f"waveform {number}")]
            cut = (
                segments_of_blocks(blocks, segment)
                if self.hop is None
                else windows_of_blocks(blocks, segment, self.hop)
            )
            for rows in cut:
                yield Piece(number, rows)
            yield Piece(number, None, last=True)

    @property
    def device(self) -> torch.device:
        """Device of the encoder."""
        return next((p.device for p in self.encoder.parameters()), torch.device("cpu"))


def waveforms_of(audio: Tensor, rate: int, own_rate: int) -> list[np.ndarray]:
    """Split a batch of waveforms, average their channels, and resample them (soxr, quality HQ).

    Args:
        audio: ``[B, T]`` or ``[B, channels, T]``, floating point with full scale 1.
        rate: sample rate of the batch in Hz.
        own_rate: sample rate of the encoder in Hz.

    Raises:
        AudioError: if the batch has another shape.
    """
    if audio.dim() not in (2, 3) or not audio.is_floating_point():
        raise AudioError(
            f"A batch of audio is [B, T] or [B, channels, T] in floating point, got "
            f"{list(audio.shape)} of {audio.dtype}."
        )
    mono = audio if audio.dim() == 2 else audio.mean(dim=1)
    clips = mono.detach().float().cpu().numpy()
    return [resample(clip, rate, own_rate) for clip in clips]


def stacked(rows: Sequence[np.ndarray], device: torch.device) -> Tensor:
    """Stack frames ``[F, D]`` of clips of one length to ``[B, F, D]`` on a device."""
    return torch.from_numpy(np.stack(rows)).to(device)
