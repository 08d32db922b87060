"""What every data-set file needs: reading lists and tables, and turning names into targets.

Whatever is read keeps its place of origin as the index levels ``file`` and ``line``; pandas carries them through ``map``, selection and
``concat``, so that `one_hot`, far from the file, still says where a label that nobody knows was written.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from semisupcon.errors import AnnotationError, DatasetNotFoundError, nearest

SEPARATOR_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
csv.field_size_limit(1 << 24)


def find_file(root: Path, *patterns: str, source: str = "") -> Path:
    """The first file under ``root`` that one of the glob patterns names, tried in order.

    Args:
        root: folder of the data set.
        patterns: relative glob patterns, the official place first.
        source: where the file can be had; goes into the error.

    Raises:
        DatasetNotFoundError: if none exists.
    """
    if root is None or not Path(root).is_dir():
        had = f"; it can be had from {source}" if source else ""
        raise DatasetNotFoundError("The data set's folder", root, f"Give the folder that holds it{had}.")
    if (found := optional_file(root, *patterns)) is not None:
        return found
    others = f" (or {', '.join(patterns[1:])})" if len(patterns) > 1 else ""
    remedy = f"It can be had from {source}." if source else "Give the folder that holds it."
    raise DatasetNotFoundError(f"The annotation file {Path(patterns[0]).name}", f"{Path(root) / patterns[0]}{others}", remedy)


def optional_file(root: Path, *patterns: str) -> Path | None:
    """As `find_file`, but None when there is none."""
    for pattern in patterns:
        if found := sorted(path for path in Path(root).glob(pattern) if path.is_file()):
            return found[0]
    return None


def read_text(file: Path) -> str:
    """The text of a UTF-8 file, with or without a byte-order mark, line ends as they are.

    Raises:
        AnnotationError: naming the line of the first byte that is not UTF-8.
    """
    data = Path(file).read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise AnnotationError(file, line, f"Byte 0x{data[error.start]:02x} is not UTF-8 text.", "Convert the file to UTF-8.") from None


def located(values: pd.Series | pd.DataFrame, files: Sequence[str | Path] | Path, lines: Sequence[int] | None = None):
    """``values`` with the file, or files, and lines they come from as index; no lines where a label is the name of a file."""
    files = [str(file) for file in files] if not isinstance(files, str | Path) else [str(files)] * len(values)
    values.index = pd.MultiIndex.from_arrays([files, lines if lines is not None else [0] * len(values)], names=["file", "line"])
    return values


def place(rows: pd.Series | pd.DataFrame | pd.Index, position: int) -> tuple[str, int | None]:
    """File and line (None: the file as a whole) that row ``position`` was read from; the row number where it was not read from a file."""
    index = rows if isinstance(rows, pd.Index) else rows.index
    if list(index.names) != ["file", "line"]:
        return f"row {position} of the table", None
    file, line = index[position]
    return str(file), int(line) or None


def read_lines(root: Path, *patterns: str, prefix: str = "", source: str = "") -> pd.Series:
    """The lines of a list: stripped, without empty ones, each with ``prefix/`` before it where given.

    Raises:
        DatasetNotFoundError: if no file matches.
        AnnotationError: if it is empty or not UTF-8.
    """
    file = find_file(root, *patterns, source=source)
    lines = [(number, line.strip()) for number, line in enumerate(read_text(file).splitlines(), start=1) if line.strip()]
    if not lines:
        raise AnnotationError(file, None, "The list is empty.", "Fetch it again" + (f" from {source}." if source else "."))
    values = pd.Series([f"{prefix}/{line}" if prefix else line for _, line in lines], dtype=object)
    return located(values, file, [number for number, _ in lines])


def read_table(
    file: Path,
    columns: Iterable[str] = (),
    separator: str = ",",
    names: Sequence[str] | None = None,
    ragged: bool = False,
    comment: str | None = None,
) -> pd.DataFrame:
    """A table of strings, stripped of surrounding blanks.

    Args:
        file: the file.
        columns: names that must be among its columns.
        separator: between fields.
        names: the columns of a table without a header line.
        ragged: rows may be longer than the header; what is too much goes, as a list, into the column ``rest``. Rows may also be shorter.
        comment: lines that start with this are skipped.

    Raises:
        DatasetNotFoundError: if the file does not exist.
        AnnotationError: for an empty file, a missing column, a wrong separator, a row of another length, or text that is not UTF-8.
    """
    file = Path(file)
    if not file.is_file():
        raise DatasetNotFoundError(f"The annotation file {file.name}", file, "Give the folder or file that holds it.")
    # Universal newlines, but only where csv sees them: a quoted field may hold one.
    reader = csv.reader(io.StringIO(read_text(file), newline=""), delimiter=separator, skipinitialspace=True)
    rows, lines, header = [], [], [str(name) for name in names] if names else None
    try:
        for row in reader:
            if not any(field.strip() for field in row) or (comment and row[0].startswith(comment)):
                continue
            if header is None:
                header = [field.strip() for field in row]
                _check_header(file, reader.line_num, header, columns, separator)
                continue
            if not ragged and len(row) != len(header):
                problem, remedy = f"{len(row)} fields where {len(header)} are expected.", _separator_hint(row, separator, len(header))
                raise AnnotationError(file, reader.line_num, problem, remedy)
            rows.append([field.strip() for field in row])
            lines.append(reader.line_num)
    except csv.Error as error:
        raise AnnotationError(file, reader.line_num, f"Not a table: {error}.", "Check its quotes and separators.") from None
    if not rows:
        raise AnnotationError(file, None, "The table has no rows.", "Fetch or write it again.")
    if ragged:
        width = len(header)
        rows = [[*(row + [""] * width)[:width], row[width:]] for row in rows]
        header = [*header, "rest"]
    return located(pd.DataFrame(rows, columns=header, dtype=object), file, lines)


def _check_header(file: Path, line: int, header: list[str], columns: Iterable[str], separator: str) -> None:
    for column in columns:
        if column not in header:
            known = f"Its columns are: {', '.join(header[:12])}{', ...' if len(header) > 12 else ''}."
            hint = _separator_hint(header, separator, 2) if len(header) == 1 else known + nearest(column, header)
            raise AnnotationError(file, line, f"There is no column '{column}'.", hint)


def _separator_hint(row: list[str], separator: str, expected: int) -> str:
    for other, name in SEPARATOR_NAMES.items():
        if other != separator and len(row) < expected and any(other in field for field in row):
            return f"It looks separated by {name}; {SEPARATOR_NAMES.get(separator, repr(separator))} are expected."
    return f"Fields are separated by {SEPARATOR_NAMES.get(separator, repr(separator))}; mend the line."


def one_hot(labels: pd.Series | Sequence, classes: Sequence[str]) -> np.ndarray:
    """Targets ``[n, C]`` float32 with a one in the column of each label; a missing label (None, NaN) gives a NaN row.

    Raises:
        AnnotationError: for a label outside ``classes``, with its file and line when it was read from one.
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


def multi_hot(labels: pd.Series | Sequence, classes: Sequence[str], ignore_others: bool = False) -> np.ndarray:
    """Targets ``[n, C]`` float32 with a one for every label of a row; None gives a NaN row (unlabelled), an empty list a zero row.

    Raises:
        AnnotationError: for a label outside ``classes``, unless others are to be ignored.
    """
    labels = labels if isinstance(labels, pd.Series) else pd.Series(list(labels), dtype=object)
    position = {name: i for i, name in enumerate(classes)}
    targets = np.zeros((len(labels), len(classes)), np.float32)
    for row, names in enumerate(labels):
        if names is None or names is np.nan:
            targets[row] = np.nan
            continue
        for name in names:
            if name in position:
                targets[row, position[name]] = 1
            elif not ignore_others:
                raise _unknown_label(labels, row, name, classes)
    return targets


def _unknown_label(labels: pd.Series, row: int, label: object, classes: Sequence[str]) -> AnnotationError:
    known = ", ".join(map(str, classes[:8])) + (", ..." if len(classes) > 8 else "")
    file, line = place(labels, row)
    remedy = f"The {len(classes)} classes are {known}.{nearest(str(label), map(str, classes))}"
    return AnnotationError(file, line, f"'{label}' is none of the classes.", remedy)


def flags(rows: pd.DataFrame) -> np.ndarray:
    """A block of 0/1 columns as float32 ``[n, C]``.

    Raises:
        AnnotationError: for anything else in it, with file, line and column.
    """
    text = rows.to_numpy(dtype=object)
    ones = text == "1"
    wrong = np.argwhere(~ones & (text != "0"))
    if len(wrong):
        row, column = wrong[0]
        problem = f"'{text[row, column]}' in column '{rows.columns[column]}' is neither 0 nor 1."
        raise AnnotationError(*place(rows, row), problem, "Mend the line, or fetch the file again.")
    return ones.astype(np.float32)


def vectors(values: pd.Series, length: int) -> np.ndarray:
    """Lists written as ``[0.0, 1.0, ...]``, as float32 ``[n, length]`` of zeros and ones.

    Raises:
        AnnotationError: for a list of another length, or with other numbers, with file and line.
    """
    result = np.zeros((len(values), length), np.float32)
    for row, text in enumerate(values):
        try:
            vector = json.loads(text)
        except json.JSONDecodeError:
            vector = None
        if not isinstance(vector, list) or len(vector) != length or any(value not in (0, 1) for value in vector):
            raise AnnotationError(*place(values, row), f"Not a list of {length} zeros and ones.", "Mend the line, or fetch the file again.")
        result[row] = vector
    return result


def numbers(values: pd.Series, low: float | None = None, high: float | None = None) -> np.ndarray:
    """The column as float64 ``[n]``; an empty field is NaN.

    Raises:
        AnnotationError: for a field that is no finite number, or one outside ``low``..``high`` (inclusive), with file and line.
    """
    result = np.full(len(values), np.nan)
    for row, text in enumerate(values):
        if text is None or text == "":
            continue
        try:
            result[row] = float(text)
        except (TypeError, ValueError):
            result[row] = np.inf
        if not np.isfinite(result[row]):
            problem, remedy = f"'{text}' in column '{values.name}' is not a number.", "Write a finite number, or nothing."
            raise AnnotationError(*place(values, row), problem, remedy)
        if (low is not None and result[row] < low) or (high is not None and result[row] > high):
            bounds = f"{'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'}"
            raise AnnotationError(*place(values, row), f"{values.name} is {text}.", f"It must lie in {bounds}; mend the line.")
    return result
