"""Helpers for paths: audio suffixes, names that are not UTF-8, untrusted names, cache folder."""

import os
import re
from pathlib import Path

from semisupcon.errors import UserError

# Suffixes of formats that libsndfile decodes. If a clip has files in several formats, the first
# format in this list is used. Suffixes that other kinds of files also have (.mat, .htk, .mpc, .iff,
# .raw, .sf) are left out; users can give such files one by one.
AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".opus", ".oga", ".aifc", ".au"),
    *(".snd", ".caf", ".w64", ".rf64", ".bwf", ".wave", ".mp2", ".mp1", ".mpga", ".sph"),
    *(".nist", ".voc", ".avr", ".ircam", ".8svx", ".svx", ".paf", ".pvf", ".wve", ".xi"),
    ".sds",
)
# Suffixes of audio and video formats that libsndfile does not decode.
OTHER_AUDIO_SUFFIXES = (
    *(".m4a", ".m4b", ".aac", ".mp4", ".wma", ".asf", ".webm", ".mka", ".mkv", ".3gp"),
    *(".amr", ".ac3", ".eac3", ".dts", ".ape", ".wv", ".tta", ".spx", ".dsf", ".dff"),
    *(".ra", ".rm"),
)
_FOREIGN = re.compile("[\uef80-\uefff]")


def cache_folder() -> Path:
    """Return the folder for cached files, which can be computed again.

    It is ``$SEMISUPCON_CACHE`` if set, else ``semisupcon`` in ``$XDG_CACHE_HOME``, else
    ``~/.cache/semisupcon``. A leading ``~`` is expanded.
    """
    if own := os.environ.get("SEMISUPCON_CACHE"):
        return Path(os.path.expanduser(own))
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "semisupcon"
    except RuntimeError:  # The user has no home folder, so nothing can be cached.
        return Path(os.devnull) / "semisupcon"


def text_of(path: str | bytes | Path) -> str:
    """Convert a path to valid Unicode text for tables, hashes and terminals.

    Bytes that are not UTF-8 (0x80 to 0xFF) become the private-use characters U+EF80 to U+EFFF.
    `system_path` converts back.
    """
    return "".join(
        chr(ord(c) - 0xDC00 + 0xEF00) if "\udc80" <= c <= "\udcff" else c for c in os.fsdecode(path)
    )


def system_path(path: str | bytes | Path) -> bytes:
    """Return the file name of the operating system for any path or for the output of `text_of`."""
    if isinstance(path, str) and path.isascii():
        return path.encode()
    text = os.fsdecode(path)
    if _FOREIGN.search(text) and not os.path.lexists(text):
        text = _FOREIGN.sub(lambda m: chr(ord(m[0]) - 0xEF00 + 0xDC00), text)
    return os.fsencode(text)


def inside(folder: Path, name: str, what: str) -> Path:
    """Return the path of a file in ``folder``, or in a subfolder, that an untrusted file names.

    Raises:
        UserError: if the named file is outside the folder.
    """
    path = Path(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise UserError(
            f"{what} names the file {name!r}, which is outside its folder; it was not opened.\nIn: "
            f"{folder}"
        )
    return folder / path
