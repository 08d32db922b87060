"""Text cells of CSV files, safe to open in a spreadsheet, and paths that a file names.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return as a formula. Names of files, classes and
checkpoints come from anywhere, so such a cell gets an apostrophe before it; `plain_cell` takes it off again.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from semisupcon.errors import UserError

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def cell(value: Any) -> Any:
    """A value for a CSV file: text that a spreadsheet would run gets an apostrophe; numbers and other values stay."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) and not _is_number(value) else value


def plain_cell(text: str) -> str:
    """The text that `cell` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text


def cells(row: Iterable[Any]) -> list[Any]:
    """`cell` of each value of a row."""
    return [cell(value) for value in row]


def cells_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """`cell` of each value of a row by column name."""
    return {name: cell(value) for name, value in row.items()}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def inside(folder: Path, name: str, what: str) -> Path:
    """The path of a file that another file names, below its own folder.

    Raises:
        UserError: for a name that leads out of the folder.
    """
    path = Path(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise UserError(f"{what} names the file {name!r}, which lies outside its folder; it was not opened.\nIn: {folder}")
    return folder / path
