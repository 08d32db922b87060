"""Convert the labels of items, which have any type, to targets."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from semisupcon.datasets.base import Kind
from semisupcon.datasets.parsing.labels import multi_hot, one_hot
from semisupcon.errors import UserError


class Labels(NamedTuple):
    """Targets ``[n, C]`` float32 (a NaN row is unlabelled), C class names, and the label kind."""

    targets: np.ndarray
    classes: tuple[str, ...]
    kind: Kind | None


def no_labels(count: int) -> Labels:
    """Return the labels of ``count`` items without classes."""
    return Labels(np.zeros((count, 0), np.float32), (), None)


def labels_of(
    values: Sequence[Any],
    names: Sequence[str],
    label: str,
    where: str,
    classes: Sequence[str] | None = None,
) -> Labels:
    """Convert labels of items to targets. The type of the labels determines their kind.

    Texts, integers and booleans are one class per item (multiclass). Lists of them are any number
    of classes per item (multilabel). Floating-point numbers are one value (regression). None and
    NaN are unlabelled items.

    Args:
        values: label of each item.
        names: name of each item, for messages.
        label: name of the column or field with the labels, for messages.
        where: place of the data, for messages.
        classes: class names in the order of the targets. None sorts the names that occur; names of
            integers are sorted by number. With ``classes``, an integer is a position in them.

    Raises:
        UserError: if labels have another type or several types, if a label is not in ``classes``,
            or if no item is labelled.
    """
    kind: Kind | None = None
    plain: list[Any] = []
    for value, name in zip(values, names, strict=True):
        if isinstance(value, Real) and value != value:
            value = None
        own, simple = _simple(value, classes)
        if value is not None and own is None:
            raise UserError(
                f"'{label}' of {name} is of type {type(value).__name__}, not a label: a text, a "
                f"number, or a list of them.\nIn: {where}"
            )
        if own is not None and kind not in (None, own):
            raise UserError(
                f"'{label}' of {name} is {own}, but earlier items are {kind}.\nIn: {where}\nGive "
                "all items labels of one type."
            )
        kind = own or kind
        plain.append(simple)
    if kind is None:
        raise UserError(f"No item has a label in '{label}'.\nIn: {where}")
    if kind == "regression":
        numbers = [[np.nan if value is None else value] for value in plain]
        return Labels(np.array(numbers, np.float32), (label,), kind)
    found = {name for value in plain for name in _each(value)}
    wanted = tuple(map(str, classes)) if classes else tuple(sorted(found, key=_by_number))
    if unknown := found - set(wanted):
        raise UserError(
            f"The label '{min(unknown)}' in '{label}' is not one of the {len(wanted)} classes "
            f"{', '.join(wanted[:8])}{', ...' * (len(wanted) > 8)}.\nIn: {where}"
        )
    convert = one_hot if kind == "multiclass" else multi_hot
    return Labels(convert(plain, wanted), wanted, kind)


def _simple(value: Any, classes: Sequence[str] | None) -> tuple[Kind | None, Any]:
    """Return the kind of a label, and the label with class names as text; None if it is invalid."""
    if isinstance(value, np.ndarray) or type(value).__module__.partition(".")[0] == "torch":
        value = value.tolist()
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str | bool | np.bool_):
        return "multiclass", str(value)
    if isinstance(value, Integral):
        inside = classes is not None and 0 <= int(value) < len(classes)
        return "multiclass", str(classes[int(value)] if classes and inside else int(value))
    if isinstance(value, Real):
        return "regression", float(value)
    if isinstance(value, list | tuple | set):
        parts = [_simple(part, classes) for part in value]
        good = all(kind == "multiclass" for kind, _ in parts)
        return ("multilabel", [name for _, name in parts]) if good else (None, None)
    return None, None


def _each(value: Any) -> list[str]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _by_number(name: str) -> tuple[int, int, str]:
    digits = name.removeprefix("-")
    number = digits.isascii() and digits.isdigit() and len(name) < 19
    return (0, int(name), name) if number else (1, 0, name)
