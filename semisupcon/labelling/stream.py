"""Embed files one after another in constant memory, and average over each file or window."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from semisupcon.audio.blocks import read_blocks
from semisupcon.audio.decoding import unusable
from semisupcon.audio.values import waveform
from semisupcon.embedding import Piece, Progress, batch_of, embed_pieces, frozen, pieces_ahead
from semisupcon.embedding.cutting import segments_of_blocks, whole_of_blocks
from semisupcon.embedding.parts import with_breaks
from semisupcon.errors import AudioError, UserError
from semisupcon.labelling.windows import Windows, segments_a_window, windows_of_blocks

if TYPE_CHECKING:
    from semisupcon.encoders.base import Encoder

BATCHES_A_PART = {"cpu": 32, "cuda": 256}
Clip = str | Path | np.ndarray | Tensor


@dataclass(frozen=True)
class Reading:
    """How files are read and embedded.

    Attributes:
        encoder: gives sample rate, segment length and mode.
        encode: waveforms ``[N, 1, segment]`` on ``device`` to rows ``[N, W]``.
        windows: None averages over the whole file.
        device: device of the encoder.
        batch_size: segments per forward pass.
        workers: threads that decode ahead.
    """

    encoder: "Encoder"
    encode: Callable[[Tensor], Tensor]
    windows: Windows | None = None
    device: str = "cpu"
    batch_size: int | None = None
    workers: int = 2
    lengths: dict[int, int] = field(default_factory=dict)

    def batch(self) -> int:
        """Segments per forward pass."""
        return self.batch_size or batch_of(self.encoder, self.device)

    def averages(self, clips: Sequence[Clip], told: Progress | None = None) -> Iterator[Piece]:
        """Rows of clips, in order: pieces with the mean row ``[k, W]`` float32 of each window (or
        one of the whole file), and a last piece per clip with its error.

        When the last piece of a clip comes, ``lengths`` has its number of samples at the rate of the
        encoder, under its position.

        Args:
            clips: files, or mono waveforms as in `semisupcon.embedding.embed`.
            told: shows progress.

        Raises:
            UserError: if an embedding is not finite.
            Exception: any error of a clip that is not an `AudioError`.
        """
        segments = BATCHES_A_PART.get(self.device.partition(":")[0], 256) * self.batch()
        group = None if self.windows is None else segments_a_window(self.encoder, self.windows)
        pieces = pieces_ahead(self._load, enumerate(clips), self.workers)
        with frozen(self.encoder):
            rows = embed_pieces(
                self.encode,
                with_breaks(self._counted(pieces, told), segments),
                self.batch(),
                self.device,
            )
            for piece in _means(rows, group):
                if piece.rows is not None and not np.isfinite(piece.rows).all():
                    raise UserError(
                        f"The embedding of {_name(clips[piece.item], piece.item)} holds NaN or "
                        "infinite values: the encoder diverged in training."
                    )
                if piece.last and told is not None:
                    told.advance()
                yield piece

    def _load(self, item: tuple[int, Clip]) -> Iterator[np.ndarray]:
        position, clip = item
        name, total = _name(clip, position), 0

        def silent(reason: str) -> None:
            raise unusable(name, reason)

        def counted(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
            nonlocal total
            for block in blocks:
                total += len(block)
                yield block

        if isinstance(clip, str | Path):
            blocks = counted(read_blocks(clip, self.encoder.sample_rate, silent=silent))
        else:
            samples = clip.numpy(force=True) if isinstance(clip, Tensor) else clip
            blocks = counted([waveform(samples, name)])
        if self.windows is not None:
            yield from windows_of_blocks(blocks, self.encoder, self.windows)
        elif self.encoder.whole_clips:
            yield from whole_of_blocks(blocks, self.encoder.min_samples)
        else:
            yield from segments_of_blocks(blocks, self.encoder.segment_samples)
        if not total:
            raise AudioError(f"{name} holds no samples.")
        self.lengths[position] = total

    def _counted(self, pieces: Iterator[Piece], told: Progress | None) -> Iterator[Piece]:
        for piece in pieces:
            if piece.error is not None and not isinstance(piece.error, AudioError):
                raise piece.error
            if told is not None and piece.rows is not None:
                told.advance(0, piece.rows.size / self.encoder.sample_rate)
            yield piece


def _name(clip: Clip, position: int) -> str:
    return str(clip) if isinstance(clip, str | Path) else f"waveform {position}"


def _means(pieces: Iterable[Piece], group: int | None) -> Iterator[Piece]:
    """Average ``group`` consecutive rows of an item, the last ones of an item too if they are
    fewer; None averages all rows of an item.
    """
    total: np.ndarray | None = None
    count, rest = 0, np.zeros((0, 0), np.float32)
    for piece in pieces:
        if piece.item < 0:  # a break between parts
            yield piece
        elif piece.last:
            if piece.error is None and total is not None:
                yield Piece(piece.item, (total / count).astype(np.float32)[None])
            elif piece.error is None and len(rest):
                yield Piece(piece.item, _mean(rest)[None])
            total, count, rest = None, 0, np.zeros((0, 0), np.float32)
            yield piece
        elif group is None:
            sums = piece.rows.sum(axis=0, dtype=np.float64)
            total, count = sums if total is None else total + sums, count + len(piece.rows)
        else:
            rows = np.concatenate([rest, piece.rows]) if len(rest) else piece.rows
            whole = len(rows) // group
            if whole:
                cut = rows[: whole * group].reshape(whole, group, -1)
                yield Piece(piece.item, _mean(cut.transpose(1, 0, 2)))
            rest = rows[whole * group :]


def _mean(rows: np.ndarray) -> np.ndarray:
    return (rows.sum(axis=0, dtype=np.float64) / len(rows)).astype(np.float32)
