"""Check whether a data set can be used for training: its annotations and all listed clips.

A data set is unfit if too many clips are missing or unreadable, if the same audio or the same group
(artist, speaker, singer) is in two splits, or if it has no labelled training clips. Silent files,
files with clipped samples, repeated audio within a split, and classes without clips are reported
but allowed.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from semisupcon.audio.fingerprints import fingerprint, match
from semisupcon.audio.opening import open_audio
from semisupcon.audio.scan import scan
from semisupcon.audio.values import OPPOSITE, SILENT
from semisupcon.datasets import MAX_MISSING, LabelledClips, read_annotations
from semisupcon.datasets.base import SPLITS
from semisupcon.datasets.parsing.finding import find_clips
from semisupcon.errors import AudioError, DatasetNotFoundError

MAX_UNREADABLE = 0.01
LISTENED_SECONDS, FINGERPRINT_SECONDS = 60, 4  # taken from the middle of longer files
FULL_SCALE = 0.999
CLIPPED_SHARE = 0.001
RUN = 3  # minimum number of consecutive samples at full scale that counts as clipping
_MANY = 2000
_BLOCK = 1 << 20  # number of samples decoded at once, all channels together


@dataclass
class Findings:
    """Result of `check`. Paths of existing files are those on disk, other paths are those listed.

    ``across`` has pairs of files with the same audio in two splits, ``within`` pairs in the same
    split. ``by_sound`` is the set of those pairs that match only by acoustic fingerprint. The
    samples of all other pairs are equal.
    """

    clips: LabelledClips
    seconds: np.ndarray
    missing: list[str]
    unreadable: dict[str, str]
    silent: list[str]
    clipped: dict[str, float]
    across: list[tuple[str, str, str, str]]
    within: list[tuple[str, str, str]]
    by_sound: set[tuple[str, str]]
    groups: dict[str, dict[str, list[str]]]
    listed: int
    unfit: list[str] = field(default_factory=list)

    @property
    def fit(self) -> bool:
        """Whether the data set can be used for training and testing."""
        return not self.unfit


class Heard(NamedTuple):
    """Result of `listen`: digest of the samples, share of clipped samples, acoustic fingerprint."""

    digest: bytes
    clipped: float
    fingerprint: np.ndarray


def listen(path: str, frames: int, sample_rate: int, channels: int = 1) -> Heard:
    """Decode a file in blocks and compute its digest, share of clipped samples and fingerprint.

    The digest is computed from decoded mono samples, so a wav file and a flac copy have the same
    digest. For files longer than a minute, it is computed from the length and the middle minute. A
    sample counts as clipped if it belongs to at least three consecutive samples at full scale. The
    fingerprint is that of the middle four seconds. Memory use is constant.
    """
    span = min(frames, LISTENED_SECONDS * sample_rate)
    first = (frames - span) // 2
    wanted = min(frames, FINGERPRINT_SECONDS * sample_rate)
    middle = (frames - wanted) // 2
    digest = blake2b(digest_size=16, key=f"{frames}/{sample_rate}".encode())
    clipped, run, kept = 0, 0, []
    size = max(1, _BLOCK // max(1, channels))
    with open_audio(path, frames) as file:
        file.seek(first)
        for start in range(first, first + span, size):
            audio = file.read(min(size, first + span - start)).mean(axis=1)
            digest.update(np.ascontiguousarray(audio + np.float32(0)).tobytes())
            count, run = _clipped(np.abs(audio) >= FULL_SCALE, run)
            clipped += count
            kept.append(audio[max(0, middle - start) : max(0, middle + wanted - start)].copy())
    clipped += run if run >= RUN else 0
    return Heard(
        digest.digest(),
        clipped / max(1, span),
        fingerprint(np.concatenate(kept), sample_rate),
    )


def _clipped(loud: np.ndarray, run: int) -> tuple[int, int]:
    """Count the samples of clipped runs that end in a block; also return the open run's length.

    A run is a sequence of samples at full scale. ``run`` is the length of the run that continues
    from the previous block.
    """
    if not loud.any():
        return (run if run >= RUN else 0), 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(np.int8)))
    lengths = edges[1::2] - edges[::2]
    ended = 0
    if loud[0]:
        lengths[0] += run
    elif run >= RUN:
        ended = run
    is_open = bool(loud[-1])
    closed = lengths[:-1] if is_open else lengths
    return int(ended + closed[closed >= RUN].sum()), int(lengths[-1]) if is_open else 0


def check(
    task: str,
    root: str | Path | None,
    max_missing: float = MAX_MISSING,
    max_unreadable: float = MAX_UNREADABLE,
    **options: Any,
) -> Findings:
    """Check a data set and return the findings.

    Args:
        task: name or import path of a task.
        root: folder of the data set; None for synthetic tasks.
        max_missing: maximum share of missing clips among the listed clips.
        max_unreadable: maximum share of unreadable clips.
        options: options of the task.

    Raises:
        UserError: if the annotations cannot be read.
    """
    listed = read_annotations(task, root, **options)
    root = listed.root if root is None else root
    if not Path(root).is_dir():
        raise DatasetNotFoundError(
            f"The folder of '{task}'",
            root,
            "Give the folder that holds it (--data_dir).",
        )
    clips, missing = find_clips(listed, Path(root))
    facts = scan(
        [os.path.normpath(os.path.join(os.path.realpath(root), path)) for path in clips.paths],
    )
    findings = _listen_to_all(clips, facts, missing, len(listed))
    _judge(findings, max_missing, max_unreadable)
    return findings


def _listen_to_all(
    clips: LabelledClips,
    facts: pd.DataFrame,
    missing: list[str],
    listed: int,
) -> Findings:
    paths, problems = clips.paths, facts["problem"].tolist()
    why = {path: problem for path, problem in zip(paths, problems, strict=True) if problem}
    silent = [
        path if problem == SILENT else f"{path} ({problem})"
        for path, problem in why.items()
        if problem in (SILENT, OPPOSITE)
    ]
    unreadable = {
        path: problem for path, problem in why.items() if problem not in (SILENT, OPPOSITE)
    }
    heard = [i for i, problem in enumerate(problems) if not problem]

    def hear(i: int) -> Heard | str:
        try:
            return listen(
                str(clips.files[i]),
                *(int(facts[name].iloc[i]) for name in ("frames", "sample_rate", "channels")),
            )
        except AudioError as error:
            return error.problem

    by_digest: dict[bytes, list[int]] = defaultdict(list)
    fingerprints: dict[int, np.ndarray] = {}
    clipped: dict[str, float] = {}
    with ThreadPoolExecutor(min(32, 2 * (os.cpu_count() or 1))) as pool:
        bar = tqdm(
            pool.map(hear, heard),
            total=len(heard),
            desc="Listening",
            unit="file",
            disable=None if len(heard) > _MANY else True,
        )
        for i, answer in zip(heard, bar, strict=True):
            if isinstance(answer, str):
                unreadable[paths[i]] = answer
                continue
            if answer.digest not in by_digest:
                fingerprints[i] = answer.fingerprint
            by_digest[answer.digest].append(i)
            if answer.clipped >= CLIPPED_SHARE:
                clipped[paths[i]] = answer.clipped
    splits = clips.split.tolist()
    pairs = [pair for same in _same_sound(by_digest, fingerprints) for pair in _pairs(same, splits)]
    digest_of = {i: digest for digest, same in by_digest.items() for i in same}
    return Findings(
        clips=clips,
        seconds=(facts["frames"] / facts["sample_rate"].clip(lower=1)).to_numpy(),
        missing=missing,
        unreadable=unreadable,
        silent=silent,
        clipped=clipped,
        across=[
            (paths[i], splits[i], paths[j], splits[j]) for i, j in pairs if splits[i] != splits[j]
        ],
        within=[(paths[i], paths[j], splits[i]) for i, j in pairs if splits[i] == splits[j]],
        by_sound={(paths[i], paths[j]) for i, j in pairs if digest_of[i] != digest_of[j]},
        groups=_leaking_groups(clips.table, clips.classes),
        listed=listed,
    )


def _same_sound(
    by_digest: dict[bytes, list[int]],
    fingerprints: dict[int, np.ndarray],
) -> list[list[int]]:
    """Return groups of two or more files with the same audio, in the order of the table."""
    group_of = {same[0]: same for same in by_digest.values()}
    heard = sorted(fingerprints)
    for a, b, _ in match([fingerprints[i] for i in heard]):
        one, other = group_of[heard[a]], group_of[heard[b]]
        if one is not other:
            one += other
            group_of |= dict.fromkeys((i for i in other if i in group_of), one)
    groups = {id(same): sorted(same) for same in group_of.values()}
    return sorted(same for same in groups.values() if len(same) > 1)


def _pairs(same: list[int], splits: list[str]) -> Iterator[tuple[int, int]]:
    """Pair each of several equal files with the first earlier file of each split."""
    # Pairing all of them would give a number of pairs quadratic in the number of copies.
    firsts: dict[str, int] = {}
    for i in same:
        yield from ((first, i) for first in firsts.values())
        firsts.setdefault(splits[i], i)


def _leaking_groups(
    table: pd.DataFrame,
    classes: tuple[str, ...],
) -> dict[str, dict[str, list[str]]]:
    """Find the groups that are in several splits; return them with their splits by column.

    The column ``group`` is checked, and also columns such as ``artist`` or ``speaker``, unless
    their values are the classes of the task.
    """
    leaking = {}
    for column in [
        name for name in ("group", "artist", "speaker", "singer", "src_file") if name in table
    ]:
        splits = (
            table[table[column].notna()]
            .groupby(column)["split"]
            .agg(lambda s: sorted(set(s), key=SPLITS.index))
        )
        several = {str(name): found for name, found in splits.items() if len(found) > 1}
        if column == "group" or (several and set(splits.index) != set(classes)):
            leaking[column] = several
    return leaking


def _judge(findings: Findings, max_missing: float, max_unreadable: float) -> None:
    """Add to the findings each reason why the data set is unfit for use, as a sentence."""
    clips, unfit = findings.clips, findings.unfit
    if len(findings.missing) > max_missing * findings.listed:
        unfit.append(
            f"{len(findings.missing)} of {findings.listed} listed clips are missing; the maximum "
            f"is {max_missing:.0%}.",
        )
    if len(findings.unreadable) > max_unreadable * len(clips):
        unfit.append(
            f"{len(findings.unreadable)} of {len(clips)} files cannot be read; the maximum is "
            f"{max_unreadable:.0%}.",
        )
    if findings.across:
        unfit.append(
            f"Files that are the same audio as one of another split: {len(findings.across)}.",
        )
    if leaks := findings.groups.get("group"):
        unfit.append(f"Groups in more than one split: {len(leaks)}.")
    if not clips.labelled[clips.rows("train")].any():
        unfit.append("There are no labelled training clips.")
