"""YAML scalars that keep their original text, because ``yes``, ``007`` and ``1e3`` may be names.

YAML reads ``[yes, on, 007]`` as true, true and 7. The type of the option decides between value and
name, but it is known only later. Until then, the scalar is stored as a `Scalar`. If it passes
through a parser that reads text as YAML again, it is stored as marked text (`marked`).
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

# Prefixes of marked text. The text after them is percent-encoded and thus has no special characters
# of YAML.
QUOTED, PLAIN = "<text>", "<plain>"
_HOME = re.compile(r"(?P<name>[^/=~]+=)?(?P<path>~[^/]*/.*)", re.DOTALL)


@dataclass(frozen=True)
class Scalar:
    """A plain YAML scalar that is a number, boolean or null, with its original text."""

    text: str
    value: Any


class Text(str):
    """Text that must not be parsed as YAML again, because YAML would read a number, boolean or
    null.
    """

    __slots__ = ()


def resolved(given: Any, scalar: Callable[[Scalar], Any] = lambda scalar: scalar.value) -> Any:
    """Replace each `Scalar` in nested mappings and lists by ``scalar(s)``, by default its YAML
    value.

    Keys of mappings are names, so keys that YAML reads as true, false or null become text. Keys
    that are numbers remain numbers.
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
    """Replace each `Scalar` by its text, also in keys. Null remains null, except in lists."""
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
    """Replace every scalar by marked text, which YAML parsers do not read as a number.

    Text that is already marked is unchanged.
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
    """Convert marked text to a `Scalar` (for plain scalars) or to text.

    ``read`` parses text as YAML. Keys of mappings become text.
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
    """Replace marked text in a message by the original text."""
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
