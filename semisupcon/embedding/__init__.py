"""Embed audio with a frozen encoder. Clips are cut into segments, and batches span several clips.

Audio is decoded, resampled, cut and embedded in pieces, so memory use does not depend on the length
of a file. This package imports only torch, NumPy and the audio reader, because they suffice for an
installation that only embeds audio.
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
    PRECISIONS,
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
    "PRECISIONS",
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
    """Run modules in eval mode without gradients in a ``with`` block.

    Parameters and buffers do not change. The mode of every submodule is restored at the end.
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
    """Embed audio files or waveforms on the device of the encoder.

    Args:
        encoder: an `Encoder`, whose method ``embed`` calls this function.
        clips: paths of audio files (of any sample rate and number of channels), or mono waveforms
            ``[T]`` at the sample rate of the encoder. Waveforms are floating point with full scale
            1, or int8, int16, int32 or uint8, which are scaled.
        per: "file" for one embedding per clip (the mean over its segments), "second" for one
            embedding per second.
        task: for an encoder with several tasks, the task whose part of the embedding is returned;
            None returns all parts.
        batch_size: number of segments per forward pass. None is 32 on a GPU. On a CPU, None is the
            number of segments with 400,000 samples together, at most 32.
        workers: number of threads that read audio in advance.

    Returns:
        ``[n, D]`` float32 for "file"; a list of n arrays ``[seconds, D]`` for "second".

    Raises:
        AudioError: if a file or waveform cannot be used (see `semisupcon.audio.values`). The
            message has its name or position.
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
            assert values is not None  # without error, there are rows
            rows.append(values)
    if per == "second":
        return rows
    return np.stack(rows) if rows else np.zeros((0, form.embedding_dim), np.float32)


def mean_rows(
    pieces: Iterable[Piece],
) -> Iterator[tuple[int, np.ndarray | None, BaseException | None]]:
    """Average the rows of each item.

    Yields the item number, the mean ``[D]`` (None without rows), and the error or None.
    """
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
    """Yield the segments of one clip in pieces ``[k, segment]``. Raises the errors of `embed`.

    If the encoder embeds whole clips and ``per`` is "file", yield a single piece ``[1, T]``.

    The function ``silent`` is called at the end of a silent file, with the reason.
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
    """Return the segments ``[n, segment]`` of one clip. Raises the errors of `embed`."""
    return np.concatenate(list(load_pieces(position, clip, encoder, per)))


def first_segment(clip: str | Path, encoder: Form) -> np.ndarray:
    """Return the first segment ``[1, segment]`` of a clip. The rest of the clip is not decoded.

    Raises the errors of `embed`.
    """
    return next(load_pieces(0, clip, encoder, "segment"))[:1]
