"""YAML scalars with their original text: ``yes``, ``007`` and ``1e3`` may be names.

YAML reads ``[yes, on, 007]`` as true, true and 7. Whether a value or a name is meant depends on the
type of the option, which is known later. Until then, a scalar is a `Scalar`, or marked text
(`marked`) if it passes through a parser that reads text as YAML again.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

# Marks before percent-encoded text, which has no characters with a meaning in YAML.
QUOTED, PLAIN = "<text>", "<plain>"
_HOME = re.compile(r"(?P<name>[^/=~]+=)?(?P<path>~[^/]*/.*)", re.DOTALL)


@dataclass(frozen=True)
class Scalar:
    """A plain scalar that YAML reads as another type than text."""

    text: str
    value: Any


class Text(str):
    """Text that YAML would read as another type, and that must not be parsed as YAML again."""

    __slots__ = ()


def resolved(given: Any, scalar: Callable[[Scalar], Any] = lambda scalar: scalar.value) -> Any:
    """Replace each `Scalar` in nested mappings and lists by ``scalar(it)``, by default its YAML
    value.

    Keys are names: keys that YAML reads as true, false or null become text. Numbers stay numbers.
    """
    if isinstance(given, Scalar):
        return scalar(given)
    if isinstance(given, list):
        return [resolved(item, scalar) for item in given]
    return (
        {_key(name): resolved(value, scalar) for name, value in given.items()}
        if isinstance(given, dict)
        else given
    )


def as_text(given: Any) -> Any:
    """Replace each `Scalar` by its text, also in keys; null stays null unless it is in a list."""
    if isinstance(given, Scalar):
        return None if given.value is None else given.text
    if isinstance(given, list):
        return [item.text if isinstance(item, Scalar) else as_text(item) for item in given]
    return (
        {getattr(name, "text", name): as_text(value) for name, value in given.items()}
        if isinstance(given, dict)
        else given
    )


def marked(given: Any) -> Any:
    """Replace every scalar by marked text, which no parser reads as a number; marked text is
    unchanged.
    """
    if isinstance(given, Scalar):
        return PLAIN + quote(given.text, safe="")
    if isinstance(given, str):
        return given if given.startswith((QUOTED, PLAIN)) else QUOTED + quote(given, safe="")
    if isinstance(given, list):
        return list(map(marked, given))
    if isinstance(given, dict):
        return {
            marked(name) if isinstance(name, Scalar) else name: marked(value)
            for name, value in given.items()
        }
    return given


def unmarked(given: Any, read: Callable[[str], Any]) -> Any:
    """Convert marked text to `Scalar` (plain scalars) or text; ``read`` returns the YAML value.

    Keys become text.
    """
    if isinstance(given, str) and given.startswith((QUOTED, PLAIN)):
        text = _text(given)
        return Scalar(text, read(text)) if given.startswith(PLAIN) else text
    if isinstance(given, list | tuple):
        return [unmarked(item, read) for item in given]
    if isinstance(given, dict):
        return {
            _text(name) if isinstance(name, str) else name: unmarked(value, read)
            for name, value in given.items()
        }
    return given


def unmarked_text(text: str) -> str:
    """Remove marks from a text, for messages."""
    return re.sub(f"(?:{QUOTED}|{PLAIN})[\\w.~%-]*", lambda found: _text(found[0]), text)


def _text(given: str) -> str:
    mark = next((mark for mark in (QUOTED, PLAIN) if given.startswith(mark)), None)
    return given if mark is None else unquote(given[len(mark) :])


def at_home(given: Any) -> Any:
    """Expand a leading ``~/`` (also in ``NAME=~/...``) in text, paths, mappings and lists."""
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
