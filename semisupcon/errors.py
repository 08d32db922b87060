"""Errors for users. A message has at most three lines: the mistake, its place, and the remedy.

The commands print them without a traceback and exit with status 2. Other exceptions are defects of
semisupcon and keep their traceback.
"""

from collections.abc import Iterable
from difflib import SequenceMatcher
from pathlib import Path


class UserError(ValueError):
    """An error that the user can fix. Commands print only its text."""


class ConfigError(UserError):
    """An invalid setting, or an invalid combination of settings."""


class DatasetNotFoundError(UserError):
    """A data set, or a part of it, is not at the given path.

    Args:
        what: the data set or file that is missing.
        where: the path that was searched.
        remedy: what to do, as a sentence.
    """

    def __init__(self, what: str, where: str | Path, remedy: str):
        super().__init__(f"{what} not found.\nLooked for: {where}\n{remedy}")


class AnnotationError(UserError):
    """An annotation file has content that cannot be read.

    Args:
        file: the file.
        line: line number, from 1; None for the whole file.
        problem: what is wrong, as a sentence.
        remedy: what to do, as a sentence.
    """

    def __init__(self, file: str | Path, line: int | None, problem: str, remedy: str):
        place = f"{file}, line {line}" if line is not None else f"{file}"
        super().__init__(f"{problem}\nIn: {place}\n{remedy}")


class AudioError(UserError):
    """An audio file cannot be read, or is too short.

    Args:
        message: complete error message.
        problem: the reason alone, for lists of files; by default the first line of the message.
    """

    def __init__(self, message: str, problem: str = ""):
        super().__init__(message)
        self.problem = problem or message.splitlines()[0]


class DiskError(UserError):
    """A file cannot be written: the disk is full, read-only or broken."""


class CheckpointError(UserError):
    """A checkpoint is missing, damaged or unsafe, or belongs to another model."""


def closest(name: str, options: Iterable[str], cutoff: float = 0.5) -> str | None:
    """Return the option most similar to ``name``, or None.

    Case, hyphens and underscores are ignored. Options that begin with the name, or are its
    initials, come before options with a similar spelling.

    Args:
        name: the given name.
        options: valid options. If several are equally similar, the first one is returned.
        cutoff: minimum similarity, 0 to 1, by `difflib.SequenceMatcher.ratio`.
    """
    plain: dict[str, str] = {}
    for option in options:
        plain.setdefault(_plain(option), option)
    written = _plain(name)
    found = [o for o in plain if o == written] or [
        o for o in plain if len(written) > 2 and o.startswith(written)
    ]
    found = found or [
        o for o, option in plain.items() if _initials(name) == o or _initials(option) == written
    ]
    if found or not plain:
        return plain[found[0]] if found else None
    alike = {option: SequenceMatcher(None, option, written).ratio() for option in plain}
    best = max(alike, key=alike.__getitem__)
    return plain[best] if alike[best] >= cutoff else None


def first_line(error: BaseException, most: int) -> str:
    """Return the first line of an exception's message, cut to ``most`` characters.

    If the message is empty, return the name of the exception type.
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]


def nearest(name: str, options: Iterable[str]) -> str:
    """Return the sentence " Did you mean 'x'?" with the option most similar to ``name``.

    The result is empty if no option is similar.
    """
    found = closest(name, options)
    return f" Did you mean '{found}'?" if found is not None else ""


def import_failure(error: BaseException) -> str:
    """Describe why an import path of the user cannot be imported.

    For a module that Python does not find, the text also gives the remedy.
    """
    said = first_line(error, 200)
    if isinstance(error, ModuleNotFoundError):
        said += ".\nSet PYTHONPATH to the folder that holds the module, or run `python -m semisupcon` in that folder"
    return f"{said}."


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _initials(name: str) -> str | None:
    words = name.lower().replace("-", "_").split("_")
    return "".join(word[:1] for word in words) if len(words) > 1 else None
