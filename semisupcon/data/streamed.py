"""Train from object storage: fetch only the samples of the views from chunks of LitData.

The sampler of this package chooses clips and spans, so streaming has the same properties as reading
from disk. Labelled and unlabelled clips are mixed in batches. Clips are shuffled over the whole
set. Each rank and worker fetches only the batches assigned to it. Resuming is bit-exact for any
number of workers. All spans of a batch are fetched concurrently to hide latency.

``semisupcon stream PACKED OUT`` writes the folder from a packed set. Upload it unchanged to a
bucket and train with ``--data.class_path StreamedDataModule --data.stream s3://bucket/folder``.
"""

import re
import shutil
from collections.abc import Callable, Sequence
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
from semisupcon.data.remote import StreamedAudio, StreamedSet, Stretch
from semisupcon.datasets.base import LabelledClips
from semisupcon.errors import ConfigError, UserError
from semisupcon.files import atomic_path, disk_errors, leftovers, sync
from semisupcon.locks import LOCK, folder_lock

CHUNK_BYTES = 1 << 26
# Names of the files that `write_stream` writes before the header.
_OF_A_STREAM = re.compile(
    r"chunk-\d+-\d+\.bin|(\d+\.)*index\.json|clips\.parquet|targets\.npy|0\.lock"
)


def write_stream(packed: str | Path, out: str | Path, chunk_bytes: int = CHUNK_BYTES) -> Path:
    """Copy a packed set into chunks that LitData can stream.

    Args:
        packed: folder written by ``semisupcon pack``.
        out: new folder for the chunks, LitData's ``index.json``, and the index of the packed set.
        chunk_bytes: minimum size of a chunk in bytes. Clips are not split.

    Raises:
        UserError: if the folder is not empty, the packed set is damaged, or the disk is full or
            read-only.
    """
    packed, out = Path(packed), Path(out)
    files = Packed(packed).clips.table
    if out.exists() and not out.is_dir():
        raise UserError(f"The output is a file, not a folder.\nIn: {out}\nGive a new folder.")
    with folder_lock(out, "stream", "give another folder"):
        # In a folder without header, these files are leftovers of an interrupted run.
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
    # The header is written last, because a set without header counts as incomplete.
    for name in (INDEX, TARGETS, HEADER):
        with atomic_path(out / name) as partial:
            shutil.copyfile(packed / name, partial)


class _Fetched:
    """The fetched spans of one batch, with the interface of `semisupcon.data.clips.Samples`."""

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
    """`Clips` that fetches all spans of a batch from `StreamedAudio` at once, then cuts views."""

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
    """`AudioDataModule` that reads a packed set from object storage.

    Args:
        stream: location of the packed set, see `StreamedSet`.
        cache_dir: folder for cached chunks, see `StreamedAudio`.
        options: all options of `AudioDataModule` except ``packed`` and ``device_resident``.

    Raises:
        ConfigError: if an option is given that applies only to audio on disk.
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
        """Do nothing, because the packed set exists already."""

    def _found(self) -> LabelledClips:
        return StreamedSet(self.stream).check_request(*self.sources[:2], self.sample_rate)

    def _audio(self) -> StreamedAudio:
        return StreamedAudio(self.stream, self._drawn().table, self.cache_dir)
