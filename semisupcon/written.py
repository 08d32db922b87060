"""Scalars of YAML with the text that was written: ``yes``, ``007`` and ``1e3`` may be names.

YAML reads ``[yes, on, 007]`` as true, true and 7. Whether a value or a name is meant depends on the option, which is known later. Until
then a scalar is a `Scalar`, or, where it passes through a parser that reads text as YAML once more, text after a mark (`marked`).
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

# What follows these is percent-encoded, so that nothing in it means something in YAML.
QUOTED, PLAIN = "<text>", "<plain>"
_HOME = re.compile(r"(?P<name>[^/=~]+=)?(?P<path>~[^/]*/.*)", re.DOTALL)


@dataclass(frozen=True)
class Scalar:
    """A plain scalar that YAML reads as something else than its text."""

    text: str
    value: Any


class Text(str):
    """Text that YAML would read as something else, and that is not to be read as YAML again."""

    __slots__ = ()


def resolved(given: Any, scalar: Callable[[Scalar], Any] = lambda scalar: scalar.value) -> Any:
    """Nested mappings and lists with what ``scalar`` makes of each `Scalar`, by default the value that YAML reads.

    Keys are names: of true, false and null they are the text. Those that YAML reads as numbers stay numbers.
    """
    if isinstance(given, Scalar):
        return scalar(given)
    if isinstance(given, list):
        return [resolved(item, scalar) for item in given]
    return {_key(name): resolved(value, scalar) for name, value in given.items()} if isinstance(given, dict) else given


def as_text(given: Any) -> Any:
    """The same with every `Scalar` as it was written, keys too; null stays null where it stands alone."""
    if isinstance(given, Scalar):
        return None if given.value is None else given.text
    if isinstance(given, list):
        return [item.text if isinstance(item, Scalar) else as_text(item) for item in given]
    return {getattr(name, "text", name): as_text(value) for name, value in given.items()} if isinstance(given, dict) else given


def marked(given: Any) -> Any:
    """The same with every scalar as marked text, which no parser reads as a number; what is marked stays."""
    if isinstance(given, Scalar):
        return PLAIN + quote(given.text, safe="")
    if isinstance(given, str):
        return given if given.startswith((QUOTED, PLAIN)) else QUOTED + quote(given, safe="")
    if isinstance(given, list):
        return list(map(marked, given))
    if isinstance(given, dict):
        return {marked(name) if isinstance(name, Scalar) else name: marked(value) for name, value in given.items()}
    return given


def unmarked(given: Any, read: Callable[[str], Any]) -> Any:
    """Marked text as `Scalar` where it was plain, else as text; ``read`` gives the value that YAML reads. Keys are text."""
    if isinstance(given, str) and given.startswith((QUOTED, PLAIN)):
        text = _text(given)
        return Scalar(text, read(text)) if given.startswith(PLAIN) else text
    if isinstance(given, list | tuple):
        return [unmarked(item, read) for item in given]
    if isinstance(given, dict):
        return {_text(name) if isinstance(name, str) else name: unmarked(value, read) for name, value in given.items()}
    return given


def unmarked_text(text: str) -> str:
    """Text without marks, for messages."""
    return re.sub(f"(?:{QUOTED}|{PLAIN})[\\w.~%-]*", lambda found: _text(found[0]), text)


def _text(given: str) -> str:
    mark = next((mark for mark in (QUOTED, PLAIN) if given.startswith(mark)), None)
    return given if mark is None else unquote(given[len(mark) :])


def at_home(given: Any) -> Any:
    """The same with the home folder for a leading ``~/`` (also in ``NAME=~/...``), in nested mappings and lists."""
    if isinstance(given, Path):
        return type(given)(at_home(str(given)))
    if isinstance(given, str):
        if "~" not in given or not (found := _HOME.fullmatch(given)):
            return given
        return (found["name"] or "") + os.path.expanduser(found["path"])
    if isinstance(given, list):
        changed = list(map(at_home, given))
        return given if changed == given else type(given)(changed)
    return {name: at_home(value) for name, value in given.items()} if type(given) is dict else given


def _key(name: Any) -> Any:
    if not isinstance(name, Scalar):
        return name
    return name.text if name.value is None or isinstance(name.value, bool) else name.value
