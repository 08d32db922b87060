"""Convert written labels to float32 targets, with a NaN row for a missing label."""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from semisupcon.datasets.parsing.reading import place
from semisupcon.errors import AnnotationError, ConfigError, nearest

_MARKS = (",", ";", "|", "/", "\t", " ")  # common separators of labels


def one_hot(labels: pd.Series | Sequence, classes: Sequence[str]) -> np.ndarray:
    """Return targets ``[n, C]`` float32 with a one for each label; None and NaN give a NaN row.

    Raises:
        AnnotationError: for a label outside ``classes``, with file and line if known.
    """
    labels = labels if isinstance(labels, pd.Series) else pd.Series(list(labels), dtype=object)
    position = {name: i for i, name in enumerate(classes)}
    targets = np.zeros((len(labels), len(classes)), np.float32)
    for row, label in enumerate(labels):
        if label is None or label != label:
            targets[row] = np.nan
        elif label in position:
            targets[row, position[label]] = 1
        else:
            raise _unknown_label(labels, row, label, classes)
    return targets


def multi_hot(
    labels: pd.Series | Sequence,
    classes: Sequence[str],
    ignore_others: bool = False,
) -> np.ndarray:
    """Return targets ``[n, C]`` float32 with a one for every label of a row.

    None gives a NaN row (unlabelled), an empty list a zero row.

    Raises:
        AnnotationError: for a label outside ``classes``, unless ``ignore_others`` is set.
    """
    labels = labels if isinstance(labels, pd.Series) else pd.Series(list(labels), dtype=object)
    position = {name: i for i, name in enumerate(classes)}
    targets = np.zeros((len(labels), len(classes)), np.float32)
    for row, names in enumerate(labels):
        if names is None or names != names:
            targets[row] = np.nan
            continue
        for name in names:
            if name in position:
                targets[row, position[name]] = 1
            elif not ignore_others:
                raise _unknown_label(labels, row, name, classes)
    return targets


def label_sets(cells: pd.Series, separator: str, check: bool = True) -> pd.Series:
    """Split each cell of a column into labels without surrounding blanks; None for an empty cell.

    Args:
        cells: text.
        separator: separator of the labels of a cell.
        check: reject cells that seem to be written with another separator, which would become
            classes of their own. Such a cell contains one, and its parts are labels of other
            cells, or no cell contains ``separator``.

    Raises:
        ConfigError: for an empty separator.
        AnnotationError: for a cell with another separator, with file and line.
    """
    if not separator:
        raise ConfigError("label_separator is empty; give the separator of labels, such as ';'.")
    sets = cells.map(
        lambda text: [name.strip() for name in text.split(separator) if name.strip()] or None,
    )
    names = {name for found in sets if found for name in found}
    unused = not cells.str.contains(separator, regex=False).any()
    for other in (mark for mark in _MARKS if mark not in separator) if check else ():
        parts = {
            name: [part for part in map(str.strip, name.split(other)) if part]
            for name in names
            if other in name
        }
        several = len(
            {part for found in parts.values() for part in found} | (names - set(parts)),
        ) < len(names)
        wrong = {
            n
            for n, found in parts.items()
            if (unused and (other in ",;|" or several))
            or (other != " " and names.issuperset(found))
        }
        for row, found in enumerate(sets if wrong else ()):
            if bad := next((name for name in found or () if name in wrong), None):
                remedy = (
                    f'Give label_separator "{other}" if it separates labels, or else the classes.'
                )
                raise AnnotationError(
                    *place(cells, row),
                    f"'{bad}' has '{other}' where '{separator}' separates labels.",
                    remedy,
                )
    return sets


def _unknown_label(
    labels: pd.Series,
    row: int,
    label: object,
    classes: Sequence[str],
) -> AnnotationError:
    known = ", ".join(map(str, classes[:8])) + (", ..." if len(classes) > 8 else "")
    file, line = place(labels, row)
    remedy = f"The {len(classes)} classes are {known}.{nearest(str(label), map(str, classes))}"
    return AnnotationError(file, line, f"'{label}' is not one of the classes.", remedy)


def flags(rows: pd.DataFrame) -> np.ndarray:
    """Convert a block of 0/1 columns to float32 ``[n, C]``.

    Raises:
        AnnotationError: for any other value, with file, line and column.
    """
    text = rows.to_numpy(dtype=object)
    ones = text == "1"
    wrong = np.argwhere(~ones & (text != "0"))
    if len(wrong):
        row, column = wrong[0]
        problem = f"'{text[row, column]}' in column '{rows.columns[column]}' is neither 0 nor 1."
        raise AnnotationError(
            *place(rows, row),
            problem,
            "Correct the line, or download the file again.",
        )
    return ones.astype(np.float32)


def vectors(values: pd.Series, length: int) -> np.ndarray:
    """Parse lists such as ``[0.0, 1.0, ...]`` to float32 ``[n, length]`` of zeros and ones.

    Raises:
        AnnotationError: for a list of another length, or with other numbers, with file and line.
    """
    result = np.zeros((len(values), length), np.float32)
    for row, text in enumerate(values):
        try:
            vector = json.loads(text)
        except (ValueError, RecursionError):
            vector = None
        if (
            not isinstance(vector, list)
            or len(vector) != length
            or any(value not in (0, 1) for value in vector)
        ):
            raise AnnotationError(
                *place(values, row),
                f"Not a list of {length} zeros and ones.",
                "Correct the line, or download the file again.",
            )
        result[row] = vector
    return result


def numbers(values: pd.Series, low: float | None = None, high: float | None = None) -> np.ndarray:
    """Parse a column as float64 ``[n]``; an empty field is NaN.

    Raises:
        AnnotationError: for a field that is not a finite number, or outside ``low``..``high``
            (inclusive), with file and line.
    """
    result = np.full(len(values), np.nan)
    for row, text in enumerate(values):
        if text is None or text != text or text == "":
            continue
        try:
            result[row] = float(text)
        except (TypeError, ValueError):
            result[row] = np.inf
        if not np.isfinite(result[row]):
            problem, remedy = (
                f"'{text}' in column '{values.name}' is not a number.",
                "Write a finite number, or nothing.",
            )
            raise AnnotationError(*place(values, row), problem, remedy)
        if (low is not None and result[row] < low) or (high is not None and result[row] > high):
            bounds = f"{'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'}"
            raise AnnotationError(
                *place(values, row),
                f"{values.name} is {text}.",
                f"It must lie in {bounds}; correct the line.",
            )
    return result
