"""``semisupcon embed``: write embeddings of audio files as a table or an array.

``.parquet`` and ``.csv`` files have one row per embedding, with the columns ``file``, ``second``,
``e0``, ``e1``, ... A ``.npy`` file contains the array of embeddings; a ``.csv`` file of the same
name lists the file and the second of each row. Writing ``.parquet`` needs the package pyarrow.
"""

import importlib.util
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np

from semisupcon.audio.listing import audio_files
from semisupcon.commands.device import device_of
from semisupcon.commands.embed_files import digest_of_files, embed_files, fingerprint
from semisupcon.commands.in_parts import (
    check_task,
    completed,
    load,
    none_readable,
    tell,
    tell_left_out,
    workers_of,
)
from semisupcon.commands.parsing.encoder_options import (
    add_checkpoint,
    add_computing,
    add_precision,
    add_trust,
    check_computing,
)
from semisupcon.commands.parsing.parser import Parser
from semisupcon.embedding import batch_of
from semisupcon.embedding.parts import Parts, being_written
from semisupcon.errors import UserError
from semisupcon.files import atomic_open, atomic_path, write_csv
from semisupcon.locks import file_lock
from semisupcon.memory import keep_freed_memory
from semisupcon.outputs import check_writable, refuse_existing
from semisupcon.paths import text_of

GROUP_BYTES = 16 << 20  # maximum size of a row group in .parquet files


def parser() -> Parser:
    """Return the argument parser of ``semisupcon embed``."""
    p = Parser(
        prog="semisupcon embed",
        description="Embed audio files: one embedding per file or per second.",
    )
    p.add_argument(
        "audio",
        nargs="+",
        help="audio files, or folders to search for audio; any format and sample rate",
    )
    add_checkpoint(p)
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
    add_computing(p)
    add_precision(p)
    p.add_argument("--overwrite", action="store_true", help="replace existing output files")
    add_trust(p)
    return p


def main(args: list[str] | None = None) -> int:
    """Run ``semisupcon embed`` and return the exit status.

    Unreadable files are reported and left out. The command fails only if no file is readable.
    """
    given = parser().parse_args(args)
    if given.out.suffix not in (".parquet", ".npy", ".csv"):
        raise UserError(f"--out must end in .parquet, .npy or .csv, got '{given.out.name}'.")
    check_computing(given)
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
    """Embed the files that the parsed options name, and return the exit status."""
    device = device_of(given.device)
    files, listings = audio_files(given.audio)
    tell(listings)
    if device == "cpu":
        keep_freed_memory()
    encoder = load(given.checkpoint, given.trust, device)
    check_task(encoder, given.task)
    kind = device.partition(":")[0]
    batch_size = given.batch_size or batch_of(encoder, device)
    plan = {
        "encoder": fingerprint(encoder),
        "audio": digest_of_files(files),
        **{"--per": given.per, "--task": given.task, "--batch_size": batch_size, "--device": kind},
        **({} if given.precision == "float32" else {"--precision": given.precision}),
    }
    parts = Parts(given.out, plan, given.overwrite)
    settings = given.per, given.task, batch_size, device, workers_of(given, device), given.precision
    if not completed(parts, lambda: embed_files(encoder, files, parts, *settings), len(files)):
        return 130
    problems = tell_left_out(parts, files)
    if len(problems) == len(files):
        raise none_readable(parts, len(files))
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


def write(out: Path, files: list[str], parts: Parts) -> None:
    """Write the embeddings of all parts to ``out``, in the format of its suffix.

    ``.parquet`` and ``.csv`` files also have the names of the audio files. For ``.npy``, the names
    go into a ``.csv`` file of the same name.
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
        write_csv(out, columns, lines)  # 9 significant digits represent float32 exactly
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
