"""Convert the options of a task by the type hints of its function."""

import inspect
import re
import types
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from semisupcon.configuration import read_value
from semisupcon.errors import ConfigError, nearest
from semisupcon.written import Scalar, at_home, resolved, unmarked

_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
_LISTS = (list, tuple, set, frozenset, Iterable)
COMMON = {"root": str | None, "max_missing": float}  # options that all tasks have
_NEITHER = object()  # result for a value that a type does not accept


def read_options(
    task: str,
    function: Callable | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Convert the options of a task by `typed_options`, and those in `COMMON`, which all tasks
    have.

    If the function is None, the options of the task get their YAML values.
    """
    own = {name: value for name, value in options.items() if name not in COMMON}
    common = {
        name: _typed(task, name, COMMON[name], value, None)
        for name, value in options.items()
        if name in COMMON
    }
    typed = (
        typed_options(task, function, own)
        if function is not None
        else resolved(unmarked(own, read_value))
    )
    return {name: (common if name in common else typed)[name] for name in options}


def typed_options(task: str, function: Callable, options: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the options of a task by the type hints of its function.

    Args:
        task: name of the task, for messages.
        function: function of the task. Its first argument is the root, the others are its options.
        options: options as values, or as `Scalar` or marked text (`semisupcon.written`), which keep
            the original text.

    Raises:
        ConfigError: if an option is unknown or has a value of the wrong type.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"Task '{task}' is not a function from a folder to LabelledClips: {error}",
        ) from error
    if not parameters:
        raise ConfigError(
            f"The function of task '{task}' takes no argument; its first is the folder of the data "
            "set.",
        )
    parameters = parameters[1:]
    known = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
    try:
        hints = get_type_hints(function)
    except Exception:  # type hints may have undefined names
        hints = {}
    for name in options:
        if name not in known and len(known) == len(parameters):
            raise ConfigError(
                f"Task '{task}' has no option '{name}'.{nearest(name, known)} It takes: "
                f"{sorted(known) or 'none'}",
            )
    defaults = {p.name: p.default for p in parameters}
    return {
        name: _typed(task, name, hints.get(name, Any), value, defaults.get(name))
        for name, value in options.items()
    }


def _typed(task: str, name: str, hint: Any, given: Any, default: Any) -> Any:
    given = unmarked(given, read_value)
    found = read_as(hint, given)
    if found is _NEITHER:
        value = resolved(given)
        if value is None and default is None:
            return None
        said = given.text if isinstance(given, Scalar) else value
        if get_origin(hint) is Literal:
            raise ConfigError(
                f"{name} is one of {', '.join(map(str, get_args(hint)))}; got '{said}' (for task "
                f"'{task}').",
            )
        quotes = (
            " Write names in quotes."
            if any(
                isinstance(item, bool) for item in (value if isinstance(value, list) else [value])
            )
            else ""
        )
        raise ConfigError(
            f"Option '{name}' of task '{task}' does not take '{said}'. It takes "
            f"{takes(hint)}.{quotes}",
        )
    return at_home(found)


def takes(hint: Any) -> str:
    """Return a text that describes the values that a type accepts."""
    parts = _members(hint)
    words = (
        "a mapping"
        if _is_mapping(part)
        else "a list"
        if _is_list(part)
        else _WORDS.get(part, str(part))
        for part in parts
    )
    return " or ".join(dict.fromkeys(words))


def read_as(hint: Any, given: Any) -> Any:
    """Convert a value to a type; return ``_NEITHER`` if the type does not accept it.

    If a type accepts text and numbers, text has priority. For a list, a text is split at commas,
    and a single name is a list with one element.
    """
    members = _members(hint)
    if Any in members or object in members or any(isinstance(member, str) for member in members):
        return resolved(given)
    text, value = (given.text, given.value) if isinstance(given, Scalar) else (given, given)
    if type(None) in members and value is None:
        return None
    if str in members and (found := _text(text)) is not _NEITHER:
        return found
    for member in members:
        if (found := _read_one(member, text, value, given)) is not _NEITHER:
            return found
    return _NEITHER


def _members(hint: Any) -> tuple:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _is_list(hint: Any) -> bool:
    origin = get_origin(hint) or hint
    return (
        isinstance(origin, type)
        and issubclass(origin, _LISTS)
        and not issubclass(origin, str | Mapping)
    )


def _is_mapping(hint: Any) -> bool:
    origin = get_origin(hint) or hint
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _read_one(hint: Any, text: Any, value: Any, given: Any) -> Any:
    origin = get_origin(hint) or hint
    if origin is Literal:
        return next(
            (
                choice
                for choice in get_args(hint)
                if choice == text or (choice == value and type(choice) is type(value))
            ),
            _NEITHER,
        )
    if origin is bool:
        return value if isinstance(value, bool) else _NEITHER
    if origin is int:
        if isinstance(text, str):
            return int(text) if re.fullmatch(r"[+-]?\d+", text) else _NEITHER  # YAML reads 010 as 8
        return value if isinstance(value, Integral) and not isinstance(value, bool) else _NEITHER
    if origin is float:
        value = read_value(text) if isinstance(text, str) else value
        return value if isinstance(value, Real) and not isinstance(value, bool) else _NEITHER
    if _is_list(hint):
        return _read_list(hint, given)
    if _is_mapping(hint):
        return _read_mapping(hint, given)
    if hasattr(origin, "__fspath__"):
        return _NEITHER if _text(text) is _NEITHER else origin(_text(text))
    return _NEITHER if origin in (str, type(None)) else value  # accept any value for user classes


def _read_list(hint: Any, given: Any) -> Any:
    if isinstance(given, Scalar):
        given = [given]
    elif isinstance(given, str):
        given = [part.strip() for part in given.split(",") if part.strip()]
    elif not isinstance(given, Iterable) or isinstance(given, Mapping):
        given = [given]
    inner = next((kind for kind in get_args(hint) if kind is not ...), Any)
    found = [read_as(inner, item) for item in given]
    return _NEITHER if any(item is _NEITHER for item in found) else found


def _read_mapping(hint: Any, given: Any) -> Any:
    if not isinstance(given, Mapping):
        return _NEITHER
    _, inner = get_args(hint) or (Any, Any)
    found = {getattr(name, "text", name): read_as(inner, item) for name, item in given.items()}
    return _NEITHER if any(item is _NEITHER for item in found.values()) else found


def _text(value: Any) -> Any:
    """Convert a value to text; whole numbers are accepted as names, such as speaker 1089.

    true, false and 1.0 are rejected, because their original text is not known.
    """
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, Integral) and not isinstance(value, bool) else _NEITHER
