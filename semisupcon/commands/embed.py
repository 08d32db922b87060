"""``semisupcon embed``: write embeddings of audio files as a table or an array.

``.parquet`` and ``.csv`` files have one row per embedding: file, second, and the values e0, e1, ...
``.npy`` files have the array; a ``.csv`` file beside it has the names.
Only ``.parquet`` needs an extra package (pyarrow).
"""

import hashlib
import importlib.util
import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from semisupcon.audio.decoding import unusable
from semisupcon.audio.listing import audio_files
from semisupcon.commands.device import device_of
from semisupcon.commands.parser import Parser
from semisupcon.digests import add_weights
from semisupcon.embedding import (
    Piece,
    Progress,
    default_batch,
    embed_pieces,
    frozen,
    load_pieces,
    pieces_ahead,
)
from semisupcon.embedding.parts import Parts, being_written, with_breaks
from semisupcon.errors import AudioError, UserError
from semisupcon.files import atomic_open, atomic_path, system_path, text_of, write_csv
from semisupcon.locks import file_lock
from semisupcon.memory import keep_freed_memory
from semisupcon.outputs import check_writable, refuse_existing
from semisupcon.spec import spec_of

if TYPE_CHECKING:
    from torch import Tensor

    from semisupcon.encoders.base import Encoder

BATCHES_A_PART = {"cpu": 32, "cuda": 256}
PRECISIONS = ("float32", "bfloat16", "float16")
GROUP_BYTES = 16 << 20  # size of a row group in parquet


def parser() -> Parser:
    """Return the parser of the command."""
    p = Parser(
        prog="semisupcon embed",
        description="Embed audio files: one embedding per file or per second.",
    )
    p.add_argument(
        "audio",
        nargs="+",
        help="audio files, or folders to search for audio; any format and sample rate",
    )
    p.add_argument("--checkpoint", required=True, help="checkpoint, run folder or exported folder")
    p.add_argument(
        "--out",
        required=True,
        type=Path,
        help="output file: .parquet, .npy or .csv; repeat the command to continue after an interruption",
    )
    p.add_argument(
        "--per",
        choices=("file", "second"),
        default="file",
        help="one embedding per file (mean over its segments) or per second",
    )
    p.add_argument(
        "--task",
        help="use only this task or format of the encoder; default: all of them, concatenated",
    )
    p.add_argument(
        "--batch_size",
        type=int,
        help="segments per forward pass; default: 32 on a GPU, 400,000 samples in total on a CPU",
    )
    p.add_argument(
        "--workers",
        type=int,
        help="threads that decode audio; default: 2 on a CPU, else one per core, at most 16",
    )
    p.add_argument("--device", default="auto", help="cpu, cuda, or auto")
    p.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="of the encoder's arithmetic; embeddings are float32",
    )
    p.add_argument("--overwrite", action="store_true", help="replace existing output files")
    p.add_argument(
        "--trust",
        nargs="*",
        default=[],
        help="modules outside semisupcon whose classes the checkpoint may name",
    )
    return p


def main(args: list[str] | None = None) -> int:
    """Run the command and return the exit status.

    Unreadable files are reported; it is an error only if no file is readable.
    """
    given = parser().parse_args(args)
    if given.out.suffix not in (".parquet", ".npy", ".csv"):
        raise UserError(f"--out must end in .parquet, .npy or .csv, got '{given.out.name}'.")
    for name in ("batch_size", "workers"):
        if getattr(given, name) is not None and getattr(given, name) < 1:
            raise UserError(f"--{name} must be at least 1, got {getattr(given, name)}.")
    if given.out.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise UserError(
            "Writing .parquet needs pyarrow: pip install pyarrow, or give an --out that ends in "
            ".npy or .csv."
        )
    outputs = (
        [given.out, given.out.with_suffix(".csv")] if given.out.suffix == ".npy" else [given.out]
    )
    for output in outputs:
        check_writable(output)
    with file_lock(given.out, "embed", "give another --out"):
        refuse_existing(outputs, given.overwrite or being_written(given.out))
        return embed(given)


def embed(given: Namespace) -> int:
    """Embed the files given by the parsed options and return the exit status."""
    from semisupcon.checkpoints import load_encoder

    device = device_of(given.device)
    files, listings = audio_files(given.audio)
    for sentence in (s for listing in listings for s in (*listing.warnings(), *listing.notes())):
        print(sentence, file=sys.stderr)
    if device == "cpu":
        keep_freed_memory()
    encoder = cast("Encoder", load_encoder(given.checkpoint, given.trust).to(device))
    if given.task is not None and given.task not in encoder.tasks:
        raise UserError(
            f"The encoder has no task '{given.task}'; it has: {', '.join(encoder.tasks) or 'none'}."
        )
    kind = device.partition(":")[0]
    batch_size = given.batch_size or default_batch(encoder.segment_samples, device)
    plan = {
        "encoder": fingerprint(encoder),
        "audio": digest_of_files(files),
        **{"--per": given.per, "--task": given.task, "--batch_size": batch_size, "--device": kind},
        **({} if given.precision == "float32" else {"--precision": given.precision}),
    }
    parts = Parts(given.out, plan, given.overwrite)
    workers = given.workers or (2 if kind == "cpu" else min(16, os.cpu_count() or 1))
    try:
        embed_files(
            encoder,
            files,
            parts,
            given.per,
            given.task,
            batch_size,
            device,
            workers,
            given.precision,
        )
    except KeyboardInterrupt:
        print(
            f"interrupted; the same command continues after {parts.done} of {len(files)} files",
            file=sys.stderr,
        )
        return 130
    except UserError:
        if not parts.finished:
            parts.remove()
        raise
    problems = parts.problems()
    for position, problem in problems.items():
        print(f"left out {files[position]}: {problem}", file=sys.stderr)
    if len(problems) == len(files):
        parts.remove()
        raise UserError(f"None of the {len(files)} files can be read as audio.")
    parts.begin_writing()
    write(given.out, files, parts)
    count, width = sum(parts.sizes()), parts.width
    parts.remove()
    print(
        f"{count} embeddings of {len(files) - len(problems)} files, {width} values each: "
        f"{text_of(given.out)}"
    )
    if problems:
        print(f"{len(problems)} files could not be read and are left out", file=sys.stderr)
    return 0


def embed_files(
    encoder: "Encoder",
    files: list[str],
    parts: Parts,
    per: str,
    task: str | None,
    batch_size: int,
    device: str,
    workers: int,
    precision: str = "float32",
) -> None:
    """Embed the files that are in no finished part.

    Errors of single files are stored with the parts.
    """
    done = parts.done
    if done:
        print(f"continuing {parts.folder}: {done} of {len(files)} files are done", file=sys.stderr)
    told = Progress(len(files), "embedding", done)
    # Seconds between the starts of two segments.
    step = 1.0 if per == "second" else encoder.segment_samples / encoder.sample_rate

    def load(item: tuple[int, str]) -> Iterator[np.ndarray]:
        def silent(reason: str) -> None:
            raise unusable(item[1], reason)

        return load_pieces(*item, encoder, per, silent)

    def counted(pieces: Iterator[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            if piece.error is not None and not isinstance(piece.error, AudioError):
                raise piece.error
            if piece.rows is not None:
                told.advance(0, step * len(piece.rows))
            yield piece

    def checked(pieces: Iterator[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            if piece.rows is not None and not np.isfinite(piece.rows).all():
                raise UserError(
                    f"The embedding of {files[piece.item + done]} holds NaN or infinite values: "
                    "the encoder diverged in training."
                )
            yield piece

    segments = BATCHES_A_PART.get(device.partition(":")[0], 256) * batch_size
    with frozen(encoder):
        pieces = pieces_ahead(load, enumerate(files[done:]), workers)
        rows = embed_pieces(
            in_precision(encoder, task, precision),
            with_breaks(counted(pieces), segments),
            batch_size,
            device,
        )
        for _ in parts.write(checked(rows), mean=per == "file"):
            told.advance()


def in_precision(
    encoder: "Encoder", task: str | None, precision: str
) -> "Callable[[Tensor], Tensor]":
    """Return the forward pass of an encoder; under autocast if the precision is not float32."""
    import torch

    def encode(x: "Tensor") -> "Tensor":
        half = precision != "float32"
        with torch.autocast(
            x.device.type, dtype=getattr(torch, precision) if half else None, enabled=half
        ):
            return encoder(x, task=task)

    return encode


def fingerprint(encoder: "Encoder") -> str:
    """Hash of an encoder's spec and weights.

    Modules with equal weights may differ in their arguments.
    """
    form = [spec_of(encoder), encoder.sample_rate, encoder.segment_samples]
    digest = hashlib.blake2b(json.dumps(form, sort_keys=True).encode(), digest_size=16)
    add_weights(digest, encoder)
    return digest.hexdigest()


def digest_of_files(files: list[str]) -> str:
    """Hash of the names, sizes and modification times of files."""
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        try:
            status = os.stat(system_path(file))
            stamp = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            stamp = "absent"
        digest.update(system_path(file) + f"\0{stamp}\0".encode())
    return digest.hexdigest()


def write(out: Path, files: list[str], parts: Parts) -> None:
    """Write all parts to ``out``: ``.parquet``, ``.csv``, or ``.npy`` with the names in a ``.csv``
    beside it.
    """
    names = (
        (file, second)
        for file, size in zip(files, parts.sizes(), strict=True)
        for second in range(size)
    )
    most = max(1, GROUP_BYTES // (4 * parts.width))
    if out.suffix == ".npy":
        write_csv(out.with_suffix(".csv"), ("file", "second"), names)
        with atomic_open(out, "wb") as file:
            shape = (sum(parts.sizes()), parts.width)
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f4", "fortran_order": False, "shape": shape}
            )
            for rows in parts.rows(most):
                file.write(rows.data)
        return
    columns = ("file", "second", *(f"e{i}" for i in range(parts.width)))
    if out.suffix == ".csv":
        lines = (
            (*next(names), *(f"{v:.9g}" for v in row)) for rows in parts.rows(most) for row in rows
        )
        write_csv(out, columns, lines)  # 9 digits represent float32 exactly
        return
    import pyarrow as pa
    from pyarrow import parquet

    types = (pa.string(), pa.int64(), *[pa.float32()] * parts.width)
    schema = pa.schema(list(zip(columns, types, strict=True)))
    with atomic_path(out) as partial, parquet.ParquetWriter(partial, schema) as writer:
        for rows in parts.rows(most):
            labels = [next(names) for _ in range(len(rows))]
            values = [[n for n, _ in labels], [s for _, s in labels], *rows.T]
            writer.write_table(pa.table(values, schema=schema))
