"""Count the test clips of a task that were in the training audio of a checkpoint.

A run stores a record of its training clips (`semisupcon.data.heard`). A test clip counts if its
file, or a recording of the same sound, is among them. Recordings of the same sound are found by
acoustic fingerprints, as in ``semisupcon data check``.
"""

import csv
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np

from semisupcon.audio.fingerprints import match
from semisupcon.audio.scan import scan
from semisupcon.data.heard import MOST, Heard, content_of, find_record, middle_of
from semisupcon.datasets.base import LabelledClips
from semisupcon.files import plain_cell, write_csv
from semisupcon.paths import text_of
from semisupcon.probing.embeddings.subject import Subject
from semisupcon.probing.embeddings.tasks import named
from semisupcon.probing.scores.results import identity_of, short_values

OVERLAP = "overlap.csv"
UNKNOWN = "unknown"
_WORKERS = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Overlap:
    """The overlap of the test clips of a task with the training audio of a checkpoint.

    Attributes:
        task, checkpoint: names of task and encoder.
        test_clips: number of test clips.
        same_file: number of test clips whose files are among the training files; empty if unknown.
        same_sound: number of other test clips with the same sound as a training clip; empty if
            unknown.
        described: number of training clips with an acoustic fingerprint, and of all training clips,
            such as "400 of 400".
        told: the overlap for tables: "12 of 80", "at least 12 of 80", or "unknown".
        identity: hash of the training audio and the test clips.
    """

    task: str
    checkpoint: str
    test_clips: str
    same_file: str
    same_sound: str
    described: str
    told: str
    identity: str


def records_of(
    checkpoints: Sequence[str], subjects: Sequence[Subject], representations: int
) -> dict[str, Heard | None]:
    """Return the record of the training audio of each trained encoder, by name.

    The record is None if the encoder has none. Untrained encoders and audio features were not
    trained on audio and are left out.

    Args:
        checkpoints: checkpoints as given by the user, without "random".
        subjects: encoders. The first ones are the checkpoints in order, each in all
            representations.
        representations: number of representations.
    """
    found = {}
    for i, text in enumerate(checkpoints):
        subject = subjects[i * representations]
        if subject.source not in ("baseline", "random"):
            found[subject.name] = find_record(named(text)[1])
    return found


def study_overlap(
    task: LabelledClips, records: Mapping[str, Heard | None], out: Path, asked: str
) -> None:
    """Count the overlap of the test clips of a task with each record, for ``overlap.csv``.

    Args:
        task: task with the test clips.
        records: records of training audio, from `records_of`.
        out: folder of the results.
        asked: hash of the clips of the task.
    """
    known = {(row.task, row.checkpoint): row for row in read_overlap(out)}
    test = task.select(task.rows("test"))
    files = [text_of(file) for file in test.files]
    listen = cache(lambda: _fingerprints(files))
    for name, heard in records.items():
        digest = "" if heard is None else identity_of(heard.content.tobytes().hex(), heard.earlier)
        identity = identity_of(asked, digest)
        row = known.get((task.name, name))
        if row is None or row.identity != identity:
            known[task.name, name] = _counted(task.name, name, files, heard, listen, identity)
    names = [f.name for f in fields(Overlap)]
    if known:
        write_csv(out / OVERLAP, names, map(short_values, known.values()))


def _counted(
    task: str,
    checkpoint: str,
    files: Sequence[str],
    heard: Heard | None,
    listen: Callable[[], list[np.ndarray]],
    identity: str,
) -> Overlap:
    total = str(len(files))
    if heard is None:
        return Overlap(task, checkpoint, total, "", "", "", UNKNOWN, identity)
    contents = {row.tobytes() for row in heard.content} - {bytes(16)}
    same = {i for i, file in enumerate(files) if content_of(file) in contents}
    levels = heard.fingerprints
    sound = {pair.a for pair in match(listen(), levels)} - same if heard.fingerprinted else set()
    both = len(same) + len(sound)
    whole = heard.fingerprinted == len(heard) and not heard.earlier
    told = f"{both} of {total}" if whole else f"at least {both} of {total}"
    if both:
        log.warning("%s: %s test clips were in the training audio of %s.", task, told, checkpoint)
    described = f"{heard.fingerprinted} of {len(heard)}"
    return Overlap(
        task, checkpoint, total, str(len(same)), str(len(sound)), described, told, identity
    )


def _fingerprints(files: Sequence[str]) -> list[np.ndarray]:
    """Return an acoustic fingerprint of the middle of each of the first 5000 files.

    The fingerprints of other files and of unreadable files are empty.
    """
    facts = scan(files)

    def one(row: int) -> np.ndarray:
        frames, rate = int(facts["frames"].iloc[row]), int(facts["sample_rate"].iloc[row])
        usable = row < MOST and frames and not facts["problem"].iloc[row]
        return middle_of(files[row], frames, rate) if usable else np.zeros((0, 32), np.int8)

    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(one, range(len(files))))


def read_overlap(out: Path) -> list[Overlap]:
    """Read the rows of ``overlap.csv``. The list is empty if the file is missing or damaged."""
    names = [f.name for f in fields(Overlap)]
    try:
        with (out / OVERLAP).open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        return [Overlap(**{name: plain_cell(row[name]) for name in names}) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error):
        return []
