"""Read lists and tables, and keep the file and line of every value.

File and line are stored in the index levels ``file`` and ``line``. pandas preserves them in
``map``, selection and ``concat``. Thus, for example, `one_hot` can report the file and line of an
unknown label.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pandas as pd

from semisupcon.errors import AnnotationError, ConfigError, DatasetNotFoundError, nearest

Values = TypeVar("Values", pd.Series, pd.DataFrame)
SEPARATOR_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
csv.field_size_limit(1 << 24)


def find_file(root: Path, *patterns: str, source: str = "") -> Path:
    """Return the first file under ``root`` that matches one of the glob patterns, in their order.

    Args:
        root: folder of the data set.
        patterns: relative glob patterns, the official location first.
        source: web address of the data set, for the error message.

    Raises:
        DatasetNotFoundError: if no file matches.
    """
    if root is None or not Path(root).is_dir():
        had = f"; download it from {source}" if source else ""
        raise DatasetNotFoundError(
            "The data set's folder",
            root,
            f"Give the folder that holds it{had}.",
        )
    if (found := optional_file(root, *patterns)) is not None:
        return found
    others = f" (or {', '.join(patterns[1:])})" if len(patterns) > 1 else ""
    remedy = f"Download it from {source}." if source else "Give the folder that holds it."
    raise DatasetNotFoundError(
        f"The annotation file {Path(patterns[0]).name}",
        f"{Path(root) / patterns[0]}{others}",
        remedy,
    )


def optional_file(root: Path, *patterns: str) -> Path | None:
    """Return the first file under ``root`` that matches a glob pattern, or None."""
    for pattern in patterns:
        if found := sorted(path for path in Path(root).glob(pattern) if path.is_file()):
            return found[0]
    return None


def read_text(file: Path) -> str:
    """Return the text of a UTF-8 file, without byte-order mark; line ends are kept.

    Raises:
        AnnotationError: if the file is not UTF-8. The message has the line of the first wrong byte.
    """
    data = Path(file).read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise AnnotationError(
            file,
            line,
            f"Byte 0x{data[error.start]:02x} is not UTF-8 text.",
            "Convert the file to UTF-8.",
        ) from None


def located(
    values: Values,
    files: Sequence[str | Path] | Path,
    lines: Sequence[int] | None = None,
) -> Values:
    """Set files and lines as the index of ``values``. Lines are None if values are file names."""
    if isinstance(files, str | Path):
        names = [str(files)] * len(values)
    else:
        names = [str(file) for file in files]
    numbers = [0] * len(values) if lines is None else list(lines)
    values.index = pd.MultiIndex.from_arrays([names, numbers], names=["file", "line"])
    return values


def place(rows: pd.Series | pd.DataFrame | pd.Index, position: int) -> tuple[str, int | None]:
    """Return the file and line of the row with index ``position``; line None means the whole file.

    If the row was not read from a file, the result has the row number instead of a file.
    """
    index = rows if isinstance(rows, pd.Index) else rows.index
    if list(index.names) != ["file", "line"]:
        return f"row {position} of the table", None
    file, line = index[position]
    return str(file), int(line) or None


def read_lines(root: Path, *patterns: str, prefix: str = "", source: str = "") -> pd.Series:
    """Return the non-empty lines of a list without surrounding spaces, with an optional
    ``prefix/``.

    Raises:
        DatasetNotFoundError: if no file matches.
        AnnotationError: if the list is empty or not UTF-8.
    """
    file = find_file(root, *patterns, source=source)
    lines = [
        (number, line.strip())
        for number, line in enumerate(read_text(file).splitlines(), start=1)
        if line.strip()
    ]
    if not lines:
        raise AnnotationError(
            file,
            None,
            "The list is empty.",
            "Download it again" + (f" from {source}." if source else "."),
        )
    values = pd.Series([f"{prefix}/{line}" if prefix else line for _, line in lines], dtype=object)
    return located(values, file, [number for number, _ in lines])


def read_rows(
    file: Path,
    separator: str = ",",
    comment: str | None = None,
) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the fields, without surrounding spaces, of each line of a table.

    Empty lines and lines that begin with ``comment`` are skipped.

    Raises:
        DatasetNotFoundError: if the file does not exist.
        AnnotationError: if the text is not UTF-8 or has unclosed quotes.
    """
    file = Path(file)
    if not file.is_file():
        raise DatasetNotFoundError(
            f"The annotation file {file.name}",
            file,
            "Give the folder or file that holds it.",
        )
    if len(separator) != 1:
        raise ConfigError(
            f"separator is one character between fields, such as ',' or a tab; got '{separator}'.",
        )
    # The csv module handles line ends, because a quoted field may contain one.
    reader = csv.reader(
        io.StringIO(read_text(file), newline=""),
        delimiter=separator,
        skipinitialspace=True,
        strict=True,
    )
    try:
        for row in reader:
            fields = list(map(str.strip, row))
            if any(fields) and not (comment and fields[0].startswith(comment)):
                yield reader.line_num, fields
    except csv.Error as error:
        raise AnnotationError(
            file,
            reader.line_num,
            f"Not a table: {error}.",
            "Check its quotes and separators.",
        ) from None


def column(rows: pd.DataFrame, name: str) -> pd.Series:
    """Return a column of a table.

    Raises:
        AnnotationError: if two columns have this name.
    """
    if list(rows.columns).count(name) > 1:
        raise AnnotationError(
            place(rows, 0)[0],
            None,
            f"Two columns are called '{name}'.",
            "Give each a name of its own.",
        )
    return rows[name]


def read_table(
    file: Path,
    columns: Iterable[str] = (),
    separator: str = ",",
    names: Sequence[str] | None = None,
    ragged: bool = False,
    comment: str | None = None,
) -> pd.DataFrame:
    """Read a table of texts.

    Args:
        file: path of the table.
        columns: required column names.
        separator: separator of fields.
        names: column names of a table without a header line.
        ragged: whether rows may be longer or shorter than the header. The column ``rest`` then has
            a list of the additional fields of each row.
        comment: lines that begin with this text are skipped.

    Raises:
        DatasetNotFoundError: if the file does not exist.
        AnnotationError: if the file is empty or not UTF-8, if a column is missing or repeated, if
            the separator is wrong, or if a row has another length.
    """
    lines_of_file = read_rows(file, separator, comment)
    if names is None:
        line, names = next(lines_of_file, (0, []))
        if names:
            _check_header(file, line, names, columns, separator)
    rows: list[Sequence[str | list[str]]] = []
    lines = []
    for line, fields in lines_of_file:
        row: Sequence[str | list[str]] = fields
        if ragged:
            short = [""] * (len(names) - len(fields))
            row = [*fields[: len(names)], *short, fields[len(names) :]]
        elif len(fields) != len(names):
            problem, remedy = (
                f"{len(fields)} fields where {len(names)} are expected.",
                _separator_hint(fields, separator, len(names)),
            )
            raise AnnotationError(file, line, problem, remedy)
        rows.append(row)
        lines.append(line)
    if not rows:
        raise AnnotationError(file, None, "The table has no rows.", "Download or write it again.")
    return located(
        pd.DataFrame(rows, columns=[*names, "rest"] if ragged else list(names), dtype=object),
        file,
        lines,
    )


def _check_header(
    file: Path,
    line: int,
    header: list[str],
    columns: Iterable[str],
    separator: str,
) -> None:
    for column in columns:
        if column not in header:
            known = (
                f"Its columns are: {', '.join(header[:12])}{', ...' if len(header) > 12 else ''}."
            )
            hint = (
                _separator_hint(header, separator, 2)
                if len(header) == 1
                else known + nearest(column, header)
            )
            raise AnnotationError(file, line, f"There is no column '{column}'.", hint)
        if header.count(column) > 1:
            raise AnnotationError(
                file,
                line,
                f"Two columns are called '{column}'.",
                "Give each a name of its own.",
            )


def _separator_hint(row: list[str], separator: str, expected: int) -> str:
    for other, name in SEPARATOR_NAMES.items():
        if other != separator and len(row) < expected and any(other in field for field in row):
            return f"It looks separated by {name}; {SEPARATOR_NAMES.get(separator, repr(separator))} are expected."
    return f"Fields are separated by {SEPARATOR_NAMES.get(separator, repr(separator))}; correct the line."
