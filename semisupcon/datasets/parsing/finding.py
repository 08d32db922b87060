"""Where the clips lie on disk: found by stem whatever their extension, and counted where they are absent."""

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath

from semisupcon.audio.listing import list_audio, tell
from semisupcon.datasets.base import LabelledClips
from semisupcon.errors import DatasetNotFoundError
from semisupcon.files import AUDIO_SUFFIXES

MAX_MISSING = 0.05
log = logging.getLogger(__name__)


def stem(path: str) -> str:
    """The name of a file without its audio extension; other dots belong to the name (``100066.LOFI.mp3`` gives ``100066.LOFI``)."""
    name = path.rsplit("/", 1)[-1]
    head, dot, tail = name.rpartition(".")
    return head if dot and f".{tail.lower()}" in AUDIO_SUFFIXES else name


def audio_files(root: Path) -> list[str]:
    """Every audio file under ``root``, relative with forward slashes, sorted, as `list_audio` has it; what is left out is logged."""
    listing = list_audio(root)
    tell(listing)
    return listing.files


def _agreement(path: str, candidate: str) -> int:
    """How many folders two paths share, counted from the file upwards."""
    pairs = zip(PurePosixPath(path).parent.parts[::-1], PurePosixPath(candidate).parent.parts[::-1], strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(path.count("/"), candidate.count("/")))


def _best(path: str, candidates: list[str], must_share_folder: bool) -> str | None:
    """The one candidate that can be meant by ``path``; None when there is none, or no telling which."""
    scores = {candidate: _agreement(path, candidate) for candidate in candidates}
    highest = max(scores.values(), default=0)
    best = [candidate for candidate, score in scores.items() if score == highest]
    if not best or (must_share_folder and highest == 0) or len({os.path.dirname(candidate) for candidate in best}) > 1:
        return None
    # wav and mp3 of one clip side by side are the same clip; the order of AUDIO_SUFFIXES decides.
    return min(best, key=lambda candidate: AUDIO_SUFFIXES.index(os.path.splitext(candidate)[1].lower()))


def find_by_stem(root: Path, paths: Sequence[str]) -> list[str | None]:
    """Where each listed path really is under ``root``, or None.

    A path is taken as it stands when it exists; else any audio file of the same stem, whatever its extension and folder, provided that it is
    the only one or shares more of the listed folders than all others. Where several listed clips have the same stem (``video/00001.wav``), at least
    the innermost folder must agree. No file is found for two listed paths.

    Raises:
        DatasetNotFoundError: if there is no folder ``root``.
    """
    if not Path(root).is_dir():
        raise DatasetNotFoundError("The data set's folder", root, "Give the folder that holds the audio (--data_dir, or sl_kwargs.root).")
    files = audio_files(root)
    present, listed = set(files), set(paths)
    # A folder is listed once, by one of its names; a table may use another.
    present |= {path for path in listed - present if os.path.isfile(os.path.join(root, path))}
    if listed <= present:
        return list(paths)
    stems = Counter(map(stem, listed))
    by_stem: dict[str, list[str]] = defaultdict(list)
    for file in files:
        if file not in listed:
            by_stem[stem(file)].append(file)

    def find(path: str) -> str | None:
        if path in present:
            return path
        name = stem(path)
        return _best(path, by_stem.get(name, []), must_share_folder=stems[name] > 1)

    found = {path: find(path) for path in listed}
    claims = Counter(found.values())
    return [found[path] if claims[found[path]] == 1 else None for path in paths]


def find_clips(clips: LabelledClips, root: Path) -> tuple[LabelledClips, list[str]]:
    """Those clips whose audio is under ``root``, with the paths found there, and the listed paths of all others.

    Raises:
        DatasetNotFoundError: if there is no folder ``root``.
    """
    found = find_by_stem(root, clips.paths)
    present = [row for row, path in enumerate(found) if path is not None]
    kept = replace(clips.select(present), root=str(root)).assign(path=[found[row] for row in present])
    return kept, [listed for listed, path in zip(clips.paths, found, strict=True) if path is None]


def resolve(clips: LabelledClips, root: Path, max_missing: float = MAX_MISSING) -> LabelledClips:
    """The same clips with paths that exist; clips whose audio is absent are dropped and counted.

    Args:
        clips: as a data-set file gives them.
        root: folder of the audio.
        max_missing: greatest share of clips that may be absent, 0 to 1.

    Raises:
        DatasetNotFoundError: if more are absent, with their number and the first five.
    """
    kept, absent = find_clips(clips, root)
    if absent:
        first = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        told = f"{len(absent)} of {len(clips)} listed clips ({first})"
        if len(absent) > max_missing * len(clips):
            raise DatasetNotFoundError(told, root, f"At most {max_missing:.0%} may be; fetch the rest, or allow more with max_missing.")
        log.warning("%s are not under %s; they are left out.", told, root)
    return kept


def unlisted(clips: LabelledClips, root: Path) -> list[str]:
    """Audio under ``root`` that no split lists, sorted, for self-supervision.

    A folder that holds clips of validation or test is left out whole, with the folders below it, unless training clips lie in it as well:
    what lies beside held-out clips only is held out too. A copy of a listed clip in another format (same stem) is left out everywhere.
    """
    folders: dict[str, set[str]] = defaultdict(set)
    for path, split in zip(clips.paths, clips.split, strict=True):
        folders[os.path.dirname(path)].add(split)
    held_out = {folder for folder, splits in folders.items() if "train" not in splits}
    listed = set(map(stem, clips.paths))

    @cache
    def is_held_out(folder: str) -> bool:
        return folder in held_out or (bool(folder) and folder not in folders and is_held_out(os.path.dirname(folder)))

    return [file for file in audio_files(root) if stem(file) not in listed and not is_held_out(os.path.dirname(file))]
