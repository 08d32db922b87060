"""`python -m semisupcon embed`: embeddings of any audio as a table or an array.

``.parquet`` holds one row an embedding (file, second, and the values e0, e1, ...); ``.npy`` holds the array, with the names beside it in ``.csv``.
Parquet needs pyarrow; everything else works with what embedding itself needs.
"""

import sys
from argparse import Namespace
from pathlib import Path

import numpy as np

from semisupcon.audio.listing import audio_files
from semisupcon.commands.device import device_of
from semisupcon.commands.parser import Parser
from semisupcon.embedding import embed_segments, frozen, load_segments, progress, read_ahead
from semisupcon.errors import AudioError, UserError
from semisupcon.files import atomic_open, atomic_path, write_csv
from semisupcon.locks import file_lock
from semisupcon.memory import keep_freed_memory


def parser() -> Parser:
    """The options of the command."""
    p = Parser(prog="python -m semisupcon embed", description="Embeddings of audio files, one a file or one a second.")
    p.add_argument("audio", nargs="+", help="files, or folders that are searched for audio, of any format and sample rate")
    p.add_argument("--checkpoint", required=True, help="checkpoint, run folder or exported folder")
    p.add_argument("--out", required=True, type=Path, help="file that ends in .parquet or .npy")
    p.add_argument(
        "--per", choices=("file", "second"), default="file", help="one embedding a file (mean over its segments), or one a second"
    )
    p.add_argument("--task", help="the part of one task or format, in encoders that have several")
    p.add_argument("--batch_size", type=int, default=32, help="segments in a forward pass")
    p.add_argument("--device", default="auto", help="cpu, cuda, or auto")
    p.add_argument("--trust", nargs="*", default=[], help="modules whose classes the checkpoint may name")
    return p


def main(args: list[str] | None = None) -> int:
    """Embed; returns the exit status. Files that cannot be read are listed; it is a mistake only when none can."""
    given = parser().parse_args(args)
    if given.out.suffix not in (".parquet", ".npy"):
        raise UserError(f"--out must end in .parquet or .npy, got '{given.out.name}'.")
    if given.batch_size < 1:
        raise UserError(f"--batch_size must be at least 1, got {given.batch_size}.")
    with file_lock(given.out, "embed", "give another --out"):
        return embed(given)


def embed(given: Namespace) -> int:
    """Embed what the options ask for; returns the exit status."""
    from semisupcon.checkpoints import load_encoder

    device = device_of(given.device)
    files, listings = audio_files(given.audio)
    for sentence in (s for listing in listings for s in (*listing.warnings(), *listing.notes())):
        print(sentence, file=sys.stderr)
    if device == "cpu":
        keep_freed_memory()
    encoder = load_encoder(given.checkpoint, given.trust).to(device)
    if given.task is not None and given.task not in encoder.tasks:
        raise UserError(f"The encoder has no task '{given.task}'; it has: {', '.join(encoder.tasks) or 'none'}.")
    broken: dict[str, str] = {}

    def load(file: str) -> np.ndarray:
        try:
            return load_segments(0, file, encoder, given.per)
        except AudioError as error:
            broken[file] = error.problem
            return np.zeros((0, encoder.segment_samples), np.float32)

    with frozen(encoder):
        segments = progress(read_ahead(load, files), len(files), "embedding")
        rows = list(embed_segments(lambda x: encoder(x, task=given.task), segments, given.batch_size, device))
    kept = [(file, r if given.per == "second" else r.mean(axis=0, keepdims=True)) for file, r in zip(files, rows, strict=True) if len(r)]
    for file, problem in broken.items():
        print(f"left out {file}: {problem}", file=sys.stderr)
    if not kept:
        raise UserError(f"None of the {len(files)} files can be read as audio.")
    write(given.out, kept)
    print(f"{sum(len(r) for _, r in kept)} embeddings of {len(kept)} files, {kept[0][1].shape[1]} values each: {given.out}")
    if broken:
        print(f"{len(broken)} files could not be read and are left out", file=sys.stderr)
    return 0


def write(out: Path, embeddings: list[tuple[str, np.ndarray]]) -> None:
    """Write embeddings ``[n, D]`` of each file as ``.parquet``, or as ``.npy`` with a ``.csv`` of names beside it."""
    names = [(file, second) for file, rows in embeddings for second in range(len(rows))]
    values = np.concatenate([rows for _, rows in embeddings]).astype(np.float32, copy=False)
    if out.suffix == ".npy":
        write_csv(out.with_suffix(".csv"), ("file", "second"), names)
        with atomic_open(out, "wb") as file:
            np.save(file, values)
        return
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise UserError("Writing .parquet needs pyarrow: pip install pyarrow, or give an --out that ends in .npy.") from error
    columns = {"file": [n for n, _ in names], "second": [s for _, s in names]}
    columns |= {f"e{i}": values[:, i] for i in range(values.shape[1])}
    with atomic_path(out) as partial:
        parquet.write_table(pa.table(columns), partial)
