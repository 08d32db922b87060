"""Embed the clips of a task, or load their embeddings from the cache, for all probes."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from semisupcon.audio.sniffing import why_no_file
from semisupcon.datasets.base import LabelledClips
from semisupcon.embedding import (
    Piece,
    batch_of,
    embed_pieces,
    first_segment,
    load_pieces,
    load_segments,
    pieces_ahead,
    progress,
    read_ahead,
    whole,
)
from semisupcon.errors import AudioError, UserError
from semisupcon.paths import system_path
from semisupcon.probing.embeddings.cache import SHARD_CLIPS, Chunks, ContentHashes, EmbeddingCache
from semisupcon.probing.embeddings.encoders import calibrated
from semisupcon.probing.embeddings.subject import Subject, check_embeddings
from semisupcon.random import permutation

log = logging.getLogger(__name__)
CALIBRATION_CLIPS, CALIBRATION_BATCH = 512, 32  # batch statistics depend on the batch size

SHARD_BYTES = 64 << 20

# A function that corrupts test audio: segments [k, T] of one clip, name of the clip, number of the
# first segment -> corrupted segments [k, T].
Corrupt = Callable[[np.ndarray, str, int], np.ndarray]


@dataclass(frozen=True)
class Part:
    """The n clips of one split: embeddings, targets ``[n, C]`` and names."""

    chunks: Chunks
    targets: np.ndarray
    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Features:
    """A task and the embeddings of all its splits, the input of every probe method."""

    task: LabelledClips
    train: Part
    val: Part
    test: Part


@dataclass(frozen=True)
class Embedder:
    """Embeds clips and caches the embeddings.

    Args:
        cache_dir: folder of the cache.
        batch_size: segments per forward pass; None for a default that depends on encoder and
            device.
        device: torch device of the encoders.
        on_error: "fail" raises an error for unreadable files. "skip" leaves them out and logs their
            number.
        verify: whether to detect changed audio by its content instead of size and modification
            time.
    """

    cache_dir: Path
    batch_size: int | None = None
    device: str = "cpu"
    on_error: str = "fail"
    verify: bool = False

    def features(self, subject: Subject, task: LabelledClips) -> Features:
        """Return the embeddings of all splits of a task."""
        task, chunks = self.embed(subject, task)
        parts = {}
        for split in ("train", "val", "test"):
            rows = task.rows(split)
            parts[split] = Part(
                chunks.select(rows), task.targets[rows], tuple(task.paths[i] for i in rows)
            )
        return Features(task, **parts)

    def digests(self, task: LabelledClips) -> list[str]:
        """Return the cache key of each clip, the hash of the content of its file.

        If unreadable files are skipped, the key of a missing file contains its path.
        """
        hashes = ContentHashes(self.cache_dir, self.verify)

        def digest(file: Path) -> str:
            absent = self.on_error == "skip" and why_no_file(system_path(file))
            return f"absent {file}" if absent else hashes(file)

        digests = list(read_ahead(digest, task.files))
        hashes.save()
        return digests

    def embed(self, subject: Subject, task: LabelledClips) -> tuple[LabelledClips, Chunks]:
        """Embed the readable clips of a task, and return these clips and their embeddings.

        Raises:
            UserError: for unreadable files (one message for all), unless they are skipped, or for a
                file whose embedding is not finite.
        """
        digests = self.digests(task)
        cache = EmbeddingCache(self.cache_dir, subject.cache_key())
        file_of = dict(zip(digests, task.files, strict=True))
        todo = cache.missing(digests)
        broken: dict[Path, str] = {}
        silent: dict[Path, str] = {}
        subject.to(self.device)
        label = f"embedding {task.name} with {subject.name}"
        made = progress(
            self._embed(subject, [file_of[d] for d in todo], broken, silent), len(todo), label
        )
        kept, rows = [], []
        for digest, embeddings in zip(todo, made, strict=True):
            if embeddings is not None:
                check_embeddings(embeddings, str(file_of[digest]))
                kept.append(digest)
                rows.append(embeddings)
            if len(kept) == SHARD_CLIPS or sum(r.nbytes for r in rows) >= SHARD_BYTES:
                cache.add(kept, rows)
                kept, rows = [], []
        if kept:
            cache.add(kept, rows)
        if broken and self.on_error != "skip":
            raise UserError(_why_broken(task, broken))
        if silent:
            names = "; ".join(f"{file} ({why})" for file, why in list(silent.items())[:5])
            log.warning(
                "%s: %d of %d clips are silent and are used unchanged: %s",
                task.name,
                len(silent),
                len(digests),
                names,
            )
        if broken:
            names = ", ".join(str(p) for p in list(broken)[:5])
            log.warning(
                "%s: %d of %d clips could not be read and are left out: %s",
                task.name,
                len(broken),
                len(digests),
                names,
            )
            there = [i for i, d in enumerate(digests) if file_of[d] not in broken]
            task, digests = task.select(there), [digests[i] for i in there]
        chunks = cache.get(digests)
        check_embeddings(chunks.values, f"a clip of {task.name} by {subject.name}")
        return task, chunks

    def corrupted(self, subject: Subject, task: LabelledClips, corrupt: Corrupt) -> Chunks:
        """Embed the clips of a task after a corruption, without caching the embeddings.

        Args:
            subject: encoder.
            task: clips to corrupt.
            corrupt: function that corrupts the segments of a clip.
        """

        def corrupted(pieces: Iterator[Piece]) -> Iterator[Piece]:
            # Segments are corrupted in this thread, because augmentations may have state. Only
            # reading runs in other threads.
            first = 0
            for piece in pieces:
                if piece.error is not None:
                    raise piece.error
                if piece.last:
                    yield piece
                    first = 0
                    continue
                yield piece._replace(rows=corrupt(piece.rows, task.paths[piece.item], first))
                first += len(piece.rows)

        pieces = pieces_ahead(lambda file: load_pieces(0, file, subject.encoder), task.files)
        made = progress(
            whole(self._run(subject, corrupted(pieces))),
            len(task.files),
            f"corrupted {task.name} with {subject.name}",
        )
        clips = [rows for _, rows, _ in made]
        return Chunks(
            np.concatenate(clips), np.concatenate([[0], np.cumsum([len(c) for c in clips])])
        )

    def calibrate(self, subject: Subject, task: LabelledClips, seed: int) -> Subject:
        """Return the subject with batch-norm statistics of the training clips of a task.

        The statistics are measured on one segment of each of at most 512 clips, drawn with
        ``seed``.
        """
        train = task.rows("train")
        train = train[permutation(len(train), "calibration", seed).numpy()][:CALIBRATION_CLIPS]
        segments = read_ahead(lambda i: first_segment(task.files[i], subject.encoder), train)

        size = self.batch_size or CALIBRATION_BATCH

        def batches() -> Iterator[Tensor]:
            while rows := list(islice(segments, size)):
                yield torch.from_numpy(np.concatenate(rows))[:, None].to(self.device)

        subject.to(self.device)
        return calibrated(subject, batches())

    def _embed(
        self,
        subject: Subject,
        files: Sequence[Path],
        broken: dict[Path, str],
        silent: dict[Path, str],
    ) -> Iterator[np.ndarray | None]:
        """Yield the embeddings of each file, or None for an unreadable file.

        Args:
            subject: encoder.
            files: audio files.
            broken: dictionary to which the reasons of unreadable files are added.
            silent: dictionary to which the reasons of silent files are added.
        """

        def load(file: Path) -> Iterator[np.ndarray]:
            return load_pieces(
                0, file, subject.encoder, silent=lambda why: silent.update({file: why})
            )

        pieces = pieces_ahead(load, files)
        for item, rows, error in whole(self._run(subject, pieces)):
            if error is None:
                yield rows
                continue
            if not isinstance(error, AudioError):
                raise error
            broken[files[item]] = str(error)
            yield None

    def _run(self, subject: Subject, pieces: Iterator[Piece]) -> Iterator[Piece]:
        batch_size = self.batch_size or batch_of(subject.encoder, self.device)
        with torch.inference_mode():
            yield from embed_pieces(subject, pieces, batch_size, self.device)


def clip_segments(file: Path, subject: Subject) -> np.ndarray:
    """Read all segments ``[n, segment]`` of a file.

    Sample rate and segment length are those of the encoder.
    """
    return load_segments(0, file, subject.encoder)


def _why_broken(task: LabelledClips, broken: dict[Path, str]) -> str:
    """Return the error message for unreadable files: their number, and the first reasons."""
    reasons = [
        (path, broken[file])
        for path, file in zip(task.paths, task.files, strict=True)
        if file in broken
    ]
    first = "; ".join(
        f"{path} ({reason.splitlines()[0].rstrip('.')})" for path, reason in reasons[:3]
    )
    return (
        f"{len(reasons)} of {len(task)} files of task '{task.name}' cannot be read: "
        f"{first}{', ...' * (len(reasons) > 3)}\nIn: {task.root}\n"
        "A probe uses every clip: repair or remove these files, or skip them with --on_error skip."
    )


def with_test(features: Features, chunks: Chunks) -> Features:
    """Return the features with other embeddings of the test clips, such as corrupted audio."""
    return replace(features, test=replace(features.test, chunks=chunks))
