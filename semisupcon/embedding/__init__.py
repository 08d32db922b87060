"""Embed audio with a frozen encoder: clips are cut into segments and batched across clips.

Audio is decoded, resampled, cut and embedded in pieces, so memory does not grow with the length of
a file. This folder imports only torch, numpy and the audio reader, the packages of an installation
for embedding only.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from semisupcon.audio.values import waveform
from semisupcon.embedding.ahead import WORKERS, Piece, pieces_ahead, read_ahead
from semisupcon.embedding.batches import (
    BREAK,
    Form,
    batch_of,
    default_batch,
    embed_pieces,
    embed_segments,
    whole,
)
from semisupcon.embedding.cutting import (
    cut,
    segments_of_blocks,
    whole_of_blocks,
    windows_of_blocks,
    windows_per_second,
)
from semisupcon.embedding.progress import Progress, progress
from semisupcon.errors import AudioError, ConfigError

__all__ = [
    "BREAK",
    "Piece",
    "Progress",
    "batch_of",
    "WORKERS",
    "cut",
    "default_batch",
    "embed",
    "embed_pieces",
    "embed_segments",
    "first_segment",
    "frozen",
    "load_pieces",
    "load_segments",
    "mean_rows",
    "pieces_ahead",
    "progress",
    "read_ahead",
    "whole",
    "windows_per_second",
]


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Run modules in eval mode without gradients, then restore the mode of every submodule.

    Parameters and buffers do not change.
    """
    modes = [(part, part.training) for module in modules for part in module.modules()]
    for module in modules:
        module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def embed(
    encoder: nn.Module,
    clips: Iterable[str | Path | np.ndarray | Tensor] | str | Path,
    per: str = "file",
    task: str | None = None,
    batch_size: int | None = None,
    workers: int = WORKERS,
) -> np.ndarray | list[np.ndarray]:
    """Embed audio files or waveforms on the device of the encoder; called by ``encoder.embed``.

    Args:
        encoder: an `Encoder`.
        clips: paths of audio files (any rate and number of channels), or mono waveforms ``[T]`` at
            the encoder's sample rate: floating point with full scale 1, or int8, int16, int32,
            uint8, which are scaled.
        per: "file" for one embedding per clip (the mean over its segments), "second" for one per
            second.
        task: part of the embedding that belongs to one task, in encoders with several.
        batch_size: segments per forward pass; None is 32 on a GPU, and on a CPU the number that
            holds 400,000 samples, at most 32.
        workers: threads that read ahead.

    Returns:
        ``[n, D]`` float32 per file, or a list of ``[seconds, D]`` per second.

    Raises:
        AudioError: for a file or waveform that cannot be used (`semisupcon.audio.values`), with its
            name or position.
    """
    clips = [clips] if isinstance(clips, str | Path) else list(clips)
    if per not in ("file", "second"):
        raise ConfigError(f"per must be 'file' or 'second', got '{per}'.")
    device = next((p.device for p in encoder.parameters()), "cpu")
    form = cast("Form", encoder)
    batch_size = batch_size or batch_of(form, device)
    rows: list[np.ndarray] = []
    with frozen(encoder):
        items = enumerate(clips)
        pieces = pieces_ahead(lambda x: load_pieces(x[0], x[1], form, per), items, workers)
        done = embed_pieces(lambda x: encoder(x, task=task), pieces, batch_size, device)
        for _, values, error in whole(done) if per == "second" else mean_rows(done):
            if error is not None:
                raise error
            assert values is not None  # rows exist if there is no error
            rows.append(values)
    if per == "second":
        return rows
    return np.stack(rows) if rows else np.zeros((0, form.embedding_dim), np.float32)


def mean_rows(
    pieces: Iterable[Piece],
) -> Iterator[tuple[int, np.ndarray | None, BaseException | None]]:
    """Average the rows of each item: yields item, mean ``[D]`` (None without rows), error."""
    total, count = None, 0
    for piece in pieces:
        if not piece.last:
            sums = piece.rows.sum(axis=0, dtype=np.float64)
            total, count = sums if total is None else total + sums, count + len(piece.rows)
            continue
        yield piece.item, None if total is None else (total / count).astype(np.float32), piece.error
        total, count = None, 0


def load_pieces(
    position: int,
    clip: str | Path | np.ndarray | Tensor,
    encoder: Form,
    per: str = "file",
    silent: Callable[[str], None] = lambda reason: None,
) -> Iterator[np.ndarray]:
    """Yield the segments of one clip in pieces ``[k, segment]``; raises the errors of `embed`.

    An encoder of whole clips gets one piece ``[1, T]``, unless ``per`` is "second" or "segment".

    ``silent`` is called with the reason at the end of a silent file.
    """
    from semisupcon.audio.blocks import read_blocks

    name = str(clip) if isinstance(clip, str | Path) else f"waveform {position}"
    blocks: Iterable[np.ndarray]
    if isinstance(clip, str | Path):
        blocks = read_blocks(clip, encoder.sample_rate, silent=silent)
    else:
        samples = clip.numpy(force=True) if isinstance(clip, Tensor) else clip
        blocks = [waveform(samples, name)]
    if per == "second":
        pieces = windows_of_blocks(blocks, encoder.segment_samples, encoder.sample_rate)
    elif per == "file" and getattr(encoder, "whole_clips", False):
        pieces = whole_of_blocks(blocks, encoder.min_samples)
    else:
        pieces = segments_of_blocks(blocks, encoder.segment_samples)
    empty = True
    for piece in pieces:
        empty = False
        yield piece
    if empty:
        raise AudioError(f"{name} holds no samples.")


def load_segments(
    position: int,
    clip: str | Path | np.ndarray | Tensor,
    encoder: Form,
    per: str = "segment",
) -> np.ndarray:
    """Return the segments ``[n, segment]`` of one clip; raises the errors of `embed`."""
    return np.concatenate(list(load_pieces(position, clip, encoder, per)))


def first_segment(clip: str | Path, encoder: Form) -> np.ndarray:
    """Return the first segment ``[1, segment]`` of a clip; decoding stops when it is complete.

    Raises the errors of `embed`.
    """
    return next(load_pieces(0, clip, encoder, "segment"))[:1]
