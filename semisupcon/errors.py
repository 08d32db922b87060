"""What we say to a person: errors that name what was wrong, where, and what to do, in three lines at most.

The entry points print these without a traceback and exit with status 2; anything else is a defect of ours and keeps its traceback.
"""

from collections.abc import Iterable
from difflib import SequenceMatcher
from pathlib import Path


class UserError(ValueError):
    """A mistake the person at the keyboard can mend; its text is all they see."""


class ConfigError(UserError):
    """A setting, or a combination of settings, that cannot work."""


class DatasetNotFoundError(UserError):
    """A data set, or a part of it, is not where it was looked for.

    Args:
        what: the data set or file that is missing.
        where: the path that was looked at.
        remedy: what to do about it, as a sentence.
    """

    def __init__(self, what: str, where: str | Path, remedy: str):
        super().__init__(f"{what} not found.\nLooked for: {where}\n{remedy}")


class AnnotationError(UserError):
    """An annotation file says something we cannot read.

    Args:
        file: the file.
        line: its line, counted from 1; None when the whole file is meant.
        problem: what is wrong with it.
        remedy: what to do about it, as a sentence.
    """

    def __init__(self, file: str | Path, line: int | None, problem: str, remedy: str):
        place = f"{file}, line {line}" if line is not None else f"{file}"
        super().__init__(f"{problem}\nIn: {place}\n{remedy}")


class AudioError(UserError):
    """An audio file that cannot be read, or is too short for what is asked of it.

    Args:
        message: what the user reads.
        problem: the reason alone, for lists of files.
    """

    def __init__(self, message: str, problem: str = ""):
        super().__init__(message)
        self.problem = problem or message.splitlines()[0]


class DiskError(UserError):
    """A file cannot be written: the disk is full, read-only or broken."""


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged, unsafe, or of another model."""


def closest(name: str, options: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The option that ``name`` was probably meant to be, or None.

    Case, hyphens and underscores do not count. An option that begins with the name, or is its initials, comes before one that is spelt alike.

    Args:
        name: what was written.
        options: what there is; the first of equals wins.
        cutoff: least similarity, 0 to 1, as `difflib.SequenceMatcher.ratio` gives it.
    """
    plain: dict[str, str] = {}
    for option in options:
        plain.setdefault(_plain(option), option)
    written = _plain(name)
    found = [o for o in plain if o == written] or [o for o in plain if len(written) > 2 and o.startswith(written)]
    found = found or [o for o, option in plain.items() if _initials(name) == o or _initials(option) == written]
    if found or not plain:
        return plain[found[0]] if found else None
    alike = {option: SequenceMatcher(None, option, written).ratio() for option in plain}
    best = max(alike, key=alike.__getitem__)
    return plain[best] if alike[best] >= cutoff else None


def first_line(error: BaseException, most: int) -> str:
    """The first line of what an exception says, at most so many letters; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]


def nearest(name: str, options: Iterable[str]) -> str:
    """The sentence " Did you mean 'x'?" for the option closest to ``name``, or an empty string when none is close."""
    found = closest(name, options)
    return f" Did you mean '{found}'?" if found is not None else ""


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _initials(name: str) -> str | None:
    words = name.lower().replace("-", "_").split("_")
    return "".join(word[:1] for word in words) if len(words) > 1 else None
