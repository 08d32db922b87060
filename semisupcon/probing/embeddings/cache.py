"""Cache of embeddings on disk, shared by tasks, seeds, folds, methods and concurrent runs.

Each encoder has a folder, whose name is a hash of its spec, weights, buffers and representation.
The embeddings are stored in shards, which are never changed. ``NAME.npy`` has the embeddings of all
segments of some clips, and is memory-mapped for reading. ``NAME.json`` is the index, which maps
clips to rows. Files get their names when they are complete, the index last, so killed and
concurrent runs leave no partial shards. At worst, a clip is stored twice.

The key of a clip is the hash of the content of its file, so an edited file is a new clip. A file
with the same size and modification time counts as unchanged, unless ``verify`` is set. Before use,
each shard is compared with the digest in its index. A damaged shard is removed, and its clips are
embedded again.
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
from semisupcon.files import atomic_open, disk_errors, write_text
from semisupcon.paths import system_path, text_of

FORMAT = 1
SHARD_CLIPS = 1024
MOST_IN_MEMORY = 256 << 20  # maximum bytes of an array of embeddings in memory
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Chunks:
    """Embeddings of all segments of n clips.

    Attributes:
        values: ``[m, D]``, one row per segment.
        offsets: ``[n + 1]``; the rows of clip i are ``offsets[i]`` to ``offsets[i + 1] - 1``.
    """

    values: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def mean(self) -> np.ndarray:
        """Return the mean over the segments of each clip, ``[n, D]``."""
        if len(self) == 0:
            return np.zeros((0, self.values.shape[1]), np.float32)
        sums = np.add.reduceat(self.values, self.offsets[:-1], axis=0, dtype=np.float64)
        return (sums / np.diff(self.offsets)[:, None]).astype(np.float32)

    def clip_of_row(self) -> np.ndarray:
        """Return the index of the clip of each segment, ``[m]``."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def select(self, clips: Sequence[int] | np.ndarray) -> "Chunks":
        """Return the segments of the clips with the given indices, in their order."""
        index = np.asarray(clips, dtype=int)
        offsets = np.concatenate([[0], np.cumsum(np.diff(self.offsets)[index])]).astype(int)
        rows = (self.values[self.offsets[i] : self.offsets[i + 1]] for i in index)
        return Chunks(gathered(rows, (int(offsets[-1]), self.values.shape[1])), offsets)


def gathered(rows: Iterable[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Concatenate blocks of rows ``[n_i, D]`` to one float32 array of ``shape``.

    An array of more than 256 MiB is a memory-mapped temporary file.

    Raises:
        UserError: if the folder of temporary files is full.
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
    """The cached embeddings of one encoder.

    Args:
        folder: folder of the caches of all encoders.
        fingerprint: hash of the encoder (`Subject.fingerprint`).
    """

    def __init__(self, folder: str | Path, fingerprint: str):
        self.folder = Path(folder) / fingerprint[:32]
        self.fingerprint = fingerprint
        self._rows: dict[str, tuple[Path, int, int]] = {}
        self._read: set[str] = set()
        self._sound: set[Path] = set()
        self.refresh()

    def refresh(self) -> None:
        """Read the indices of shards that this run or another one has written since."""
        for index in sorted(self.folder.glob("*.json")):
            if index.name in self._read or not re.fullmatch(r"[0-9a-f]{32}\.json", index.name):
                continue
            try:
                clips, sizes, _ = self._index(index)
            except FileNotFoundError:  # Another run has removed it.
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
        """Read the index of a shard.

        Returns:
            Keys of its clips, number of segments of each clip, and digest of the shard.

        Raises:
            ValueError: if the index is invalid.
        """
        content = read_json(index)
        if "shard" in content and not has_digest(index):
            raise ValueError("its content was changed")
        if content.get("encoder") != self.fingerprint or content.get("format") != FORMAT:
            raise ValueError("it belongs to another encoder or version")
        clips, sizes, shard = (content.get(name) for name in ("clips", "sizes", "shard"))
        if not (
            isinstance(clips, list)
            and isinstance(sizes, list)
            and len(clips) == len(sizes)
            and all(isinstance(c, str) for c in clips)
        ):
            raise ValueError("it has no list of clips")
        if not all(isinstance(size, int) and size > 0 for size in sizes):
            raise ValueError("it has no numbers of segments")
        return clips, sizes, shard

    def _check(self, shard: Path) -> None:
        """Compare a shard with its index once per process, and remove it if it is damaged."""
        if shard in self._sound:
            return
        index = shard.with_suffix(".json")
        try:
            _, sizes, digest = self._index(index)
            if digest is not None and digest != digest_of(shard):
                raise ValueError("its values were changed")
            values = np.load(shard, mmap_mode="r", allow_pickle=False)
            if values.dtype != np.float32 or values.ndim != 2 or len(values) != sum(sizes):
                raise ValueError(
                    f"it has values {values.dtype} {values.shape} for {sum(sizes)} segments"
                )
        except (OSError, EOFError, ValueError, AttributeError, TypeError) as error:
            self._remove(index, str(error))
            return
        self._sound.add(shard)

    def _remove(self, index: Path, how: str) -> None:
        shard = index.with_suffix(".npy")
        log.warning(
            "Removed damaged cached embeddings; their clips are embedded again: %s (%s)",
            shard,
            how.splitlines()[0][:160],
        )
        for path in (index, shard):
            path.unlink(missing_ok=True)
        self._rows = {clip: place for clip, place in self._rows.items() if place[0] != shard}

    def missing(self, clips: Iterable[str]) -> list[str]:
        """Return the keys of the clips without valid embeddings, each once, in order."""
        clips = list(clips)
        for shard in {self._rows[clip][0] for clip in clips if clip in self._rows}:
            self._check(shard)
        return list(dict.fromkeys(clip for clip in clips if clip not in self._rows))

    def add(self, clips: Sequence[str], embeddings: Sequence[np.ndarray]) -> None:
        """Store the embeddings ``[n_i, D]`` of clips as a new shard.

        Args:
            clips: keys of the clips.
            embeddings: embeddings of the n_i segments of each clip.
        """
        name = uuid.uuid4().hex
        with atomic_open(shard := self.folder / f"{name}.npy", "wb") as file:
            np.save(file, np.concatenate(embeddings).astype(np.float32, copy=False))
        index = {
            "format": FORMAT,
            "encoder": self.fingerprint,
            "clips": list(clips),
            "sizes": [len(e) for e in embeddings],
        }
        write_text(
            self.folder / f"{name}.json",
            json.dumps(with_digest(index | {"shard": digest_of(shard)})),
        )
        self.refresh()

    def get(self, clips: Sequence[str]) -> Chunks:
        """Load the embeddings of the clips with the given keys. All of them must be stored."""
        places = [self._rows[clip] for clip in clips]
        offsets = np.cumsum([0, *(stop - start for _, start, stop in places)])
        shards = {
            shard: np.load(shard, mmap_mode="r")
            for shard in dict.fromkeys(place[0] for place in places)
        }
        width = next(iter(shards.values())).shape[1] if shards else 0
        rows = (shards[shard][start:stop] for shard, start, stop in places)
        return Chunks(gathered(rows, (int(offsets[-1]), width)), offsets)


class ContentHashes:
    """Computes hashes of file contents, and stores them so that unchanged files are read once.

    A file is unchanged if its path, size and modification time are the same.

    Args:
        folder: folder of the file ``content.json``, which stores the hashes.
        verify: whether to read every file, also if size and modification time are the same.

    Raises:
        UserError: if ``content.json`` was written by another program.
    """

    def __init__(self, folder: str | Path, verify: bool = False):
        self.file, self.verify = Path(folder) / "content.json", verify
        self._lock = threading.Lock()
        self._known: dict[str, list] = {}
        try:
            known = read_json(self.file)
            if not all(map(_is_memory, known.values())) and not has_digest(self.file):
                raise UserError(
                    f"{self.file} was not written by this command.\nMove it away, or give another "
                    "--cache_dir."
                )
            self._known = {path: entry for path, entry in known.items() if _is_memory(entry)}
        except FileNotFoundError:
            pass
        except UserError:
            raise
        except (OSError, ValueError) as error:
            log.warning(
                "The cache %s cannot be used: %s. All audio is read again.", self.file, error
            )
        self._changed = False

    def __call__(self, path: Path) -> str:
        """Return the hash of the content of a file, with 32 hexadecimal digits.

        Raises:
            UserError: if the file cannot be read.
        """
        try:
            path = Path(os.fsdecode(system_path(path.resolve())))
            status = path.stat()
            stamp = [status.st_size, status.st_mtime_ns]
            known = self._known.get(text_of(path))
            if known and known[:2] == stamp and not self.verify:
                return known[2]
            with path.open("rb") as file:
                digest = hashlib.file_digest(
                    file, lambda: hashlib.blake2b(digest_size=16)
                ).hexdigest()
        except OSError as error:
            raise UserError(f"Cannot read {path}: {error.strerror}.") from error
        with self._lock:
            self._known[text_of(path)] = [*stamp, digest]
            self._changed = True
        return digest

    def save(self) -> None:
        """Write the hashes. If several runs write, the hashes of the last run are kept."""
        if self._changed:
            write_text(self.file, json.dumps(with_digest(self._known)))
            self._changed = False


def _is_memory(known: object) -> bool:
    return (
        isinstance(known, list)
        and [type(part) for part in known] == [int, int, str]
        and re.fullmatch("[0-9a-f]{32}", known[2]) is not None
    )
