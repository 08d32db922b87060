"""Paths: audio suffixes, names that are not UTF-8, names in untrusted files, cache folder."""

import os
import re
from pathlib import Path

from semisupcon.errors import UserError

# Formats that libsndfile decodes, in order of preference for clips with files in several formats.
# Suffixes of other kinds of files (.mat, .htk, .mpc, .iff, .raw, .sf) are left out; such files can
# be given one by one.
AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".opus", ".oga", ".aifc", ".au"),
    *(".snd", ".caf", ".w64", ".rf64", ".bwf", ".wave", ".mp2", ".mp1", ".mpga", ".sph"),
    *(".nist", ".voc", ".avr", ".ircam", ".8svx", ".svx", ".paf", ".pvf", ".wve", ".xi"),
    ".sds",
)
# Audio, and video that may hold audio, that libsndfile does not decode.
OTHER_AUDIO_SUFFIXES = (
    *(".m4a", ".m4b", ".aac", ".mp4", ".wma", ".asf", ".webm", ".mka", ".mkv", ".3gp"),
    *(".amr", ".ac3", ".eac3", ".dts", ".ape", ".wv", ".tta", ".spx", ".dsf", ".dff"),
    *(".ra", ".rm"),
)
_FOREIGN = re.compile("[\uef80-\uefff]")


def cache_folder() -> Path:
    """Folder for files that can be computed again.

    ``$SEMISUPCON_CACHE``, else ``semisupcon`` in ``$XDG_CACHE_HOME``, else ``~/.cache/semisupcon``.
    A leading ``~`` is expanded.
    """
    if own := os.environ.get("SEMISUPCON_CACHE"):
        return Path(os.path.expanduser(own))
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "semisupcon"
    except RuntimeError:  # The user has no home folder, so nothing can be cached.
        return Path(os.devnull) / "semisupcon"


def text_of(path: str | bytes | Path) -> str:
    """Convert a path to valid text for tables, hashes and terminals; bytes that are not UTF-8
    become private-use characters.

    Bytes 0x80 to 0xFF become U+EF80 to U+EFFF. `system_path` converts back.
    """
    return "".join(
        chr(ord(c) - 0xDC00 + 0xEF00) if "\udc80" <= c <= "\udcff" else c for c in os.fsdecode(path)
    )


def system_path(path: str | bytes | Path) -> bytes:
    """The operating system's name of a file, from the output of `text_of` or from any path."""
    text = os.fsdecode(path)
    if _FOREIGN.search(text) and not os.path.lexists(text):
        text = _FOREIGN.sub(lambda m: chr(ord(m[0]) - 0xEF00 + 0xDC00), text)
    return os.fsencode(text)


def inside(folder: Path, name: str, what: str) -> Path:
    """The path of a file that another file names, in the same folder or below.

    Raises:
        UserError: if the name leads out of the folder.
    """
    path = Path(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise UserError(
            f"{what} names the file {name!r}, which is outside its folder; it was not opened.\nIn: "
            f"{folder}"
        )
    return folder / path
