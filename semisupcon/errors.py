"""What we say to a person: errors that name what was wrong, where, and what to do, in three lines at most.

The entry points print these without a traceback and exit with status 2; anything else is a defect of ours and keeps its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches
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
    """An audio file that cannot be read, or is too short for what is asked of it."""


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged, unsafe, or of another model."""


def nearest(name: str, options: Iterable[str]) -> str:
    """The sentence " Did you mean 'x'?" for the option closest to ``name``, or an empty string when none is close."""
    close = get_close_matches(name, list(options), n=1, cutoff=0.5)
    return f" Did you mean '{close[0]}'?" if close else ""
