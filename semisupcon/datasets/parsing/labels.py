"""Convert labels in text form to float32 targets. A missing label becomes a NaN row."""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from semisupcon.datasets.parsing.reading import place
from semisupcon.errors import AnnotationError, ConfigError, nearest

_MARKS = (",", ";", "|", "/", "\t", " ")  # common separators of labels


def one_hot(labels: pd.Series | Sequence, classes: Sequence[str]) -> np.ndarray:
    """Convert one label per row to targets ``[n, C]`` float32; None and NaN give a NaN row.

    Raises:
        AnnotationError: if a label is not in ``classes``. The message has file and line if they are
            known.
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
    """Convert lists of labels to targets ``[n, C]`` float32.

    None gives a NaN row (unlabelled). An empty list gives a zero row.

    Raises:
        AnnotationError: if a label is not in ``classes`` and ``ignore_others`` is not set.
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
    """Split each cell of a column into labels without surrounding spaces; an empty cell gives None.

    Args:
        cells: column of texts.
        separator: separator of the labels of a cell.
        check: whether to reject cells that seem to use another separator, because they would become
            separate classes. These are cells that contain another common separator, if their parts
            are labels of other cells or if no cell contains ``separator``.

    Raises:
        ConfigError: if the separator is empty.
        AnnotationError: if a cell uses another separator. The message has file and line.
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
    """Convert C columns of the texts 0 and 1 to float32 ``[n, C]``.

    Raises:
        AnnotationError: if a cell has another value. The message has file, line and column.
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
    """Parse texts such as ``[0.0, 1.0, ...]`` as float32 ``[n, length]`` of zeros and ones.

    Raises:
        AnnotationError: if a list has another length or other numbers. The message has file and
            line.
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
        AnnotationError: if a field is not a finite number, or is outside ``low``..``high``
            (inclusive). The message has file and line.
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
