"""Embeddings on disk: every clip once per encoder, found again by content, shared by tasks, seeds, folds, methods and concurrent runs.

A folder per encoder (named by a hash of its written form, weights, buffers and representation) holds shards that are never changed:
``NAME.npy``, the embeddings of all segments of some clips, memory-mapped when read, and ``NAME.json``, which clip has which rows. A shard appears by
renaming, the index last, so a run that is killed, or two that run at once, leave nothing half-written; at worst a clip is stored twice.
Clips are known by a hash of their bytes: an edited file is another clip. A file is taken to be unchanged while its size and time of change are
the same; ``verify`` reads everything. Each shard is compared with the digest in its index before it is used; a damaged one is removed, and its
clips are embedded again.
"""

import hashlib
import json
import logging
import os
import re
import tempfile
import threading
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semisupcon.digests import digest_of, has_digest, read_json, with_digest
from semisupcon.errors import UserError
from semisupcon.files import atomic_open, disk_errors, system_path, text_of, write_text

FORMAT = 1
SHARD_CLIPS = 1024
MOST_IN_MEMORY = 256 << 20  # bytes of one array of embeddings
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Chunks:
    """Embeddings of all segments of n clips: ``values [m, D]``, the rows of clip i being ``offsets[i]:offsets[i + 1]``."""

    values: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def mean(self) -> np.ndarray:
        """One embedding a clip, ``[n, D]``: the mean over its segments."""
        if len(self) == 0:
            return np.zeros((0, self.values.shape[1]), np.float32)
        sums = np.add.reduceat(self.values, self.offsets[:-1], axis=0, dtype=np.float64)
        return (sums / np.diff(self.offsets)[:, None]).astype(np.float32)

    def clip_of_row(self) -> np.ndarray:
        """``[m]``: to which clip each segment belongs."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def select(self, clips: Sequence[int] | np.ndarray) -> "Chunks":
        """The segments of some clips, in the given order."""
        index = np.asarray(clips, dtype=int)
        offsets = np.concatenate([[0], np.cumsum(np.diff(self.offsets)[index])]).astype(int)
        rows = (self.values[self.offsets[i] : self.offsets[i + 1]] for i in index)
        return Chunks(gathered(rows, (int(offsets[-1]), self.values.shape[1])), offsets)


def gathered(rows: Iterable[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Rows of embeddings as one float32 array of this shape; above 256 MiB it lies in a file without a name, which the system pages in.

    Raises:
        UserError: if there is no room for the file in the folder of temporary files.
    """
    if 4 * shape[0] * shape[1] <= MOST_IN_MEMORY:
        values, start = np.empty(shape, np.float32), 0
        for part in rows:
            values[start : start + len(part)] = part
            start += len(part)
        return values
    with disk_errors(Path(tempfile.gettempdir()) / "embeddings"), tempfile.TemporaryFile() as file:
        for part in rows:
            file.write(np.ascontiguousarray(part, np.float32).data)
        file.flush()
        return np.memmap(file, np.float32, "c", shape=shape)


class EmbeddingCache:
    """The shards of one encoder.

    Args:
        folder: where all caches lie.
        fingerprint: hash of the encoder; see `Subject.fingerprint`.
    """

    def __init__(self, folder: str | Path, fingerprint: str):
        self.folder = Path(folder) / fingerprint[:32]
        self.fingerprint = fingerprint
        self._rows: dict[str, tuple[Path, int, int]] = {}
        self._read: set[str] = set()
        self._sound: set[Path] = set()
        self.refresh()

    def refresh(self) -> None:
        """Take in the shards that were written since, by this run or another."""
        for index in sorted(self.folder.glob("*.json")):
            if index.name in self._read or not re.fullmatch(r"[0-9a-f]{32}\.json", index.name):
                continue
            try:
                clips, sizes, _ = self._index(index)
            except FileNotFoundError:  # Removed by another run.
                continue
            except (OSError, ValueError) as error:
                self._remove(index, str(error))
                continue
            self._read.add(index.name)
            shard, start = index.with_suffix(".npy"), 0
            for clip, size in zip(clips, sizes, strict=True):
                self._rows.setdefault(clip, (shard, start, start + size))
                start += size

    def _index(self, index: Path) -> tuple[list[str], list[int], str | None]:
        """Clips of a shard, their numbers of segments, and the digest of the shard; ValueError for an index that is none of this encoder."""
        content = read_json(index)
        if "shard" in content and not has_digest(index):
            raise ValueError("it is not what was written")
        if content.get("encoder") != self.fingerprint or content.get("format") != FORMAT:
            raise ValueError("it belongs to another encoder or version")
        clips, sizes, shard = (content.get(name) for name in ("clips", "sizes", "shard"))
        if not (
            isinstance(clips, list) and isinstance(sizes, list) and len(clips) == len(sizes) and all(isinstance(c, str) for c in clips)
        ):
            raise ValueError("it lists no clips")
        if not all(isinstance(size, int) and size > 0 for size in sizes):
            raise ValueError("it gives clips no number of segments")
        return clips, sizes, shard

    def _check(self, shard: Path) -> None:
        """Compare a shard with its index, once a process; a damaged one is removed."""
        if shard in self._sound:
            return
        index = shard.with_suffix(".json")
        try:
            _, sizes, digest = self._index(index)
            if digest is not None and digest != digest_of(shard):
                raise ValueError("its values are not those that were written")
            values = np.load(shard, mmap_mode="r", allow_pickle=False)
            if values.dtype != np.float32 or values.ndim != 2 or len(values) != sum(sizes):
                raise ValueError(f"it holds values {values.dtype} {values.shape} for {sum(sizes)} segments")
        except (OSError, EOFError, ValueError, AttributeError, TypeError) as error:
            self._remove(index, str(error))
            return
        self._sound.add(shard)

    def _remove(self, index: Path, how: str) -> None:
        shard = index.with_suffix(".npy")
        log.warning("Cached embeddings are damaged and removed; their clips are embedded again: %s (%s)", shard, how.splitlines()[0][:160])
        for path in (index, shard):
            path.unlink(missing_ok=True)
        self._rows = {clip: place for clip, place in self._rows.items() if place[0] != shard}

    def missing(self, clips: Iterable[str]) -> list[str]:
        """Which clips, by their content hash, have no embeddings yet, or damaged ones; each once, in order."""
        clips = list(clips)
        for shard in {self._rows[clip][0] for clip in clips if clip in self._rows}:
            self._check(shard)
        return list(dict.fromkeys(clip for clip in clips if clip not in self._rows))

    def add(self, clips: Sequence[str], embeddings: Sequence[np.ndarray]) -> None:
        """Store a shard: the embeddings ``[n_i, D]`` of each clip."""
        name = uuid.uuid4().hex
        with atomic_open(shard := self.folder / f"{name}.npy", "wb") as file:
            np.save(file, np.concatenate(embeddings).astype(np.float32, copy=False))
        index = {"format": FORMAT, "encoder": self.fingerprint, "clips": list(clips), "sizes": [len(e) for e in embeddings]}
        write_text(self.folder / f"{name}.json", json.dumps(with_digest(index | {"shard": digest_of(shard)})))
        self.refresh()

    def get(self, clips: Sequence[str]) -> Chunks:
        """The embeddings of clips, all of which must be there, gathered from the shards."""
        places = [self._rows[clip] for clip in clips]
        offsets = np.cumsum([0, *(stop - start for _, start, stop in places)])
        shards = {shard: np.load(shard, mmap_mode="r") for shard in dict.fromkeys(place[0] for place in places)}
        width = next(iter(shards.values())).shape[1] if shards else 0
        rows = (shards[shard][start:stop] for shard, start, stop in places)
        return Chunks(gathered(rows, (int(offsets[-1]), width)), offsets)


class ContentHashes:
    """Hashes of files by content; remembered by path, size and time of change, so that an unchanged file is read once.

    Args:
        folder: where the memory is kept.
        verify: read every file, whatever its size and time of change say.

    Raises:
        UserError: when a file of another program lies there under the name of the memory.
    """

    def __init__(self, folder: str | Path, verify: bool = False):
        self.file, self.verify = Path(folder) / "content.json", verify
        self._lock = threading.Lock()
        self._known: dict[str, list] = {}
        try:
            known = read_json(self.file)
            if not all(map(_is_memory, known.values())) and not has_digest(self.file):
                raise UserError(f"{self.file} was not written by this command.\nMove it away, or give another --cache_dir.")
            self._known = {path: entry for path, entry in known.items() if _is_memory(entry)}
        except FileNotFoundError:
            pass
        except UserError:
            raise
        except (OSError, ValueError) as error:
            log.warning("%s cannot be used, %s. It is a cache: all audio is read again.", self.file, error)
        self._changed = False

    def __call__(self, path: Path) -> str:
        """The hash of a file, 32 hexadecimal digits.

        Raises:
            UserError: if it cannot be read.
        """
        try:
            path = Path(os.fsdecode(system_path(path.resolve())))
            status = path.stat()
            stamp = [status.st_size, status.st_mtime_ns]
            known = self._known.get(text_of(path))
            if known and known[:2] == stamp and not self.verify:
                return known[2]
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        except OSError as error:
            raise UserError(f"Cannot read {path}: {error.strerror}.") from error
        with self._lock:
            self._known[text_of(path)] = [*stamp, digest]
            self._changed = True
        return digest

    def save(self) -> None:
        """Write the memory down; of two runs at once the last one's stays, which costs time only."""
        if self._changed:
            write_text(self.file, json.dumps(with_digest(self._known)))
            self._changed = False


def _is_memory(known: object) -> bool:
    return (
        isinstance(known, list) and [type(part) for part in known] == [int, int, str] and re.fullmatch("[0-9a-f]{32}", known[2]) is not None
    )
