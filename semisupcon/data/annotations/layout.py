"""Where the clips lie on disk: found by stem whatever their extension, and counted where they are absent."""

import logging
import os
from collections import defaultdict
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np

from semisupcon.data.annotations.base import Annotations
from semisupcon.errors import DatasetNotFoundError

AUDIO_EXTENSIONS = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".opus")
MAX_MISSING = 0.05
log = logging.getLogger(__name__)


def stem(path: str) -> str:
    """The name of a file without its audio extension; other dots belong to the name (``100066.LOFI.mp3`` gives ``100066.LOFI``)."""
    name = path.rsplit("/", 1)[-1]
    head, dot, tail = name.rpartition(".")
    return head if dot and f".{tail.lower()}" in AUDIO_EXTENSIONS else name


def audio_files(root: Path) -> list[str]:
    """Every audio file under ``root``, relative with forward slashes, sorted; hidden files (``._song.wav``) and folders are no audio."""
    root, found, folders = os.fspath(root), [], [""]
    while folders:
        folder = folders.pop()
        with os.scandir(os.path.join(root, folder)) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir():
                    folders.append(path)
                elif os.path.splitext(entry.name)[1].lower() in AUDIO_EXTENSIONS:
                    found.append(path)
    return sorted(found)


class _Index:
    """The audio files of a root by path and by stem."""

    def __init__(self, files: list[str]):
        self.paths = set(files)
        self.by_stem: dict[str, list[str]] = defaultdict(list)
        for file in files:
            self.by_stem[stem(file)].append(file)

    def find(self, path: str) -> str | None:
        if path in self.paths:
            return path
        candidates = self.by_stem.get(stem(path), ())
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        # Several files of that name: the one whose folders agree furthest from the end, and only if it is alone in that.
        folders = PurePosixPath(path).parent.parts[::-1]

        def agreement(candidate: str) -> int:
            parts = PurePosixPath(candidate).parent.parts[::-1]
            return next((i for i, (a, b) in enumerate(zip(folders, parts, strict=False)) if a != b), min(len(folders), len(parts)))

        scores = [agreement(candidate) for candidate in candidates]
        best = [c for c, score in zip(candidates, scores, strict=True) if score == max(scores)]
        same_place = {os.path.dirname(c) for c in best}
        # wav and mp3 of one clip side by side are the same clip; the order of AUDIO_EXTENSIONS decides.
        return min(best, key=lambda c: AUDIO_EXTENSIONS.index(os.path.splitext(c)[1].lower())) if len(same_place) == 1 else None


def find_by_stem(root: Path, paths: list[str]) -> list[str | None]:
    """Where each listed path really is under ``root``, or None.

    A path is taken as it stands when it exists; else any audio file of the same stem, whatever its extension and folder, provided that it
    is the only one or shares more of the listed folders than all others.
    """
    if not Path(root).is_dir():
        raise DatasetNotFoundError("The data set's folder", root, "Give the folder that holds the audio (--data_dir, or sl_kwargs.root).")
    index = _Index(audio_files(root))
    return [index.find(path) if not os.path.isabs(path) else (path if os.path.exists(path) else None) for path in paths]


def resolve(annotations: Annotations, root: Path, max_missing: float = MAX_MISSING) -> Annotations:
    """The same annotations with paths that exist; rows whose audio is absent are dropped and counted.

    Args:
        annotations: as a data-set file gives them.
        root: folder of the audio.
        max_missing: greatest share of clips that may be absent, 0 to 1.

    Raises:
        DatasetNotFoundError: if more are absent, with their number and the first five.
    """
    found = find_by_stem(root, annotations.table["path"].tolist())
    present = np.array([path is not None for path in found], dtype=bool)
    absent = annotations.table["path"][~present].tolist()
    if absent:
        first = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        told = f"{len(absent)} of {len(present)} listed clips are absent: {first}"
        if len(absent) > max_missing * len(present):
            raise DatasetNotFoundError(told, root, f"At most {max_missing:.0%} may be; fetch the rest, or allow more with max_missing.")
        log.warning("%s (under %s)", told, root)
    table = annotations.table[present].assign(path=[path for path in found if path is not None])
    return replace(annotations, table=table, targets=annotations.targets[present])


def unlisted(annotations: Annotations, root: Path) -> list[str]:
    """Audio under ``root`` that no split lists, sorted, for self-supervision.

    A folder that holds clips of validation or test is left out whole, with the folders below it, unless training clips lie in it as well:
    what lies beside held-out clips only is held out too. A copy of a listed clip in another format (same stem) is left out everywhere.
    """
    folders: dict[str, set[str]] = defaultdict(set)
    for path, split in zip(annotations.table["path"], annotations.table["split"], strict=True):
        folders[os.path.dirname(path)].add(split)
    held_out = {folder for folder, splits in folders.items() if "train" not in splits}
    listed = {stem(path) for path in annotations.table["path"]}

    @cache
    def is_held_out(folder: str) -> bool:
        return folder in held_out or (bool(folder) and folder not in folders and is_held_out(os.path.dirname(folder)))

    return [file for file in audio_files(root) if stem(file) not in listed and not is_held_out(os.path.dirname(file))]
