"""Embed segments in batches that span several clips."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from semisupcon.embedding.ahead import Piece

BATCH, CPU_SAMPLES = 32, 400_000
PRECISIONS = ("float32", "bfloat16", "float16")  # that an encoder can compute in
BREAK = Piece(-1, None)  # in a sequence of pieces, ends a batch early


class Form(Protocol):
    """Attributes of an encoder that are needed to prepare its input; see `Encoder`."""

    sample_rate: int
    segment_samples: int
    embedding_dim: int
    min_samples: int


def default_batch(segment_samples: int, device: str | torch.device) -> int:
    """Return the number of segments per forward pass: 32 on a GPU, fewer on a CPU.

    On a CPU, larger batches are not faster and need more memory.
    """
    if torch.device(device).type != "cpu":
        return BATCH
    return max(1, min(BATCH, CPU_SAMPLES // segment_samples))


def batch_of(encoder: Form, device: str | torch.device) -> int:
    """Return the number of segments per forward pass of an encoder.

    It is 1 for encoders of whole clips, because clips differ in length.
    """
    if getattr(encoder, "whole_clips", False):
        return 1
    return default_batch(encoder.segment_samples, device)


def embed_pieces(
    encode: Callable[[Tensor], Tensor],
    pieces: Iterable[Piece],
    batch_size: int = 32,
    device: str | torch.device = "cpu",
) -> Iterator[Piece]:
    """Embed the segments of clips that arrive in pieces. At most one batch is kept in memory.

    Args:
        encode: function that maps segments ``[N, 1, segment]`` (float32 on ``device``) to
            embeddings ``[N, D]``.
        pieces: pieces whose rows are segments ``[k, segment]``. Segments of another length begin a
            new batch, and `BREAK` ends a batch.
        batch_size: number of segments per forward pass.

    Yields:
        Pieces whose rows are embeddings ``[k, D]`` float32. The order is that of the segments, but
        pieces may have other boundaries. The last piece of each item and breaks are passed on.
    """
    on_gpu = torch.device(device).type == "cuda"
    batch: np.ndarray | None = None
    owners: list[Piece] = []
    filled = 0

    def run() -> Iterator[Piece]:
        nonlocal batch, filled
        if batch is not None and filled:
            rows = torch.from_numpy(batch[:filled])[:, None].to(device, non_blocking=True)
            done, at = encode(rows).float().cpu().numpy(), 0
        for owner in owners:
            if isinstance(owner.rows, int):
                yield owner._replace(rows=done[at : at + owner.rows])
                at += owner.rows
            else:
                yield owner
        owners.clear()
        batch, filled = None, 0  # use a new array: embeddings may share the old one's memory

    for piece in pieces:
        if piece.rows is None:
            owners.append(piece)
            if piece == BREAK or not filled:
                yield from run()
            continue
        if batch is not None and batch.shape[1] != piece.rows.shape[1]:
            yield from run()
        used = 0
        while used < len(piece.rows):
            if batch is None:
                # Page-locked memory avoids a further copy in CPU memory.
                batch = torch.empty(batch_size, piece.rows.shape[1], pin_memory=on_gpu).numpy()
            count = min(len(piece.rows) - used, batch_size - filled)
            batch[filled : filled + count] = piece.rows[used : used + count]
            owners.append(piece._replace(rows=count))
            used, filled = used + count, filled + count
            if filled == batch_size:
                yield from run()
    yield from run()


def embed_segments(
    encode: Callable[[Tensor], Tensor],
    clips: Iterable[np.ndarray],
    batch_size: int = 32,
    device: str | torch.device = "cpu",
) -> Iterator[np.ndarray]:
    """Embed the segments ``[n_i, segment]`` of each clip; yield ``[n_i, D]`` float32 in order."""

    def pieces() -> Iterator[Piece]:
        for i, clip in enumerate(clips):
            yield Piece(i, clip)
            yield Piece(i, None, last=True)

    for _, rows, _ in whole(embed_pieces(encode, pieces(), batch_size, device)):
        yield rows


def whole(pieces: Iterable[Piece]) -> Iterator[tuple[int, np.ndarray, BaseException | None]]:
    """Join the pieces of each item; yield its number, rows ``[n, D]``, and error or None."""
    rows: list[np.ndarray] = []
    width = 0
    for piece in pieces:
        if not piece.last:
            rows.append(piece.rows)
            continue
        width = rows[0].shape[1] if rows else width
        yield piece.item, np.concatenate([np.zeros((0, width), np.float32), *rows]), piece.error
        rows = []
