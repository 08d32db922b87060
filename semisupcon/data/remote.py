"""Read the index and audio of a packed set in object storage, in chunks of LitData.

LitData stores each clip completely in one chunk. With `TemporalArrayLoader` and `read_window`, it
reads any part of a clip with one range request from S3 and R2. From other storage it downloads the
whole chunk to a cache.
"""

import asyncio
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from semisupcon.data.packed.checks import HEADER, INDEX, TARGETS
from semisupcon.data.packed.reading import Packed
from semisupcon.errors import AudioError, DatasetNotFoundError, UserError

CHUNKS = "index.json"  # name of LitData's index of chunks
# Format of chunks that `semisupcon.data.streamed.write_stream` writes. Only this format is
# accepted, because LitData also supports pickles, and its index can name classes to import.
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
_LEAF = [1, {"type": None, "context": None, "children_spec": []}]
Stretch = tuple[int, int, int]  # row, start and number of frames of a span
AT_ONCE = 64  # number of concurrent requests per process


class StreamedSet(Packed):
    """The index of a packed set in object storage, with the attributes and errors of `Packed`.

    The table of clips also has the column ``record``, the number of the clip in the chunks.

    Args:
        url: location of the folder that ``semisupcon stream`` has written: a path, or an address
            with ``s3://``, ``r2://``, ``gs://`` or ``azure://``, as in LitData.
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
        """Skip the check of remote chunks. Reading damaged samples raises an error."""


def check_chunks(index: Path, url: str) -> None:
    """Check the index of chunks before LitData reads it.

    Raises:
        UserError: if ``semisupcon stream`` cannot have written the index: the chunks have other
            contents than arrays of 16-bit samples, or unexpected names.
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
    except Exception as error:  # Each storage raises different errors.
        raise DatasetNotFoundError(
            "A streamed set",
            f"{url}/{name}",
            f"({' '.join(str(error).split())[:200]}) Make it with: semisupcon stream PACKED OUT",
        ) from error


class StreamedAudio:
    """Reads spans of the clips in a table from object storage.

    Args:
        url: location of the folder, see `StreamedSet`.
        rows: table with the columns ``record`` and ``name``.
        cache_dir: folder for cached chunks of storage without range requests; None is LitData's
            default.
    """

    dtype = torch.int16

    def __init__(self, url: str, rows: pd.DataFrame, cache_dir: str | None = None):
        self.url, self.cache_dir = url, cache_dir
        self.records = rows["record"].to_numpy(np.int64)
        self.names = np.array([str(name).encode() for name in rows["name"]])
        self._source: Any = None

    def fetch(self, wanted: Sequence[Stretch]) -> dict[Stretch, np.ndarray]:
        """Fetch the int16 samples of each span ``(row, start, frames)`` concurrently.

        Raises:
            AudioError: if a span cannot be fetched. The message names the clip.
        """
        if self._source is None:
            from litdata import StreamingDataset
            from litdata.streaming.temporal import TemporalArrayLoader

            self._source = StreamingDataset(
                self.url, cache_dir=self.cache_dir, item_loader=TemporalArrayLoader()
            )
        return asyncio.run(self._fetch(wanted))

    def spans(self, row: int, spans: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Return int16 samples of the spans ``(start, frames)`` of the clip in a row.

        Raises the errors of `fetch`.
        """
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
                except Exception as error:  # Each storage raises different errors.
                    raise AudioError(
                        f"{self.name(row)} could not be fetched: "
                        f"{' '.join(str(error).split())[:200]}\nFrom: {self.url}"
                    ) from error

        return dict(
            zip(wanted, await asyncio.gather(*(window(*which) for which in wanted)), strict=True)
        )

    def name(self, row: int) -> str:
        """Return the name of the clip in a row, for messages."""
        return self.names[row].decode()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_source": None}
