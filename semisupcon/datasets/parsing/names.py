"""Normalise the paths of clips in tables, so that they do not depend on location and system.

Directly after reading, a path below the root is made relative, with forward slashes. Random draws
depend on the paths of clips. They are therefore unchanged if the data set is moved, linked, or
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
# Words in names of folders that describe the format and not the recording, as in AudioWAV, mp3,
# wav_16k.
_FORMAT = re.compile(
    r"(?:audio|wave?|flac|mp3|mpeg|ogg|vorbis|opus|aiff?|aifc|m4a|aac|caf|pcm|mono|stereo|\d{1,3}k(?:hz)?|\d{4,6}hz)+",
)
_RATE = re.compile(r"8000|11025|16000|22050|24000|32000|44100|48000|96000")


def stem(path: str) -> str:
    """Return the name of a file without its audio extension: ``1.LOFI`` for ``1.LOFI.mp3``."""
    name = path.rsplit("/", 1)[-1]
    head, dot, tail = name.rpartition(".")
    return head if dot and f".{tail.lower()}" in AUDIO_SUFFIXES else name


def composed(text: str) -> str:
    """Convert a text to composed accents (NFC), so that a name is equal on all systems."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """Convert a text for comparison: differences of case and accent composition are removed."""
    return (
        text.lower()
        if text.isascii()
        else unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    )


def spelling(name: str) -> str:
    """Return the name on which draws depend: composed accents, audio extension in lower case."""
    name = composed(name)
    head, dot, tail = name.rpartition(".")
    return f"{head}.{tail.lower()}" if dot and f".{tail.lower()}" in AUDIO_SUFFIXES else name


@cache
def place_of(folder: str) -> tuple[str, ...]:
    """Return the folders of a path without words that describe a format.

    For example, ``AudioWAV/id1`` gives ``("id1",)``.
    """
    return tuple(filter(None, map(_without_format, folded(folder).split("/"))))


def _without_format(name: str) -> str:
    words = [word for word in re.split(r"[-_. ]+", name) if word]
    kept = [word for word in words if not _FORMAT.fullmatch(word)]
    return "_".join(word for word in kept if len(kept) == len(words) or not _RATE.fullmatch(word))


def is_absolute(path: str) -> bool:
    """Return whether a path with forward slashes is absolute, on POSIX systems or Windows."""
    return path.startswith("/") or bool(_DRIVE.match(path))


def below(root: str | Path, paths: Sequence[str]) -> list[str]:
    """Convert paths below ``root`` to relative paths.

    If the folder of an absolute path does not exist, but its last folders exist in ``root``, the
    data set has been moved, and the path counts as below ``root``. Backslashes become slashes,
    unless a file with this name exists. ``./`` and double slashes are removed. A leading ``~/`` is
    expanded.

    Returns:
        n paths, relative to ``root`` with forward slashes. Paths that are not below ``root`` remain
        absolute.
    """
    inside = _Inside(root)
    return [inside.relative(path) for path in paths]


def portable(paths: Sequence[str]) -> list[str]:
    """Return names of clips for random draws, which do not depend on the location of the audio.

    Absolute paths are made relative to their common folder.
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
    """Converts absolute paths to paths relative to a data set, also through linked folders."""

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
        """Convert an absolute folder to a path relative to the root; None if it is not inside."""
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
        """Return target and relative path of every linked folder below the root."""
        folders = (
            (os.path.join(at, name) for name in inside) for at, inside, _ in os.walk(self.root)
        )
        linked = [folder for some in folders for folder in some if os.path.islink(folder)]
        return [(os.path.realpath(folder), os.path.relpath(folder, self.root)) for folder in linked]
