"""Write the embeddings of many files in parts, so that an interrupted command can continue.

The folder ``NAME.unfinished/`` next to the output has ``plan.json`` (files, encoder and options)
and the parts. A part consists of ``rows-NNNNN.f32`` with consecutive embeddings, and
``rows-NNNNN.json`` with their files. An empty file ``writing`` means that writing of the output has
begun.

A part without its ``.json`` file is computed again. Every part begins with a new batch, so that an
interrupted run gives bit-identical results.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from semisupcon.embedding.ahead import Piece
from semisupcon.embedding.batches import BREAK
from semisupcon.errors import UserError
from semisupcon.files import atomic_open, leftovers, make_folders, sweep, write_text

PLAN, WRITING, FORMAT = "plan.json", "writing", 1


def folder_of(out: Path) -> Path:
    """Return the folder with the parts of an output."""
    return out.with_name(f"{out.name}.unfinished")


def being_written(out: Path) -> bool:
    """Return whether an interrupted run had begun to write the output."""
    return (folder_of(out) / WRITING).is_file()


def with_breaks(pieces: Iterable[Piece], segments: int) -> Iterator[Piece]:
    """Yield the pieces, with a `BREAK` after every group of items.

    A group ends with the item that completes ``segments`` segments. A `BREAK` ends both the batch
    and the part.
    """
    count = 0
    for piece in pieces:
        yield piece
        count += 0 if piece.last else len(piece.rows)
        if piece.last and count >= segments:
            yield BREAK
            count = 0


class Parts:
    """The parts of one output file.

    Args:
        out: output file.
        plan: values of plain types that determine the embeddings.
        overwrite: whether to remove parts of another plan.

    Attributes:
        folder: folder of the parts.
        done: number of files in finished parts.

    Raises:
        UserError: if the folder has parts of another plan, or other files.
    """

    def __init__(self, out: Path, plan: dict[str, Any], overwrite: bool = False):
        self.folder = folder_of(out)
        self.plan = {"format": FORMAT, **plan}
        self.finished: list[tuple[Path, dict[str, Any]]] = []
        self._check(overwrite)
        sweep(self.folder)
        while (index := self._file(len(self.finished), "json")).is_file():
            content = json.loads(index.read_text())
            self.finished.append((index.with_suffix(".f32"), content))

    @property
    def done(self) -> int:
        return sum(len(content["sizes"]) for _, content in self.finished)

    @property
    def width(self) -> int:
        """Width of the embeddings; 0 if no part is finished."""
        return max((content["width"] for _, content in self.finished), default=0)

    def sizes(self) -> Iterator[int]:
        """Yield the number of embeddings of each finished file in order; 0 for left-out files."""
        for _, content in self.finished:
            yield from content["sizes"]

    def lengths(self) -> Iterator[int]:
        """Yield the number of samples of each finished file in order.

        The number is 0 for left-out files, and if it was not given to `write`.
        """
        for _, content in self.finished:
            yield from content.get("lengths", [0] * len(content["sizes"]))

    def problems(self) -> dict[int, str]:
        """Return the reasons why files were left out, by position of the file."""
        found: dict[int, str] = {}
        first = 0
        for _, content in self.finished:
            found |= {first + int(i): why for i, why in content["problems"].items()}
            first += len(content["sizes"])
        return found

    def rows(self, most: int) -> Iterator[np.ndarray]:
        """Yield all embeddings in order, in arrays ``[most, D]``; the last may have fewer rows."""
        waiting, count = [], 0
        for file, content in self.finished:
            rows = sum(content["sizes"])
            values = np.memmap(file, "<f4", "r", shape=(rows, content["width"])) if rows else ()
            start = 0
            while start < rows:
                part = np.array(values[start : start + most - count])
                waiting.append(part)
                start, count = start + len(part), count + len(part)
                if count == most:
                    yield np.concatenate(waiting)
                    waiting, count = [], 0
        if waiting:
            yield np.concatenate(waiting)

    def write(
        self, pieces: Iterable[Piece], mean: bool, lengths: dict[int, int] | None = None
    ) -> Iterator[Piece]:
        """Write embeddings when they arrive, and yield the last piece of each file.

        Args:
            pieces: pieces of embeddings, starting with the file number ``done``. A `BREAK` ends a
                part.
            mean: whether to keep only the mean over the embeddings of a file.
            lengths: number of samples of each item, which must be set before its last piece
                arrives.
        """
        if not self.folder.exists():
            make_folders(self.folder)
            write_text(self.folder / PLAN, json.dumps(self.plan))
        pieces = iter(pieces)
        for first in pieces:
            part = _Part(mean)
            path = self._file(len(self.finished), "f32")
            with atomic_open(path, "wb") as file:
                for piece in _until_break(first, pieces):
                    part.add(piece, file)
                    if piece.last:
                        part.lengths.append((lengths or {}).pop(piece.item, 0))
                        yield piece
            index = {"width": part.width, "sizes": part.sizes, "problems": part.problems}
            if lengths is not None:
                index["lengths"] = part.lengths
            write_text(path.with_suffix(".json"), json.dumps(index))
            self.finished.append((path, index))

    def begin_writing(self) -> None:
        """Record that this command begins to write the output."""
        write_text(self.folder / WRITING, "")

    def remove(self) -> None:
        """Remove the parts, and their folder if it has no other files."""
        sweep(self.folder)
        for file in (*self.folder.glob("rows-*.f32"), *self.folder.glob("rows-*.json")):
            file.unlink()
        for name in (WRITING, PLAN):
            (self.folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _file(self, number: int, suffix: str) -> Path:
        return self.folder / f"rows-{number:05d}.{suffix}"

    def _check(self, overwrite: bool) -> None:
        """Refuse a folder with other files; ``overwrite`` removes parts of another plan."""
        if not self.folder.exists():
            return
        plan = self.folder / PLAN
        try:
            known = json.loads(plan.read_text())
        except (OSError, ValueError):
            known = None
        if known == self.plan:
            return
        ours = isinstance(known, dict) and known.get("format") == FORMAT and "encoder" in known
        if not ours and set(self.folder.iterdir()) - set(leftovers(self.folder)):
            raise UserError(
                f"{self.folder} holds other files than unfinished embeddings.\nMove it away, or "
                "give another --out.",
            )
        if ours and not overwrite:
            differs = [name for name in self.plan if self.plan[name] != known.get(name)]
            raise UserError(
                f"{self.folder} holds unfinished embeddings of another run; different: "
                f"{', '.join(differs)}.\n"
                "Run that command again, give another --out, or start again with --overwrite."
            )
        self.remove()


class _Part:
    """State of the part that is currently written."""

    def __init__(self, mean: bool):
        self.width = 0
        self.sizes: list[int] = []
        self.lengths: list[int] = []
        self.problems: dict[int, str] = {}
        self._mean, self._count, self._start = mean, 0, 0
        self._sum: np.ndarray | None = None

    def add(self, piece: Piece, file: IO[bytes]) -> None:
        if not piece.last:
            self.width = piece.rows.shape[1]
            self._count += len(piece.rows)
            if self._mean:
                sums = piece.rows.sum(axis=0, dtype=np.float64)
                self._sum = sums if self._sum is None else self._sum + sums
            else:
                file.write(np.ascontiguousarray(piece.rows, "<f4").data)
            return
        if piece.error is not None:
            self.problems[len(self.sizes)] = (
                getattr(piece.error, "problem", "") or str(piece.error).splitlines()[0]
            )
            file.seek(self._start)
            file.truncate()
            self._count = 0
        elif self._sum is not None and self._count:
            file.write((self._sum / self._count).astype("<f4").data)
            self._count = 1
        self.sizes.append(self._count)
        self._sum, self._count, self._start = None, 0, file.tell()


def _until_break(first: Piece, pieces: Iterator[Piece]) -> Iterator[Piece]:
    piece: Piece | None = first
    while piece is not None and piece != BREAK:
        yield piece
        piece = next(pieces, None)
