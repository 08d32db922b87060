"""Train from object storage: fetch only the samples of the views, from LitData chunks.

LitData keeps each clip whole in a chunk and reads any stretch of it with one range request
(`TemporalArrayLoader`, `read_window`; directly from S3 and R2, from other storage by caching the
chunk). The sampler of this package chooses clips and stretches, so streaming has the same
properties as audio on disk: the mixture of labelled and unlabelled clips, a shuffle over the whole
set, each rank and worker fetches only its own batches, and resuming is bit-exact for any number of
workers. All windows of a batch are fetched concurrently to hide latency.

``semisupcon stream PACKED OUT`` writes the folder from a packed set. Upload it unchanged to a
bucket and train with ``--data.class_path StreamedDataModule --data.stream s3://bucket/folder``.
"""

import asyncio
import json
import logging
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from semisupcon.batch import Batch
from semisupcon.data.clips import Clips
from semisupcon.data.datamodule import AudioDataModule
from semisupcon.data.packed.checks import HEADER, INDEX, TARGETS
from semisupcon.data.packed.reading import Packed, PackedAudio
from semisupcon.datasets.base import LabelledClips
from semisupcon.errors import AudioError, ConfigError, DatasetNotFoundError, UserError
from semisupcon.files import atomic_path, disk_errors, leftovers, sync
from semisupcon.locks import LOCK, folder_lock

CHUNK_BYTES = 1 << 26
CHUNKS = "index.json"  # index of LitData
# Format of `write_stream`. LitData also supports pickles, and its index can name classes to import.
_FORM = {
    "compression": None,
    "encryption": None,
    "data_format": ["bytes"],
    "item_loader": "TemporalArrayLoader",
}
_FIELDS = {
    "version": 1,
    "fields": {"audio": {"dtype": "<i2", "shape": [], "tensor": False}},
    "field_order": ["audio"],
    "groups": [["audio"]],
}
# Files that `write_stream` writes before the header.
_OF_A_STREAM = re.compile(
    r"chunk-\d+-\d+\.bin|(\d+\.)*index\.json|clips\.parquet|targets\.npy|0\.lock"
)
_LEAF = [1, {"type": None, "context": None, "children_spec": []}]
Stretch = tuple[int, int, int]  # row, start and frames
AT_ONCE = 64  # concurrent requests per process
log = logging.getLogger(__name__)


def write_stream(packed: str | Path, out: str | Path, chunk_bytes: int = CHUNK_BYTES) -> Path:
    """Copy a packed set into chunks that LitData can stream.

    Args:
        packed: folder written by ``semisupcon pack``.
        out: a new folder for the chunks, LitData's ``index.json``, and the index of the packed set.
        chunk_bytes: minimum size of a chunk; clips are not split.

    Raises:
        UserError: if the folder is not empty, the packed set is damaged, or the disk is full or
            read-only.
    """
    packed, out = Path(packed), Path(out)
    files = Packed(packed).clips.table
    if out.exists() and not out.is_dir():
        raise UserError(f"The output is a file, not a folder.\nIn: {out}\nGive a new folder.")
    with folder_lock(out, "stream", "give another folder"):
        # Without a header, these files were left by an interrupted stream.
        begun = (
            [path for path in out.iterdir() if _OF_A_STREAM.fullmatch(path.name)]
            if not (out / HEADER).exists()
            else []
        )
        if set(out.iterdir()) - {out / LOCK, *begun, *leftovers(out)}:
            raise UserError(f"The folder is not empty.\nIn: {out}\nGive a new folder.")
        try:
            for path in (*begun, *leftovers(out)):
                path.unlink()
            _write_chunks(packed, out, files, chunk_bytes)
        except BaseException:
            for path in out.iterdir():
                if path.name != LOCK:
                    path.unlink()
            raise
    return out


def _write_chunks(packed: Path, out: Path, files: pd.DataFrame, chunk_bytes: int) -> None:
    from litdata.streaming.temporal import TemporalArrayLoader
    from litdata.streaming.writer import BinaryWriter

    audio = PackedAudio(packed, files)
    with disk_errors(out, needed=2 * int(files["frames"].sum())):
        writer = BinaryWriter(str(out), chunk_bytes=chunk_bytes, item_loader=TemporalArrayLoader())
        for row, frames in enumerate(
            tqdm(files["frames"], desc="Writing chunks", unit="clip", disable=None)
        ):
            writer[row] = {"audio": np.array(audio.spans(row, [(0, int(frames))])[0])}
        writer.done()
        writer.merge()
        for path in out.iterdir():
            sync(path)
    # Write the header last: without it the set is incomplete.
    for name in (INDEX, TARGETS, HEADER):
        with atomic_path(out / name) as partial:
            shutil.copyfile(packed / name, partial)


class StreamedSet(Packed):
    """The index of a set in object storage; attributes and errors as `Packed`.

    The ``record`` of a clip is its number in the chunks.

    Args:
        url: location of the folder from `write_stream`: a path, or ``s3://``, ``r2://``, ``gs://``,
            ``azure://``, as in LitData.
    """

    def __init__(self, url: str):
        with tempfile.TemporaryDirectory() as folder:
            for name in (HEADER, INDEX, TARGETS, CHUNKS):
                _download(url, name, Path(folder))
            check_chunks(Path(folder) / CHUNKS, url)
            try:
                super().__init__(folder)
            except UserError as error:
                raise type(error)(str(error).replace(folder, url)) from error
        self.where = url
        self.clips = replace(self.clips, root=url).assign(record=np.arange(len(self.clips)))

    def _check_shards(self, files: pd.DataFrame) -> None:
        """Skip the check: the chunks are remote. Reading a damaged window raises an error."""


def check_chunks(index: Path, url: str) -> None:
    """Check that `write_stream` can have written an index of chunks, before LitData reads it.

    Raises:
        UserError: for a layout other than arrays of 16-bit samples, or a chunk name that leads out
            of the folder.
    """
    problem = None
    try:
        content = json.loads(index.read_text())
        config, names = content["config"], [chunk["filename"] for chunk in content["chunks"]]
        form = {name: config.get(name) for name in _FORM}
        if (
            form != _FORM
            or config["temporal_schema"] != _FIELDS
            or json.loads(config["data_spec"]) != _LEAF
        ):
            problem = "it describes other items than arrays of samples"
        elif bad := [
            name
            for name in names
            if not isinstance(name, str) or not re.fullmatch(r"chunk-\d+-\d+\.bin", name)
        ]:
            problem = f"it names the chunk {bad[0]!r}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = f"it cannot be read ({type(error).__name__})"
    if problem:
        raise UserError(
            f"The streamed set is damaged, or was not made by semisupcon: {problem}.\nIn: "
            f"{url}/{CHUNKS}"
        )


def _download(url: str, name: str, folder: Path) -> None:
    from litdata.streaming.downloader import get_downloader

    try:
        get_downloader(url, str(folder), []).download_file(
            f"{url.rstrip('/')}/{name}", str(folder / name)
        )
    except Exception as error:  # Every storage has errors of its own.
        raise DatasetNotFoundError(
            "A streamed set",
            f"{url}/{name}",
            f"({' '.join(str(error).split())[:200]}) Make it with: semisupcon stream PACKED OUT",
        ) from error


class StreamedAudio:
    """Audio of the rows of a table, fetched in stretches.

    Args:
        url: see `StreamedSet`.
        rows: columns ``record`` and ``name``.
        cache_dir: cache of chunks for storage without range requests; None is LitData's default.
    """

    dtype = torch.int16

    def __init__(self, url: str, rows: pd.DataFrame, cache_dir: str | None = None):
        self.url, self.cache_dir = url, cache_dir
        self.records = rows["record"].to_numpy(np.int64)
        self.names = np.array([str(name).encode() for name in rows["name"]])
        self._source: Any = None

    def fetch(self, wanted: Sequence[Stretch]) -> dict[Stretch, np.ndarray]:
        """Return int16 samples of each ``(row, start, frames)``, fetched concurrently.

        Raises:
            AudioError: names the clip of a stretch that cannot be fetched.
        """
        if self._source is None:
            from litdata import StreamingDataset
            from litdata.streaming.temporal import TemporalArrayLoader

            self._source = StreamingDataset(
                self.url, cache_dir=self.cache_dir, item_loader=TemporalArrayLoader()
            )
        return asyncio.run(self._fetch(wanted))

    def spans(self, row: int, spans: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Return int16 samples of spans ``(start, frames)`` of one clip; raises as `fetch`."""
        wanted = [(row, start, frames) for start, frames in spans]
        found = self.fetch(wanted)
        return [found[stretch] for stretch in wanted]

    async def _fetch(self, wanted: Sequence[Stretch]) -> dict[Stretch, np.ndarray]:
        permits = asyncio.Semaphore(AT_ONCE)

        async def window(row: int, start: int, frames: int) -> np.ndarray:
            async with permits:
                try:
                    return (await self._source.aread_window(int(self.records[row]), start, frames))[
                        "audio"
                    ]
                except Exception as error:  # Every storage has errors of its own.
                    raise AudioError(
                        f"{self.name(row)} could not be fetched: "
                        f"{' '.join(str(error).split())[:200]}\nFrom: {self.url}"
                    ) from error

        return dict(
            zip(wanted, await asyncio.gather(*(window(*which) for which in wanted)), strict=True)
        )

    def name(self, row: int) -> str:
        """Return the name of the clip for messages."""
        return self.names[row].decode()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_source": None}


class _Fetched:
    """The stretches of one batch as source of samples."""

    dtype = torch.int16

    def __init__(
        self,
        stretches: dict[Stretch, np.ndarray],
        name: Callable[[int], str],
    ):
        self.stretches, self.name = stretches, name

    def spans(self, row: int, spans: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        return [self.stretches[row, start, frames] for start, frames in spans]


class StreamedClips(Clips):
    """`Clips` over `StreamedAudio`: fetches the stretches of a batch at once, then cuts views."""

    def __getitems__(self, items: Sequence[tuple[int, int]] | np.ndarray) -> Batch:
        rows, base = torch.as_tensor(np.asarray(items, dtype=np.int64)).unbind(dim=1)
        crops = self.crops(rows, base[:, None] + torch.arange(self.views))
        wanted = {
            (row, start, span)
            for row, starts, spans, joint in zip(
                rows.tolist(), *(part.tolist() for part in crops), strict=True
            )
            for start, span in list(zip(starts, spans, strict=True))[: 1 if joint else None]
        }
        far = self.audio
        assert isinstance(far, StreamedAudio)
        near = _Fetched(far.fetch(sorted(wanted)), far.name)
        try:
            self.audio = near
            return super().__getitems__(items)
        finally:
            self.audio = far


class StreamedDataModule(AudioDataModule):
    """`AudioDataModule` over a set in object storage.

    Args:
        stream: see `StreamedSet`.
        cache_dir: see `StreamedAudio`.
        options: options of `AudioDataModule` except ``packed`` and ``device_resident``.

    Raises:
        ConfigError: for an option for audio on disk.
    """

    clips_type = StreamedClips

    def __init__(self, stream: str, cache_dir: str | None = None, **options: Any):
        super().__init__(**options)
        if self.packed is not None:
            raise ConfigError(
                "data.stream and data.packed are both sources of the audio; give only one of them."
            )
        self.stream, self.cache_dir = stream, cache_dir

    def prepare_data(self) -> None:
        """Do nothing: the set exists."""

    def _found(self) -> LabelledClips:
        return StreamedSet(self.stream).check_request(*self.sources[:2], self.sample_rate)

    def _audio(self) -> StreamedAudio:
        return StreamedAudio(self.stream, self._drawn().table, self.cache_dir)
