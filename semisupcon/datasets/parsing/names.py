"""Normalise the paths of clips in tables across folders and operating systems.

A path below the root is made relative, with forward slashes, directly after reading. Random draws
that depend on the path of a clip are therefore unchanged if the data set is moved, linked, or
listed with absolute paths.
"""

import os
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from semisupcon.paths import AUDIO_SUFFIXES

_DRIVE = re.compile(r"[A-Za-z]:/")
# Words in folder names that describe the format, not the recording: AudioWAV, mp3, wav_16k.
_FORMAT = re.compile(
    r"(?:audio|wave?|flac|mp3|mpeg|ogg|vorbis|opus|aiff?|aifc|m4a|aac|caf|pcm|mono|stereo|\d{1,3}k(?:hz)?|\d{4,6}hz)+",
)
_RATE = re.compile(r"8000|11025|16000|22050|24000|32000|44100|48000|96000")


def stem(path: str) -> str:
    """Return a file name without audio extension: ``1.LOFI`` for ``1.LOFI.mp3``."""
    name = path.rsplit("/", 1)[-1]
    head, dot, tail = name.rpartition(".")
    return head if dot and f".{tail.lower()}" in AUDIO_SUFFIXES else name


def composed(text: str) -> str:
    """Return the text with composed accents (NFC), so that a name is equal on all systems."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """Return the text for comparison, without case and accent composition."""
    return (
        text.lower()
        if text.isascii()
        else unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    )


def spelling(name: str) -> str:
    """Return the name used for draws: composed accents, and an audio extension in lower case."""
    name = composed(name)
    head, dot, tail = name.rpartition(".")
    return f"{head}.{tail.lower()}" if dot and f".{tail.lower()}" in AUDIO_SUFFIXES else name


@cache
def place_of(folder: str) -> tuple[str, ...]:
    """Return the folders of a path without format words: ``("id1",)`` for ``AudioWAV/id1``."""
    return tuple(filter(None, map(_without_format, folded(folder).split("/"))))


def _without_format(name: str) -> str:
    words = [word for word in re.split(r"[-_. ]+", name) if word]
    kept = [word for word in words if not _FORMAT.fullmatch(word)]
    return "_".join(word for word in kept if len(kept) == len(words) or not _RATE.fullmatch(word))


def is_absolute(path: str) -> bool:
    """Whether a path with forward slashes is absolute, on Windows too."""
    return path.startswith("/") or bool(_DRIVE.match(path))


def below(root: str | Path, paths: Sequence[str]) -> list[str]:
    """Return paths relative to ``root`` if they lie below it.

    An absolute path in a folder that no longer exists counts as below ``root`` if its last folders
    exist there: the set was moved. Backslashes become slashes, unless a file has that name; ``./``
    and double slashes are removed; a leading ``~/`` is the home folder.

    Returns:
        n paths, relative to ``root`` with forward slashes, or absolute if they lie elsewhere.
    """
    inside = _Inside(root)
    return [inside.relative(path) for path in paths]


def portable(paths: Sequence[str]) -> list[str]:
    """Return names for draws that do not depend on the location of the audio.

    Relative paths are unchanged; other paths are relative to their common folder.
    """
    names = [spelling(path) for path in paths]
    if absolute := [name for name in names if is_absolute(name)]:
        common = (
            posixpath.commonpath([posixpath.dirname(name) for name in absolute])
            if len({n[0] for n in absolute}) == 1
            else ""
        )
        short = [
            posixpath.relpath(name, common) if common and is_absolute(name) else name
            for name in names
        ]
        names = short if max(Counter(short).values()) == 1 else names
    return names


class _Inside:
    """Converts paths to paths relative to a data set, whose folder may have several paths."""

    def __init__(self, root: str | Path):
        self.root = os.path.abspath(Path(root).expanduser())
        self.real = os.path.realpath(self.root)
        self.folder = cache(self._folder)
        self.links = cache(self._links)

    def relative(self, path: str) -> str:
        if path.startswith("~/") and not os.path.lexists(os.path.join(self.root, path)):
            path = os.path.expanduser(path)
        if "\\" in path and not os.path.lexists(os.path.join(self.root, path)):
            path = path.replace("\\", "/")
        path = posixpath.normpath(path) if path else path
        if not is_absolute(path):
            return path
        folder, name = posixpath.split(path)
        found = self.folder(folder)
        if found is None:
            moved = not os.path.lexists(path) and os.path.lexists(os.path.join(self.root, name))
            return name if moved else path
        return f"{found}/{name}" if found else name

    def _folder(self, folder: str) -> str | None:
        """Convert an absolute folder to a path relative to the root; None if it is not below it."""
        for given in (folder, os.path.realpath(folder)):
            for root in (self.root, self.real):
                if given == root or given.startswith(root.rstrip("/") + "/"):
                    return given[len(root) :].strip("/")
        if os.path.isdir(folder):
            real = os.path.realpath(folder)
            found = [
                (target, link)
                for target, link in self.links()
                if real == target or real.startswith(f"{target}/")
            ]
            return min((link + real[len(target) :] for target, link in found), default=None)
        parts = folder.split("/")[1:]
        tails = ("/".join(parts[i:]) for i in range(len(parts)))
        return next(
            (tail for tail in tails if tail and os.path.isdir(os.path.join(self.root, tail))),
            None,
        )

    def _links(self) -> list[tuple[str, str]]:
        """Target and relative path of every linked folder below the root."""
        folders = (
            (os.path.join(at, name) for name in inside) for at, inside, _ in os.walk(self.root)
        )
        linked = [folder for some in folders for folder in some if os.path.islink(folder)]
        return [(os.path.realpath(folder), os.path.relpath(folder, self.root)) for folder in linked]
