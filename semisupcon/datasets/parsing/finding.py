"""Find the audio files of listed clips, also with other extensions, and count missing ones."""

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from semisupcon.audio.listing import list_audio, tell
from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.parsing.names import folded, place_of, stem
from semisupcon.errors import DatasetNotFoundError
from semisupcon.paths import AUDIO_SUFFIXES

MAX_MISSING = 0.05
log = logging.getLogger(__name__)


def audio_files(root: Path) -> list[str]:
    """Return the sorted relative paths of all audio under ``root``; log left-out files."""
    listing = list_audio(root)
    tell(listing)
    return listing.files


def _agreement(path: str, candidate: str) -> int:
    """Return the number of folders that two paths have in common, counted from the file upwards."""
    pairs = zip(
        PurePosixPath(folded(path)).parent.parts[::-1],
        PurePosixPath(folded(candidate)).parent.parts[::-1],
        strict=False,
    )
    return next(
        (i for i, (a, b) in enumerate(pairs) if a != b),
        min(path.count("/"), candidate.count("/")),
    )


def _best(path: str, candidates: list[str], must_share_folder: bool) -> list[str]:
    """Return the best candidates for ``path``: one if unique, several if ambiguous, or none."""
    scores = {candidate: _agreement(path, candidate) for candidate in candidates}
    highest = max(scores.values(), default=0)
    best = [candidate for candidate, score in scores.items() if score == highest]
    if not best or (must_share_folder and highest == 0):
        return []
    if len({place_of(os.path.dirname(candidate)) for candidate in best}) > 1:
        return sorted(best)
    # A wav and an mp3 file with the same name are the same clip. Prefer the listed extension, then
    # the order of AUDIO_SUFFIXES.
    wanted = os.path.splitext(path)[1].lower()
    kinds = {candidate: os.path.splitext(candidate)[1].lower() for candidate in best}
    ranks = {
        candidate: (kind != wanted, AUDIO_SUFFIXES.index(kind)) for candidate, kind in kinds.items()
    }
    return sorted(candidate for candidate in best if ranks[candidate] == min(ranks.values()))


def find_by_stem(
    root: Path,
    paths: Sequence[str],
    unclear: dict[str, list[str]] | None = None,
) -> list[str | None]:
    """Find the audio file of each listed path under ``root``; None if it is not found.

    If the path exists, it is used. Otherwise, if a single file has the same path except for case or
    the composition of accents, it is used. Otherwise, an audio file with the same stem is used,
    with any extension and folder, if it is the only such file or shares more of the listed folders
    than all others. Folders whose names differ only in a format (AudioWAV, AudioMP3) count as
    equal. If several listed clips have the same stem (``video/00001.wav``), at least the innermost
    folder must match. A file is not used for two listed paths.

    Args:
        root: folder of the audio.
        paths: listed paths.
        unclear: dictionary to which ambiguous listed paths are added, with their candidate files.

    Raises:
        DatasetNotFoundError: if the folder ``root`` does not exist.
    """
    if not Path(root).is_dir():
        raise DatasetNotFoundError(
            "The data set's folder",
            root,
            "Give the folder that holds the audio (--data_dir, or sl_kwargs.root; of a probe, "
            "--data_dirs.TASK).",
        )
    files = audio_files(root)
    present, listed = set(files), set(paths)
    # If links lead to a folder, it is listed under one path only, but a table may use another one.
    present |= {path for path in listed - present if os.path.isfile(os.path.join(root, path))}
    if listed <= present:
        return list(paths)
    stems = Counter(folded(stem(path)) for path in listed)
    by_path: dict[str, list[str]] = defaultdict(list)
    by_stem: dict[str, list[str]] = defaultdict(list)
    for file in files:
        if file not in listed:
            by_path[folded(file)].append(file)
            by_stem[folded(stem(file))].append(file)

    def find(path: str) -> list[str]:
        if path in present:
            return [path]
        name = stem(path)
        files_of_name = by_stem.get(folded(name), [])
        exactly = [file for file in files_of_name if stem(file) == name]
        return by_path.get(folded(path)) or _best(
            path,
            exactly or files_of_name,
            must_share_folder=stems[folded(name)] > 1,
        )

    found = {path: find(path) for path in listed}
    claims = Counter(files[0] for files in found.values() if len(files) == 1)
    clear = {
        path: files[0] if len(files) == 1 and claims[files[0]] == 1 else None
        for path, files in found.items()
    }
    if unclear is not None:
        unclear |= {path: found[path] for path in paths if clear[path] is None and found[path]}
    return [clear[path] for path in paths]


def find_clips(
    clips: LabelledClips,
    root: Path,
    unclear: dict[str, list[str]] | None = None,
) -> tuple[LabelledClips, list[str]]:
    """Return the clips whose audio was found under ``root``, and the listed paths of the others.

    ``path`` is the found path. If its spelling differs from the listed path (case, accents), the
    column ``listed_as`` has the listed path, on which random draws depend.

    Raises:
        DatasetNotFoundError: if the folder ``root`` does not exist.
    """
    found = find_by_stem(root, clips.paths, unclear)
    present = [row for row, path in enumerate(found) if path is not None]
    kept = replace(clips.select(present), root=str(root)).assign(
        path=[found[row] for row in present],
    )
    listed = [clips.paths[row] for row in present]
    spelt = [
        old if folded(old) == folded(new) else new
        for old, new in zip(listed, kept.paths, strict=True)
    ]
    kept = kept.assign(listed_as=spelt) if tuple(spelt) != kept.paths else kept
    return kept, [path for path, file in zip(clips.paths, found, strict=True) if file is None]


def resolve(clips: LabelledClips, root: Path, max_missing: float = MAX_MISSING) -> LabelledClips:
    """Replace the paths of clips by those of existing files; drop clips without audio.

    Args:
        clips: clips that the function of a task has returned.
        root: folder of the audio.
        max_missing: maximum share of missing clips, 0 to 1.

    Raises:
        DatasetNotFoundError: if more clips are missing. The message has their number and the first
            five.
    """
    unclear: dict[str, list[str]] = {}
    kept, absent = find_clips(clips, root, unclear)
    if absent:
        first = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        told = f"{len(absent)} of {len(clips)} listed clips ({first})"
        why = _why_unclear(unclear)
        if len(absent) > max_missing * len(clips):
            remedy = why or "download the rest, or allow more with max_missing."
            raise DatasetNotFoundError(told, root, f"The maximum is {max_missing:.0%}; {remedy}")
        log.warning(
            "%s are not under %s; they are left out.%s",
            told,
            root,
            f" Of these, {why}" if why else "",
        )
    return kept


def _why_unclear(unclear: dict[str, list[str]]) -> str:
    """Return an explanation of ambiguous listed paths; empty if there are none."""
    if not unclear:
        return ""
    path, files = next(iter(unclear.items()))
    several = [other for other in unclear if unclear[other] == files]
    if len(files) == 1 and len(several) > 1:
        reason = f"{several[0]} and {several[1]} both fit {files[0]}"
    else:
        reason = f"{path} fits {' and '.join(files[:2])}{' and others' * (len(files) > 2)}"
    return f"{len(unclear)} are ambiguous ({reason}): write the folders of each path as they are on disk."


class Unlisted(NamedTuple):
    """Audio files that no split lists, sorted.

    ``free`` files may be used for training. Files of ``beside`` are in folders of held-out clips,
    files of ``copies`` are copies of listed clips.
    """

    free: list[str]
    beside: list[str]
    copies: list[str]


def sort_unlisted(clips: LabelledClips, root: Path) -> Unlisted:
    """Classify the audio under ``root`` that no split lists, by whether it may be used for
    training.

    If a folder has validation or test clips but no training clips, its unlisted files are held out,
    including subfolders. Copies of a listed clip in another format are left out everywhere. A file
    counts as a copy if it has the name of a listed clip, and its folder is the same, differs only
    in the name of a format (``AudioWAV/id1`` and ``mp3/id1``), or has the same name at another
    place (``id1`` and ``backup/id1``).
    """
    folders: dict[str, set[str]] = defaultdict(set)
    for path, split in zip(clips.paths, clips.split, strict=True):
        folders[os.path.dirname(path)].add(split)
    held_out = {folder for folder, splits in folders.items() if "train" not in splits}
    listed = set(clips.paths)
    names = {(place_of(os.path.dirname(path)), folded(stem(path))) for path in listed}
    ends = {(place[i:], name) for place, name in names for i in range(len(place))} | names

    @cache
    def is_held_out(folder: str) -> bool:
        return folder in held_out or (
            bool(folder) and folder not in folders and is_held_out(os.path.dirname(folder))
        )

    def is_copy(file: str) -> bool:
        place, name = place_of(os.path.dirname(file)), folded(stem(file))
        return (place, name) in ends or any(
            (place[i:], name) in names for i in range(1, len(place))
        )

    found = Unlisted([], [], [])
    for file in audio_files(root):
        if file not in listed:
            kind = (
                found.beside
                if is_held_out(os.path.dirname(file))
                else found.copies
                if is_copy(file)
                else found.free
            )
            kind.append(file)
    return found


def unlisted(clips: LabelledClips, root: Path) -> list[str]:
    """Return the unlisted audio that may be used for training; see `sort_unlisted`."""
    return sort_unlisted(clips, root).free
