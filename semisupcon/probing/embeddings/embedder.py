"""The embeddings of a task's clips, from the cache or made now; what every frozen probe works from."""

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
    default_batch,
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
from semisupcon.files import system_path
from semisupcon.probing.embeddings.cache import SHARD_CLIPS, Chunks, ContentHashes, EmbeddingCache
from semisupcon.probing.embeddings.encoders import Subject, calibrated, check_embeddings
from semisupcon.random import permutation

log = logging.getLogger(__name__)
CALIBRATION_CLIPS, CALIBRATION_BATCH = 512, 32  # statistics of a batch depend on its size

SHARD_BYTES = 64 << 20

# [k, segment] segments of one clip, its name and the number of the first, to as many segments: a corruption of test audio.
Corrupt = Callable[[np.ndarray, str, int], np.ndarray]


@dataclass(frozen=True)
class Part:
    """The clips of one split: their embeddings, ``targets [n, C]`` and names."""

    chunks: Chunks
    targets: np.ndarray
    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Features:
    """A task as a representation sees it: what every method is given."""

    task: LabelledClips
    train: Part
    val: Part
    test: Part


@dataclass(frozen=True)
class Embedder:
    """Embeds clips once and keeps them.

    Args:
        cache_dir: folder of the cache.
        batch_size: segments a forward pass; None as `semisupcon.embedding.default_batch` has it.
        device: where encoders run.
        on_error: "fail" stops at the first file that cannot be read; "skip" leaves such files out and says how many.
        verify: read all audio to tell whether it has changed, whatever size and time of change say.
    """

    cache_dir: Path
    batch_size: int | None = None
    device: str = "cpu"
    on_error: str = "fail"
    verify: bool = False

    def features(self, subject: Subject, task: LabelledClips) -> Features:
        """All splits of a task."""
        task, chunks = self.embed(subject, task)
        parts = {}
        for split in ("train", "val", "test"):
            rows = task.rows(split)
            parts[split] = Part(chunks.select(rows), task.targets[rows], tuple(task.paths[i] for i in rows))
        return Features(task, **parts)

    def digests(self, task: LabelledClips) -> list[str]:
        """What each clip is known by: the hash of its file's content; of a file to be skipped that is not there, its path."""
        hashes = ContentHashes(self.cache_dir, self.verify)

        def digest(file: Path) -> str:
            absent = self.on_error == "skip" and why_no_file(system_path(file))
            return f"absent {file}" if absent else hashes(file)

        digests = list(read_ahead(digest, task.files))
        hashes.save()
        return digests

    def embed(self, subject: Subject, task: LabelledClips) -> tuple[LabelledClips, Chunks]:
        """The task's clips, those that could be read, and their embeddings.

        Raises:
            UserError: for files that cannot be read (unless skipped), all of them at once, or a file whose embedding is not finite, by name.
        """
        digests = self.digests(task)
        cache = EmbeddingCache(self.cache_dir, subject.fingerprint())
        file_of = dict(zip(digests, task.files, strict=True))
        todo = cache.missing(digests)
        broken: dict[Path, str] = {}
        silent: dict[Path, str] = {}
        subject.to(self.device)
        label = f"embedding {task.name} with {subject.name}"
        made = progress(self._embed(subject, [file_of[d] for d in todo], broken, silent), len(todo), label)
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
                "%s: %d of %d clips hold nothing to be heard, and count as they are: %s", task.name, len(silent), len(digests), names
            )
        if broken:
            names = ", ".join(str(p) for p in list(broken)[:5])
            log.warning("%s: %d of %d clips could not be read and are left out: %s", task.name, len(broken), len(digests), names)
            there = [i for i, d in enumerate(digests) if file_of[d] not in broken]
            task, digests = task.select(there), [digests[i] for i in there]
        chunks = cache.get(digests)
        check_embeddings(chunks.values, f"a clip of {task.name} by {subject.name}")
        return task, chunks

    def corrupted(self, subject: Subject, task: LabelledClips, corrupt: Corrupt) -> Chunks:
        """Embeddings of the clips after ``corrupt``, made now and not kept."""

        def corrupted(pieces: Iterator[Piece]) -> Iterator[Piece]:
            # Only reading goes ahead in threads: operators may hold state while they work.
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
        made = progress(whole(self._run(subject, corrupted(pieces))), len(task.files), f"corrupted {task.name} with {subject.name}")
        clips = [rows for _, rows, _ in made]
        return Chunks(np.concatenate(clips), np.concatenate([[0], np.cumsum([len(c) for c in clips])]))

    def calibrate(self, subject: Subject, task: LabelledClips, seed: int) -> Subject:
        """The subject with batch-norm statistics of the task's training clips (at most 512, one segment a clip)."""
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
        self, subject: Subject, files: Sequence[Path], broken: dict[Path, str], silent: dict[Path, str]
    ) -> Iterator[np.ndarray | None]:
        """Embeddings file after file; None for one that is broken."""

        def load(file: Path) -> Iterator[np.ndarray]:
            return load_pieces(0, file, subject.encoder, silent=lambda why: silent.update({file: why}))

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
        batch_size = self.batch_size or default_batch(subject.encoder.segment_samples, self.device)
        with torch.inference_mode():
            yield from embed_pieces(subject, pieces, batch_size, self.device)


def clip_segments(file: Path, subject: Subject) -> np.ndarray:
    """All segments ``[n, segment]`` of a file, at the rate and of the length that the encoder was trained on."""
    return load_segments(0, file, subject.encoder)


def _why_broken(task: LabelledClips, broken: dict[Path, str]) -> str:
    """How many files of a task cannot be read, and the first of them with the reason."""
    reasons = [(path, broken[file]) for path, file in zip(task.paths, task.files, strict=True) if file in broken]
    first = "; ".join(f"{path} ({reason.splitlines()[0].rstrip('.')})" for path, reason in reasons[:3])
    return (
        f"{len(reasons)} of {len(task)} files of task '{task.name}' cannot be read: {first}{', ...' * (len(reasons) > 3)}\nIn: {task.root}\n"
        "A probe counts every clip: mend or remove them, or leave such files out with --on_error skip."
    )


def with_test(features: Features, chunks: Chunks) -> Features:
    """The same training data with other embeddings of the test clips (corrupted ones)."""
    return replace(features, test=replace(features.test, chunks=chunks))
