"""Read what a map shows: the embeddings of `semisupcon embed`, or an index."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from semisupcon.errors import UserError
from semisupcon.files import plain_cell
from semisupcon.retrieval.index import load_index
from semisupcon.retrieval.queries import unit

MOST = 200_000  # points of a page
LEAST = 3


@dataclass
class Clips:
    """Files or windows of files, and their embeddings.

    Attributes:
        files: name of the file of each clip.
        vectors: ``[n, D]`` float32 of unit length (zero rows stay zero).
        starts, ends: seconds of windows, ``[n]`` each; None for whole files.
    """

    files: list[str]
    vectors: np.ndarray
    starts: np.ndarray | None = None
    ends: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.files)

    def chosen(self, rows: np.ndarray) -> "Clips":
        """The clips of these rows."""
        starts, ends = (None if t is None else t[rows] for t in (self.starts, self.ends))
        return Clips([self.files[i] for i in rows], self.vectors[rows], starts, ends)

    def spans(self) -> np.ndarray:
        """First row and end ``[n, 2]`` of the rows around each clip that share audio with it."""
        rows = np.arange(len(self))
        spans = np.stack([rows, rows + 1], axis=1)
        if self.starts is None or self.ends is None:
            return spans
        for _, run in groupby(rows, key=lambda i: self.files[i]):
            of_file = np.array(list(run))
            starts, ends = self.starts[of_file], self.ends[of_file]
            spans[of_file, 0] = of_file[0] + np.searchsorted(ends, starts, side="right")
            spans[of_file, 1] = of_file[0] + np.searchsorted(starts, ends, side="left")
        return spans


def read_clips(source: str | Path, most: int | None = None) -> Clips:
    """Read embeddings.

    Args:
        source: ``.parquet``, ``.csv`` or ``.npy`` (with its ``.csv``) of `semisupcon embed`, or the
            folder of an index.
        most: number of clips; of more, evenly spaced ones are taken.

    Raises:
        UserError: if the source cannot be read, holds fewer than 3 clips, values that are not
            finite, or too many clips for a page.
    """
    source = Path(source)
    if source.is_dir():
        clips = _of_index(source)
    elif not source.is_file():
        raise UserError(f"No such file or index: {source}")
    elif source.suffix in _READERS:
        try:
            names, vectors = _READERS[source.suffix](source)
        except UserError:
            raise
        except (OSError, ValueError, KeyError, EOFError, csv.Error) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"{source} cannot be read as the output of `semisupcon embed`: {said}."
            ) from error
        clips = _named(names, vectors)
    else:
        raise UserError(
            f"{source.name} is neither the output of `semisupcon embed` (.parquet, .csv, .npy) nor "
            "the folder of an index."
        )
    if len(clips) < LEAST:
        raise UserError(f"A map needs at least {LEAST} clips; {source} holds {len(clips)}.")
    if most is not None and len(clips) > most:
        clips = clips.chosen(np.linspace(0, len(clips) - 1, most).astype(np.int64))
    if len(clips) > MOST:
        raise UserError(
            f"A page shows at most {MOST:,} clips; {source} holds {len(clips):,}.\nGive --most "
            f"{MOST // 2} for evenly spaced ones."
        )
    if not np.isfinite(clips.vectors).all():
        raise UserError(f"{source} holds NaN or infinite values.")
    clips.vectors = unit(clips.vectors)
    return clips


def _of_index(folder: Path) -> Clips:
    index = load_index(folder)
    files = [entry.file for entry in index.entries for _ in range(entry.rows)]
    if index.windows is None:
        return Clips(files, index.vectors)
    times = [index.times(i) for i in range(len(index.entries))]
    starts, ends = (np.concatenate(part) for part in zip(*times, strict=True))
    if len(starts) != len(files):
        raise UserError(
            f"The index is damaged: rows and lengths of files do not match.\nIn: {folder}"
        )
    return Clips(files, index.vectors, starts, ends)


def _named(names: list[tuple[str, int]], vectors: np.ndarray) -> Clips:
    """Clips of the rows of a table: windows of a second if a file has several rows."""
    files = [file for file, _ in names]
    if len(names) != len(vectors):
        raise UserError(f"{len(vectors)} embeddings and {len(names)} names do not match.")
    if len(set(files)) == len(files):
        return Clips(files, vectors)
    starts = np.array([second for _, second in names], float)
    return Clips(files, vectors, starts, starts + 1)


def _parquet(source: Path) -> tuple[list[tuple[str, int]], np.ndarray]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise UserError("Reading .parquet needs pyarrow: pip install pyarrow") from error
    try:
        file = parquet.ParquetFile(source)
        columns = _values(file.schema_arrow.names)
        names: list[tuple[str, int]] = []
        vectors = np.zeros((file.metadata.num_rows, len(columns)), np.float32)
        for batch in file.iter_batches(columns=["file", "second", *columns]):
            rows = slice(len(names), len(names) + batch.num_rows)
            for i, column in enumerate(columns):
                vectors[rows, i] = batch.column(column).to_numpy(zero_copy_only=False)
            files, seconds = (batch.column(name).to_pylist() for name in ("file", "second"))
            names += [(str(f), int(s)) for f, s in zip(files, seconds, strict=True)]
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(str(error)) from error
    return names, vectors


def _csv(source: Path) -> tuple[list[tuple[str, int]], np.ndarray]:
    with source.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        values = [header.index(column) for column in _values(header)]
        names, vectors = [], []
        for row in rows:
            if len(row) != len(header):
                raise ValueError(f"line {rows.line_num} has {len(row)} cells")
            names.append(_name(header, row))
            vectors.append(np.array([row[i] for i in values], np.float32))
    return names, np.array(vectors).reshape(len(vectors), len(values))


def _npy(source: Path) -> tuple[list[tuple[str, int]], np.ndarray]:
    vectors = np.load(source, mmap_mode="r", allow_pickle=False)
    if vectors.ndim != 2 or not vectors.shape[1] or vectors.dtype.kind != "f":
        raise ValueError(f"it holds {vectors.dtype} of shape {vectors.shape}")
    beside = source.with_suffix(".csv")
    if not beside.is_file():
        raise UserError(f"{beside} with the names of the files is not beside {source.name}.")
    with beside.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        return [_name(header, row) for row in rows], vectors


_READERS = {".parquet": _parquet, ".csv": _csv, ".npy": _npy}


def _values(columns: list[str]) -> list[str]:
    found = [c for c in columns if c[:1] == "e" and c[1:].isdigit()]
    if not found or "file" not in columns or "second" not in columns:
        raise ValueError("it lacks a column file, second or e0")
    return found


def _name(header: list[str], row: list[str]) -> tuple[str, int]:
    cells: Iterator[tuple[str, str]] = zip(header, row, strict=False)
    named = dict(cells)
    return plain_cell(named["file"]), int(named.get("second") or 0)
