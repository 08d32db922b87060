"""List the audio files of a folder. All commands use these functions.

A folder that several links lead to is listed once. If it is below the root, its path without links
is used. Hidden files (also the ``._`` files of macOS) and hidden folders are left out. Names that
are not UTF-8 are converted by `semisupcon.paths.text_of`.
"""

import logging
import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from semisupcon.errors import UserError
from semisupcon.paths import AUDIO_SUFFIXES, OTHER_AUDIO_SUFFIXES, system_path, text_of

log = logging.getLogger(__name__)
_told: set[str] = set()
_NAMED = 3


@dataclass
class Listing:
    """Result of `list_audio`. All paths are relative to ``root``, with forward slashes.

    Attributes:
        root: the listed folder.
        files: audio files, sorted.
        hidden: number of hidden audio files and folders.
        undecodable: audio and video files in formats that libsndfile does not decode. A file is
            not listed here if its folder has a decodable file that differs only in the suffix.
        closed: folders without read permission.
        repeated: links to folders that are already listed or that contain the root.
        special: pipes, sockets and devices whose names have the suffix of an audio file.
    """

    root: str
    files: list[str] = field(default_factory=list)
    hidden: int = 0
    undecodable: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)

    def warnings(self) -> list[str]:
        """Return a sentence for each kind of left-out file that the user may have wanted to use."""
        found = []
        if self.undecodable:
            counts = Counter(os.path.splitext(path)[1].lower() for path in self.undecodable)
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common())
            first = os.path.join(self.root, self.undecodable[0])
            command = f"ffmpeg -i {shlex.quote(first)} {shlex.quote(os.path.splitext(first)[0] + '.flac')}"
            found.append(
                f"left out files of formats that cannot be decoded ({kinds}). Convert each: "
                f"{command}",
            )
        if self.closed:
            found.append(f"passed over {_some(self.closed, 'folder')} that may not be read")
        if self.special:
            found.append(
                "left out "
                f"{_some(self.special, 'pipe, socket or device', 'pipes, sockets or devices')}",
            )
        return [f"In {self.root}: {sentence}" for sentence in found]

    def notes(self) -> list[str]:
        """Return a sentence for each kind of file that is always left out."""
        found = []
        if self.hidden:
            found.append(
                f"left out {self.hidden} hidden audio file{'s' * (self.hidden != 1)} or "
                f"folder{'s' * (self.hidden != 1)}",
            )
        if self.repeated:
            found.append(
                f"did not follow {_some(self.repeated, 'link')} to folders that are listed "
                "already, or that lie above",
            )
        return [f"In {self.root}: {sentence}" for sentence in found]


def list_audio(root: str | Path) -> Listing:
    """List the audio files under a folder, at any depth.

    Raises:
        UserError: if the folder itself cannot be read.
    """
    root = text_of(root)
    listing, seen, other = Listing(root), _above(root), []
    folders: list[str] = [""]
    links: list[str] = []
    while folders or links:
        # Follow links last, because the target of a link may also be below the root.
        at = folders.pop() if folders else links.pop(0)
        if (identity := _identity(os.path.join(root, at))) in seen:
            listing.repeated.append(at)
            continue
        seen.add(identity)
        try:
            with os.scandir(system_path(os.path.join(root, at))) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if not at:
                raise UserError(
                    f"The folder may not be read ({error.strerror}).\nIn: {root}",
                ) from error
            listing.closed.append(at)
            continue
        for entry in entries:
            name = text_of(entry.name)
            path, suffix = f"{at}/{name}" if at else name, os.path.splitext(name)[1].lower()
            if name.startswith("."):
                listing.hidden += suffix in AUDIO_SUFFIXES or _is(entry.is_dir)
            elif _is(entry.is_dir):
                (links if entry.is_symlink() else folders).append(path)
            elif suffix in AUDIO_SUFFIXES:
                # A broken link is listed like a file. The error is raised when it is read.
                taken = _is(entry.is_file) or (
                    entry.is_symlink() and not os.path.exists(entry.path)
                )
                (listing.files if taken else listing.special).append(path)
            elif suffix in OTHER_AUDIO_SUFFIXES:
                other.append(path)
        links.sort()
    listing.files.sort()
    there = {os.path.splitext(path)[0] for path in listing.files}
    listing.undecodable = sorted(path for path in other if os.path.splitext(path)[0] not in there)
    return listing


def tell(listing: Listing) -> None:
    """Log which files a listing leaves out. Each sentence is logged once per process."""
    for level, sentences in (
        (logging.WARNING, listing.warnings()),
        (logging.INFO, listing.notes()),
    ):
        for sentence in sentences:
            if sentence not in _told:
                _told.add(sentence)
                log.log(level, "%s", sentence)


def audio_files(inputs: Iterable[str | Path]) -> tuple[list[str], list[Listing]]:
    """Find the audio files among files and folders.

    A file given by name may have any suffix. Folders are listed by `list_audio`.

    Returns:
        The files, each once, and the listings of the folders.

    Raises:
        UserError: for a path that does not exist, or if no audio files are found.
    """
    found: dict[str, None] = {}
    listings = []
    for given in map(text_of, inputs):
        place = system_path(given)
        if not os.path.lexists(place):
            raise UserError(f"No such file or folder: {given}")
        if not os.path.isdir(place):
            found[given] = None
            continue
        listings.append(list_audio(given))
        found |= dict.fromkeys(os.path.join(given, path) for path in listings[-1].files)
    if not found:
        raise UserError(no_audio(listings))
    return list(found), listings


def no_audio(listings: list[Listing]) -> str:
    """Return the error message for folders without audio files, with the reason if it is known."""
    told = [
        sentence for listing in listings for sentence in (*listing.warnings(), *listing.notes())
    ]
    remedy = (
        told[0]
        if told
        else f"Audio files end in {', '.join(AUDIO_SUFFIXES[:8])}, ..., at any depth."
    )
    return f"The folder holds no audio.\nLooked in: {', '.join(listing.root for listing in listings)}\n{remedy}"


def _above(root: str) -> set[tuple[int, int]]:
    """Return device and inode of all parent folders of a folder."""
    path = os.path.realpath(system_path(root))
    found = set()
    while (parent := os.path.dirname(path)) != path:
        path = parent
        found.add(_identity(path))
    return found


def _identity(path: str | bytes) -> tuple[int, int]:
    try:
        status = os.stat(system_path(path))
    except OSError:
        return (-1, hash(path))
    return status.st_dev, status.st_ino


def _is(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:  # for example a link to itself
        return False


def _some(paths: list[str], one: str, many: str = "") -> str:
    names = ", ".join(paths[:_NAMED]) + (", ..." if len(paths) > _NAMED else "")
    return f"{len(paths)} {one if len(paths) == 1 else many or one + 's'} ({names})"
