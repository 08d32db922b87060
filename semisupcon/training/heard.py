"""Record which audio a run is trained on, when training starts (`semisupcon.data.heard`)."""

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from semisupcon.data.clips import FileAudio
from semisupcon.data.heard import (
    RECORD,
    Heard,
    find_record,
    heard_by,
    names_of,
    read_record,
    write_record,
)
from semisupcon.errors import DiskError

log = logging.getLogger("semisupcon")


def record_audio(folder: Path, data: Any, init_from: str | None) -> None:
    """Write ``pretraining_audio.npz``, unless it already describes the training clips.

    A resumed run with other clips adds them. If the initial weights come from a run, the audio of
    that run is added. If they come from elsewhere, the record says that earlier audio is unknown. A
    disk error causes a warning.

    Args:
        folder: run folder.
        data: an `AudioDataModule` after ``setup``. For other data modules, nothing is recorded.
        init_from: origin of the initial weights; None for random ones.
    """
    drawn = getattr(data, "drawn", None)
    if drawn is None:
        return
    begin, file = time.perf_counter(), folder / RECORD
    before = read_record(file) if file.is_file() else None
    unique = ~drawn.table["path"].duplicated().to_numpy()
    rows = np.flatnonzero(unique & (drawn.table["split"] == "train").to_numpy())
    training = drawn.select(rows)
    if before is not None and before.table == names_of(training):
        return
    streamed, audio = getattr(data, "stream", None) is not None, data.validation_clips.audio
    if not isinstance(audio, FileAudio):
        audio = None if streamed else _Rows(audio, rows)
    heard = heard_by(training, audio)
    if before is not None:
        heard = before.joined(heard)
    elif init_from is not None:
        earlier = find_record(init_from)
        heard = replace(heard, earlier=True) if earlier is None else earlier.joined(heard)
    _write(heard, file)
    log.info(
        "data: %s describes %d training clips (%d by acoustic fingerprint), in %.1f s.",
        RECORD,
        len(heard),
        heard.fingerprinted,
        time.perf_counter() - begin,
    )


def _write(heard: Heard, file: Path) -> None:
    try:
        write_record(heard, file)
    except DiskError as error:
        log.warning("%s The run continues without a record of its audio.", error)


class _Rows:
    """The audio of some rows of an audio source, numbered from 0."""

    def __init__(self, audio: Any, rows: np.ndarray):
        self.audio, self.rows, self.dtype = audio, rows, audio.dtype

    def spans(self, row: int, spans: Any) -> list[np.ndarray]:
        return self.audio.spans(int(self.rows[row]), spans)

    def name(self, row: int) -> str:
        return self.audio.name(int(self.rows[row]))
