"""``semisupcon search``: find the most similar audio in an index, or near-identical pairs.

A query is the name of a file in the index, or another audio file. The latter needs the encoder of
the index (``--checkpoint``). The embeddings of several queries are averaged.
"""

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from semisupcon.commands.device import device_of
from semisupcon.commands.embed_files import fingerprint, in_precision
from semisupcon.commands.in_parts import load
from semisupcon.commands.parsing.encoder_options import add_trust
from semisupcon.commands.parsing.parser import Parser
from semisupcon.commands.parsing.ranges import COUNT, NOT_NEGATIVE, Range, check_numbers
from semisupcon.embedding import Progress
from semisupcon.errors import UserError
from semisupcon.files import write_csv
from semisupcon.labelling.stream import Reading
from semisupcon.locks import file_lock
from semisupcon.outputs import check_writable, refuse_existing
from semisupcon.paths import system_path, text_of
from semisupcon.retrieval.building import finder, same_file
from semisupcon.retrieval.duplicates import near_identical
from semisupcon.retrieval.index import Index, load_index
from semisupcon.retrieval.queries import Hit, best_hits, mean_of, rows_of

RANGES = {"top": COUNT, "at": NOT_NEGATIVE, "threshold": Range(-1, 1)}
THRESHOLD = 0.99


def parser() -> Parser:
    """Return the argument parser of ``semisupcon search``."""
    p = Parser(prog="semisupcon search", description=__doc__.split(": ", 1)[1])
    p.add_argument(
        "query", nargs="*", help="names of indexed files, or audio files; the mean counts"
    )
    p.add_argument("--index", required=True, type=Path, help="folder of the index")
    p.add_argument("--top", type=int, default=10, help="number of hits, or of pairs")
    p.add_argument(
        "--checkpoint", help="encoder of the index, for queries that are not in the index"
    )
    p.add_argument("--at", type=float, help="only the window of the query at this second")
    p.add_argument(
        "--by",
        choices=("file", "window"),
        help="list the best window of each file, or all windows; default: what the index holds",
    )
    p.add_argument(
        "--method",
        choices=("auto", "exact", "approximate"),
        default="auto",
        help="auto: approximate if the index has an approximate index and a million embeddings",
    )
    p.add_argument(
        "--include_query", action="store_true", help="also list the files of the query themselves"
    )
    p.add_argument(
        "--duplicates",
        action="store_true",
        help="list near-identical pairs of different files instead of hits",
    )
    p.add_argument(
        "--threshold", type=float, help=f"least similarity of a pair; default: {THRESHOLD}"
    )
    p.add_argument("--out", type=Path, help="also write the hits or pairs as .csv")
    p.add_argument(
        "--verify", action="store_true", help="compare the vectors with their digest first"
    )
    p.add_argument("--device", default="auto", help="cpu, cuda, or auto; of the encoder")
    p.add_argument("--overwrite", action="store_true", help="replace an existing --out")
    add_trust(p)
    return p


def main(args: list[str] | None = None) -> int:
    """Run ``semisupcon search`` and return the exit status."""
    given = checked(args)
    if given.out is None:
        run(given)
        return 0
    check_writable(given.out)
    with file_lock(given.out, "search", "give another --out"):
        refuse_existing([given.out], given.overwrite)
        columns, rows = run(given)
        write_csv(given.out, columns, rows)
    return 0


def checked(args: list[str] | None) -> Namespace:
    """Parse and check the options of ``semisupcon search``."""
    given = parser().parse_args(args)
    check_numbers(vars(given), RANGES)
    check_options(given)
    if given.out is not None and given.out.suffix != ".csv":
        raise UserError(f"--out must end in .csv, got '{given.out.name}'.")
    return given


def searched(args: list[str]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Run ``semisupcon search`` without printing hits, and return the columns and rows of its table.

    The options have no ``--out``.
    """
    given = checked(args)
    if given.out is not None:
        raise UserError("The hits are returned; leave out the option 'out'.")
    columns, rows = run(given, lambda line: None)
    return columns, list(rows)


def check_options(given: Namespace) -> None:
    """Check that the options can be combined.

    Raises:
        UserError: for options that exclude each other, or without a query.
    """
    if given.duplicates:
        for name in ("query", "at", "by", "checkpoint", "include_query"):
            if getattr(given, name) not in (None, False, []):
                shown = "a query" if name == "query" else f"--{name}"
                raise UserError(f"--duplicates compares all files of the index; leave out {shown}.")
        if given.method == "approximate":
            raise UserError("--duplicates is exact; leave out --method approximate.")
    elif not given.query:
        raise UserError("Give a query (a file), or --duplicates.")
    elif given.threshold is not None:
        raise UserError("--threshold needs --duplicates.")


def run(
    given: Namespace, say: Callable[[str], None] = print
) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
    """Print hits or pairs with ``say``, and return the columns and rows of their table."""
    index = load_index(given.index)
    if given.verify:
        index.verify()
    if given.duplicates:
        return duplicates(given, index, say)
    if given.by == "window" and index.windows is None:
        raise UserError(
            f"{given.index} holds one embedding per file; --by window needs an index made with "
            "--per window."
        )
    if given.at is not None and index.windows is None:
        raise UserError(f"--at needs an index made with --per window; {given.index} is per file.")
    examples, own = queries(given, index)
    by = given.by or index.header["per"]
    hits = best_hits(
        index,
        mean_of(examples),
        given.top,
        by,
        () if given.include_query else own,
        finder(given.method, index),
    )
    for hit in hits:
        say(f"{hit.similarity:.4f}  {shown(hit.file)}  {time_of(hit, index)}")
    if not hits:
        print("no other file is in the index", file=sys.stderr)
    table = ((i + 1, *hit) for i, hit in enumerate(hits))
    return ("rank", *Hit._fields), table


def queries(given: Namespace, index: Index) -> tuple[list[np.ndarray], list[int]]:
    """Return the embeddings ``[n, D]`` of each query, and the indices of those in the index.

    Raises:
        UserError: if a query is not in the index, and the encoder of the index is not given.
    """
    names = [text_of(query) for query in given.query]
    known = {same_file(entry.file): i for i, entry in enumerate(index.entries)}
    found = [number_of(name, index, known) for name in names]
    others = [name for name, i in zip(names, found, strict=True) if i is None]
    if others and given.checkpoint is None:
        raise UserError(
            f"{shown(others[0])} is not in the index {given.index}.\nTo search with a new file, "
            "give the encoder of the index: --checkpoint RUN"
        )
    rows = dict(zip(others, embed(given, index, others), strict=True)) if others else {}
    examples = [
        rows[name] if i is None else rows_of(index, i, given.at)
        for name, i in zip(names, found, strict=True)
    ]
    return examples, [i for i in found if i is not None]


def number_of(name: str, index: Index, known: dict[str, int]) -> int | None:
    """Return the number of a query's file in the index; None if it is not there.

    A file that exists on disk must have the same path in the index. For other names, the end of the
    path is enough, see `Index.find`.

    Args:
        name: path or name of the query.
        index: index to look in.
        known: absolute path of each indexed file (`same_file`) -> its number.
    """
    found = index.find(name, ending=False)
    if found is None:
        found = known.get(same_file(name))
    if found is None and not os.path.exists(system_path(name)):
        found = index.find(name)
    return found


def embed(given: Namespace, index: Index, files: list[str]) -> list[np.ndarray]:
    """Embed files with the encoder and the settings of the index.

    Returns the rows ``[n, D]`` of each file.
    """
    device = device_of(given.device)
    encoder = load(given.checkpoint, given.trust, device)
    if fingerprint(encoder) != index.encoder:
        raise UserError(
            f"--checkpoint {given.checkpoint} is not the encoder of the index {given.index}."
        )
    if (task := index.header["task"]) is not None and task not in encoder.tasks:
        raise UserError(f"The encoder has no task '{task}', which the index {given.index} names.")
    encode = in_precision(encoder, task, index.header["precision"])
    reading = Reading(encoder, encode, index.windows, device)
    rows: list[list[np.ndarray]] = [[] for _ in files]
    for piece in reading.averages(files):
        if piece.error is not None:
            raise piece.error
        if piece.rows is not None:
            rows[piece.item].append(piece.rows)
    found = [np.concatenate(blocks) for blocks in rows]
    if given.at is None or index.windows is None:
        return found
    return [
        _at(r, given.at, index, reading.lengths[i], f)
        for i, (r, f) in enumerate(zip(found, files, strict=True))
    ]


def _at(rows: np.ndarray, at: float, index: Index, samples: int, file: str) -> np.ndarray:
    assert index.windows is not None  # `run` has checked it
    starts, ends = index.windows.times(samples)
    if at > ends[-1]:
        raise UserError(f"--at must lie within {file}, which ends at {ends[-1]:g} s, got {at:g}.")
    nearest = int(np.abs((starts + ends) / 2 - at).argmin())
    return rows[nearest][None]


def duplicates(
    given: Namespace, index: Index, say: Callable[[str], None]
) -> tuple[tuple[str, ...], Iterator[tuple[Any, ...]]]:
    """Print near-identical pairs with ``say``, and return the columns and rows of their table."""
    groups = np.repeat(np.arange(len(index.entries)), [e.rows for e in index.entries])
    told = Progress(len(index.vectors), "comparing")
    threshold = THRESHOLD if given.threshold is None else given.threshold
    pairs, total = near_identical(index.vectors, threshold, given.top, groups, told.advance)
    places = [(pair, index.place(pair.first), index.place(pair.second)) for pair in pairs]
    for pair, first, second in places:
        a, b = (f"{shown(p[0])}  {time_of(Hit(0, *p), index)}" for p in (first, second))
        say(f"{pair.similarity:.4f}  {a}  {b}")
    more = f"; the {len(pairs)} most similar are listed (--top)" if total > len(pairs) else ""
    print(f"{total} pairs reach {threshold:g}{more}", file=sys.stderr)
    columns = ("similarity", "file", "start", "end", "other_file", "other_start", "other_end")
    return columns, ((pair.similarity, *first, *second) for pair, first, second in places)


def time_of(hit: Hit, index: Index) -> str:
    """Format the start and end of a hit in seconds.

    For an index with one embedding per file, return the length of the file.
    """
    if index.windows is None:
        return f"{hit.end:.2f} s"
    return f"{hit.start:.2f}-{hit.end:.2f} s"


def shown(name: str) -> str:
    """Return a name on one line, with control characters written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
