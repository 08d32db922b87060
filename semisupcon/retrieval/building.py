"""Write an index, or add files to one: vectors of unit length, sorted by file. Find its graph.

All files are written under new names before ``index.json``, which names them, is replaced. An
interruption leaves the earlier index in place.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semisupcon.digests import digest_of, digest_of_json, with_digest
from semisupcon.errors import UserError
from semisupcon.files import atomic_open, atomic_path, sweep, write_csv, write_text
from semisupcon.paths import system_path, text_of
from semisupcon.retrieval.approximate import FROM_ROWS, Graph
from semisupcon.retrieval.index import COLUMNS, FORMAT, INDEX, Entry, Index, load_index
from semisupcon.retrieval.queries import Finder, unit

BLOCK_BYTES = 16 << 20
PARTS = ("vectors-", "files-", "graph-")
Rows = Callable[[int], Iterator[np.ndarray]]


class State(NamedTuple):
    """Size in bytes and time of modification (ns) of a file; -1 for a missing one."""

    size: int
    modified_ns: int


def state_of(file: str) -> State:
    """The state of a file on disk."""
    try:
        status = os.stat(system_path(file))
    except OSError:
        return State(-1, -1)
    return State(status.st_size, status.st_mtime_ns)


def same_file(file: str) -> str:
    """A name that is equal for all spellings of one path."""
    return text_of(os.path.abspath(system_path(file)))


def to_embed(files: Sequence[str], index: Index | None) -> list[str]:
    """The files that are not in an index, or have changed since, sorted by name.

    A file that the index holds under another spelling of its path is looked up there, and returned
    by its name in the index.
    """
    known = {} if index is None else {same_file(entry.file): entry for entry in index.entries}
    found = set()
    for file in files:
        entry = known.get(same_file(file))
        if entry is None or State(entry.size, entry.modified_ns) != state_of(file):
            found.add(os.path.normpath(file) if entry is None else entry.file)
    return sorted(found)


def write_index(
    folder: Path,
    header: Mapping[str, Any],
    old: Index | None,
    new: Sequence[Entry],
    rows: Rows,
    removed: Sequence[str] = (),
) -> Index:
    """Write an index from the files of an older one and from new ones.

    Args:
        folder: folder of the index.
        header: encoder and settings.
        old: older index, whose files are kept unless they are new or removed; its vectors are
            compared with their digest.
        new: new files, sorted by name.
        rows: function from a number of rows to an iterator over the embeddings of ``new`` in order,
            in blocks of this number.
        removed: names of files that are not kept.

    Returns:
        The index.
    """
    replaced = {entry.file for entry in new} | set(removed)
    kept: list[tuple[Entry, int | None]] = []
    if old is not None:
        old.verify()
        kept = [
            (entry, int(first))
            for entry, first in zip(old.entries, old.first_rows, strict=False)
            if entry.file not in replaced
        ]
    merged = sorted([*kept, *((entry, None) for entry in new)], key=lambda item: item[0].file)
    count = sum(entry.rows for entry, _ in merged)
    content = digest_of_json([dict(header), [list(entry) for entry, _ in merged]])
    name = content[:12]
    vectors, files = folder / f"vectors-{name}.npy", folder / f"files-{name}.csv"
    dim = header["dim"]
    with atomic_open(vectors, "wb", needed=4 * dim * count) as file:
        shape = {"descr": "<f4", "fortran_order": False, "shape": (count, dim)}
        np.lib.format.write_array_header_1_0(file, shape)
        for block in _in_order(merged, old, rows, max(1, BLOCK_BYTES // (4 * dim))):
            file.write(np.ascontiguousarray(block, "<f4").data)
    write_csv(files, COLUMNS, (tuple(entry) for entry, _ in merged))
    told = {
        "vectors": {"file": vectors.name, "digest": digest_of(vectors)},
        "files": {"file": files.name, "digest": digest_of(files)},
    }
    full = {"format": FORMAT, **header, "rows": count, **told}
    write_text(folder / INDEX, text_of_json(with_digest(full)))
    remove_others(folder, {vectors.name, files.name})
    return load_index(folder)


def write_graph(index: Index) -> Path:
    """Write the approximate index beside the vectors, and return its path."""
    from semisupcon.retrieval.approximate import build

    path = graph_of(index)
    with atomic_path(path) as partial:
        build(index.vectors, partial)
    return path


def graph_of(index: Index) -> Path:
    """Path of the approximate index, which may not exist."""
    stem = Path(index.header["vectors"]["file"]).stem.removeprefix("vectors-")
    return index.folder / f"graph-{stem}.faiss"


def remove_others(folder: Path, kept: set[str]) -> None:
    """Remove the parts of other indices, and partial files, from the folder of an index."""
    sweep(folder)
    for path in folder.iterdir():
        ours = path.name.startswith(PARTS) and path.suffix in (".npy", ".csv", ".faiss")
        if ours and path.name not in kept:
            path.unlink()


def text_of_json(content: Mapping[str, Any]) -> str:
    """JSON with one line per entry."""
    return json.dumps(content, indent=1) + "\n"


def _in_order(
    merged: Sequence[tuple[Entry, int | None]], old: Index | None, rows: Rows, most: int
) -> Iterator[np.ndarray]:
    """Yield the vectors of all files in order, in blocks of about ``most`` rows."""
    new = _Taken(rows(most))
    for is_new, run in groupby(merged, key=lambda item: item[1] is None):
        items = list(run)
        if is_new:
            yield from map(unit, new.take(sum(entry.rows for entry, _ in items)))
            continue
        assert old is not None  # only an older index has rows of its own
        for _, near in groupby(enumerate(items), key=_neighbours(items)):
            span = [item for _, item in near]
            first, last = span[0][1] or 0, (span[-1][1] or 0) + span[-1][0].rows
            for start in range(first, last, most):
                yield np.asarray(old.vectors[start : min(last, start + most)])


def _neighbours(items: Sequence[tuple[Entry, int | None]]) -> Callable[[tuple[int, Any]], int]:
    """Key that is equal for files whose rows follow one another in the older index."""
    run, before, keys = 0, None, []
    for entry, first in items:
        run += first != before
        keys.append(run)
        before = (first or 0) + entry.rows
    return lambda item: keys[item[0]]


class _Taken:
    """Rows that arrive in blocks, taken in other numbers."""

    def __init__(self, blocks: Iterator[np.ndarray]):
        self._blocks = blocks
        self._rest: np.ndarray | None = None

    def take(self, count: int) -> Iterator[np.ndarray]:
        while count > 0:
            block = next(self._blocks) if self._rest is None else self._rest
            yield block[:count]
            self._rest = block[count:] if len(block) > count else None
            count -= len(block[:count])


def finder(method: str, index: Index) -> Finder | None:
    """Return the function for approximate search; None for exact search.

    Args:
        method: "auto", "exact" or "approximate".
        index: index to search.

    Raises:
        UserError: if ``method`` is "approximate" and there is no approximate index.
    """
    path = graph_of(index)
    if method == "approximate" and not path.is_file():
        raise UserError(
            f"{index.folder} has no approximate index.\nTo add it, repeat `semisupcon index` with "
            "--approximate yes."
        )
    use = method == "approximate" or (
        method == "auto" and path.is_file() and len(index.vectors) >= FROM_ROWS
    )
    return Graph(index, path).most_similar if use else None
