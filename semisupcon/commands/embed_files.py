"""Embed audio files and store the embeddings in parts on disk.

After an interruption, a repeated ``semisupcon embed`` with the same encoder and files keeps the
finished parts.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from semisupcon.audio.decoding import unusable
from semisupcon.commands.in_parts import tell_continued
from semisupcon.digests import add_weights
from semisupcon.embedding import Piece, Progress, embed_pieces, frozen, load_pieces, pieces_ahead
from semisupcon.embedding.parts import Parts, with_breaks
from semisupcon.errors import AudioError, UserError
from semisupcon.paths import system_path
from semisupcon.probing.baselines.base import Extractor
from semisupcon.spec import spec_of

if TYPE_CHECKING:
    from torch import Tensor

    from semisupcon.encoders.base import Encoder

BATCHES_A_PART = {"cpu": 32, "cuda": 256}


def embed_files(
    encoder: "Encoder",
    files: list[str],
    parts: Parts,
    per: str,
    task: str | None,
    batch_size: int,
    device: str,
    workers: int,
    precision: str = "float32",
) -> None:
    """Embed the files without a finished part, and write their embeddings as parts.

    An unreadable file does not end the run: its error is stored in place of its embedding.
    """
    done = parts.done
    tell_continued(parts, len(files))
    told = Progress(len(files), "embedding", done)

    def load(item: tuple[int, str]) -> Iterator[np.ndarray]:
        def silent(reason: str) -> None:
            raise unusable(item[1], reason)

        return load_pieces(*item, encoder, per, silent)

    def counted(pieces: Iterator[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            if piece.error is not None and not isinstance(piece.error, AudioError):
                raise piece.error
            if piece.rows is not None:
                seconds = 1.0 if per == "second" else piece.rows.shape[1] / encoder.sample_rate
                told.advance(0, seconds * len(piece.rows))
            yield piece

    def checked(pieces: Iterator[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            if piece.rows is not None and not np.isfinite(piece.rows).all():
                raise UserError(
                    f"The embedding of {files[piece.item + done]} holds NaN or infinite values: "
                    "the encoder diverged in training."
                )
            yield piece

    segments = BATCHES_A_PART.get(device.partition(":")[0], 256) * batch_size
    with frozen(encoder):
        pieces = pieces_ahead(load, enumerate(files[done:]), workers)
        rows = embed_pieces(
            in_precision(encoder, task, precision),
            with_breaks(counted(pieces), segments),
            batch_size,
            device,
        )
        for _ in parts.write(checked(rows), mean=per == "file"):
            told.advance()


def in_precision(
    encoder: "Encoder", task: str | None, precision: str
) -> "Callable[[Tensor], Tensor]":
    """Return the forward pass of an encoder, under autocast unless the precision is float32."""
    import torch

    def encode(x: "Tensor") -> "Tensor":
        half = precision != "float32"
        with torch.autocast(
            x.device.type, dtype=getattr(torch, precision) if half else None, enabled=half
        ):
            return encoder(x, task=task)

    return encode


def fingerprint(encoder: "Encoder") -> str:
    """Return a hash of the weights and the spec of an encoder.

    The spec is included because encoders with equal weights may have different arguments.
    """
    form = [spec_of(encoder), encoder.sample_rate, encoder.segment_samples]
    if isinstance(encoder, Extractor):
        form += [encoder.version(), encoder.code()]
    digest = hashlib.blake2b(json.dumps(form, sort_keys=True).encode(), digest_size=16)
    add_weights(digest, encoder)
    return digest.hexdigest()


def digest_of_files(files: list[str]) -> str:
    """Return a hash of the names, sizes and modification times of files."""
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        try:
            status = os.stat(system_path(file))
            stamp = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            stamp = "absent"
        digest.update(system_path(file) + f"\0{stamp}\0".encode())
    return digest.hexdigest()
