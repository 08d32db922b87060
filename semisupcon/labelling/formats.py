"""Write predictions: CSV, Parquet, Audacity labels, Raven selection tables.

Audacity: one line per label, begin and end in seconds and the text, separated by tabs; a file of
labels belongs to one recording. Raven: tab-separated columns; times are those of the recordings one
after another, as Raven opens several files, and ``File Offset (s)`` is the time within the file.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from semisupcon.errors import ConfigError
from semisupcon.files import atomic_open, atomic_path, cells, write_csv
from semisupcon.labelling.rows import FileRows

GROUP = 1 << 16  # rows of a row group in Parquet
_RAVEN = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Begin Path",
    "File Offset (s)",
    "Label",
)
# Format by the end of a file name; the first that fits.
SUFFIXES = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".selections.txt": "raven",
    ".txt": "audacity",
}
FORMATS = tuple(SUFFIXES.values())


def format_of(out: Path, given: str | None) -> str:
    """The format of an output: the given one, else by the end of its name.

    Raises:
        ConfigError: for another name.
    """
    found = given or next((f for end, f in SUFFIXES.items() if out.name.lower().endswith(end)), "")
    if not found:
        raise ConfigError(
            f"--out must end in {', '.join(SUFFIXES)} (or give --format {'|'.join(FORMATS)}), got "
            f"'{out.name}'."
        )
    return found


def check_format(kind: str, files: int) -> None:
    """Check that a format can hold the labels of ``files`` recordings.

    Raises:
        ConfigError: for Audacity labels of several recordings.
    """
    if kind == "audacity" and files > 1:
        raise ConfigError(
            f"Audacity labels belong to one recording, and {files} were given.\nGive one file, or "
            "an --out that ends in .csv or .selections.txt (Raven)."
        )


def write_rows(
    out: Path, kind: str, found: Iterable[FileRows], columns: tuple[str, ...], sample_rate: int
) -> int:
    """Write the rows of all files and return their number.

    Args:
        out: the output, which is replaced.
        kind: one of `FORMATS`.
        found: rows of each file.
        columns: names of the columns of a table; the last one is "probability" or "value".
        sample_rate: of the encoder (Hz); half of it is the highest frequency of Raven selections.
    """
    count = 0

    def counted() -> Iterator[FileRows]:
        nonlocal count
        for rows in found:
            count += len(rows.labels)
            yield rows

    writer: Callable[..., None] = {
        "csv": _write_csv,
        "parquet": _write_parquet,
        "audacity": _write_audacity,
        "raven": _write_raven,
    }[kind]
    writer(out, counted(), columns, sample_rate)
    return count


def seconds_text(value: float) -> str:
    """Seconds with at most six decimals, without trailing zeros."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _write_csv(out: Path, found: Iterable[FileRows], columns: tuple[str, ...], _: int) -> None:
    lines = (
        (file, seconds_text(start), seconds_text(end), label, f"{value:.9g}")
        for rows in found
        for file, start, end, label, value in rows.lines()
    )
    write_csv(out, columns, lines)  # 9 digits represent float32 exactly


def _write_parquet(out: Path, found: Iterable[FileRows], columns: tuple[str, ...], _: int) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    types = (pa.string(), pa.float64(), pa.float64(), pa.string(), pa.float32())
    schema = pa.schema(list(zip(columns, types, strict=True)))
    lines = (line for rows in found for line in rows.lines())
    with atomic_path(out) as partial, parquet.ParquetWriter(partial, schema) as writer:
        while block := list(islice(lines, GROUP)):
            arrays = [pa.array(v, t) for v, t in zip(zip(*block, strict=True), types, strict=True)]
            writer.write_table(pa.table(arrays, schema=schema))


def _write_audacity(out: Path, found: Iterable[FileRows], columns: tuple[str, ...], _: int) -> None:
    values = columns[-1] == "value"
    with atomic_open(out) as file:
        for rows in found:
            for _name, start, end, label, value in rows.lines():
                text = f"{_one_line(label)} {value:.4g}" if values else _one_line(label)
                file.write(f"{start:.6f}\t{end:.6f}\t{text}\n")


def _write_raven(
    out: Path, found: Iterable[FileRows], columns: tuple[str, ...], sample_rate: int
) -> None:
    with atomic_open(out, newline="") as file:
        writer = csv.writer(file, dialect="excel-tab", lineterminator="\n")
        writer.writerow((*_RAVEN, columns[-1].capitalize()))
        number, before = 0, 0.0
        for rows in found:
            for name, start, end, label, value in rows.lines():
                number += 1
                times = (seconds_text(before + start), seconds_text(before + end))
                line: list[Any] = [number, "Spectrogram 1", 1, *times, 0, sample_rate // 2]
                line += [_one_line(name), seconds_text(start), _one_line(label), f"{value:.9g}"]
                writer.writerow(cells(line))
            before += rows.seconds


def _one_line(text: str) -> str:
    return re.sub(r"[\t\r\n]+", " ", text)
