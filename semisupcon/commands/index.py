"""``semisupcon index``: embed audio files into an index for ``semisupcon search`` and ``explore``.

After an interruption, the same command continues. If the index exists, only new and changed files
are embedded.
"""

import sys
from argparse import Namespace
from collections import deque
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semisupcon.audio.listing import audio_files
from semisupcon.commands.device import device_of
from semisupcon.commands.embed_files import digest_of_files, fingerprint, in_precision
from semisupcon.commands.in_parts import (
    check_task,
    completed,
    load,
    none_readable,
    tell,
    tell_continued,
    tell_left_out,
    workers_of,
)
from semisupcon.commands.parsing.index_options import RANGES, parser
from semisupcon.commands.parsing.ranges import check_numbers
from semisupcon.embedding import Progress, batch_of
from semisupcon.embedding.parts import Parts, being_written, folder_of
from semisupcon.errors import UserError
from semisupcon.files import leftovers
from semisupcon.labelling.stream import Reading
from semisupcon.labelling.windows import windows_for
from semisupcon.locks import folder_lock
from semisupcon.memory import keep_freed_memory
from semisupcon.outputs import check_folder
from semisupcon.retrieval.approximate import FROM_ROWS, package
from semisupcon.retrieval.building import (
    Entry,
    graph_of,
    remove_others,
    state_of,
    to_embed,
    write_graph,
    write_index,
)
from semisupcon.retrieval.index import INDEX, Index, load_index

if TYPE_CHECKING:
    from semisupcon.encoders.base import Encoder


def main(args: list[str] | None = None) -> int:
    """Run ``semisupcon index`` and return the exit status."""
    given = parser().parse_args(args)
    check_numbers(vars(given), RANGES)
    if given.per != "window" and (given.window is not None or given.hop is not None):
        raise UserError("--window and --hop need --per window.")
    if given.approximate == "yes":
        package()
    check_folder(given.out)
    with folder_lock(given.out, "index", "give another --out"):
        return run(given)


def run(given: Namespace) -> int:
    """Index the files that the parsed options name, and return the exit status."""
    out = given.out
    old = existing(out, given.overwrite)
    device = device_of(given.device)
    files, listings = audio_files(given.audio)
    tell(listings)
    if device == "cpu":
        keep_freed_memory()
    encoder = load(given.checkpoint, given.trust, device)
    check_task(encoder, given.task)
    header = header_of(given, encoder, old)
    todo = to_embed(files, old)
    gone = [e.file for e in old.entries if state_of(e.file).size < 0] if old is not None else []
    if (found := embedded(given, encoder, device, todo, header)) is None:
        return 130
    new, parts = found
    left_out = tell_left_out(parts, todo)
    if not new and old is None:
        raise none_readable(parts, len(files))
    removed = gone if given.prune else []
    # Also remove changed files that can no longer be read: their vectors are out of date.
    removed = [*removed, *(todo[position] for position in left_out)]
    index = old
    if new or old is None or (set(removed) & {e.file for e in old.entries}):
        if not new and old is not None and len(set(removed)) >= len(old.entries):
            parts.remove()
            raise UserError("No file of the index is left; the index was not changed.")
        header["dim"] = parts.width or (old.header["dim"] if old is not None else 0)
        parts.begin_writing()
        index = write_index(out, header, old, new, parts.rows, removed)
    parts.remove()
    assert index is not None  # the existing index or a new one
    finish(given, index)
    known = len(files) - len(todo)
    print(
        f"{out}: {len(index.vectors)} embeddings of {len(index.entries)} files; {len(new)} files "
        f"embedded, {max(known, 0)} unchanged"
    )
    if gone and not given.prune:
        print(
            f"{len(gone)} files of the index no longer exist; --prune removes them", file=sys.stderr
        )
    return 0


def existing(out: Path, overwrite: bool) -> Index | None:
    """Load the existing index in a folder; None if a new index must be made.

    Raises:
        UserError: if the folder has files that do not belong to an index.
    """
    parts = folder_of(out / INDEX)
    there = set(out.iterdir()) - {parts, out / ".lock"} - set(leftovers(out))
    if (out / INDEX).is_file():
        return None if overwrite else load_index(out)
    ours = {p for p in there if p.name.startswith(("vectors-", "files-", "graph-"))}
    if there - ours:
        raise UserError(
            f"{out} holds other files than an index, such as {min(there - ours).name}.\nGive "
            "another --out."
        )
    return None


def header_of(given: Namespace, encoder: "Encoder", old: Index | None) -> dict[str, Any]:
    """Return the header of the index, with the encoder and the settings.

    Args:
        given: parsed options.
        encoder: encoder of the command.
        old: existing index; None for a new index.

    Raises:
        UserError: if encoder or settings differ from those of the existing index.
    """
    per = given.per or (old.header["per"] if old is not None else "file")
    header: dict[str, Any] = {
        "encoder": fingerprint(encoder),
        "per": per,
        "sample_rate": encoder.sample_rate,
        "task": given.task,
        "precision": given.precision,
        "dim": 0,
    }
    if per == "window":
        if given.per is None and old is not None:
            window = old.header["window_samples"] / old.header["sample_rate"]
            windows = windows_for(encoder, window, old.header["hop"])
        else:
            windows = windows_for(encoder, given.window, given.hop)
        header |= {"window_samples": windows.length, "hop": windows.hop}
    if old is None:
        return header
    if header["encoder"] != old.encoder:
        raise UserError(
            f"{given.out} is an index of another encoder than {given.checkpoint}.\nGive its "
            "checkpoint, another --out, or --overwrite to make the index anew."
        )
    names = {"window_samples": "window"}
    for name in header.keys() - {"dim"}:
        if header[name] != old.header.get(name):
            raise UserError(
                f"{given.out} is an index with another --{names.get(name, name)}.\nGive its "
                "options, another --out, or --overwrite to make the index anew."
            )
    return header


def embedded(
    given: Namespace, encoder: "Encoder", device: str, todo: list[str], header: dict[str, Any]
) -> tuple[list[Entry], Parts] | None:
    """Embed files and store the embeddings in parts, which a repeated command keeps.

    Args:
        given: parsed options.
        encoder: encoder of the index.
        device: torch device.
        todo: files to embed.
        header: header of the index.

    Returns:
        Entries of the readable files, and the parts; None after an interruption by the user.
    """
    kind = device.partition(":")[0]
    windows = None
    if header["per"] == "window":
        windows = windows_for(
            encoder, header["window_samples"] / encoder.sample_rate, header["hop"]
        )
    batch_size = given.batch_size or batch_of(encoder, device)
    plan = {
        **{f"--{name}" if name != "encoder" else name: header[name] for name in header},
        **{"audio": digest_of_files(todo), "--batch_size": batch_size, "--device": kind},
    }
    states = [state_of(file) for file in todo]
    # A run can crash after it has replaced the index and before it has removed its parts. The files
    # are then in the index already, and the parts are not used.
    useless = being_written(given.out / INDEX)
    parts = Parts(given.out / INDEX, plan, given.overwrite or useless)
    reading = Reading(
        encoder,
        in_precision(encoder, given.task, given.precision),
        windows,
        device,
        batch_size,
        workers_of(given, device),
    )
    if not completed(parts, lambda: _write(parts, reading, todo), len(todo)):
        return None
    numbers = zip(todo, parts.sizes(), parts.lengths(), states, strict=True)
    return [Entry(file, rows, n, *state) for file, rows, n, state in numbers if rows], parts


def _write(parts: Parts, reading: Reading, todo: list[str]) -> None:
    tell_continued(parts, len(todo))
    if parts.done < len(todo):
        told = Progress(len(todo), "embedding", parts.done)
        pieces = reading.averages(todo[parts.done :], told=told)
        deque(parts.write(pieces, mean=False, lengths=reading.lengths), maxlen=0)


def finish(given: Namespace, index: Index) -> None:
    """Write the approximate index if it is requested and missing, and remove outdated files.

    The approximate index is removed with ``--approximate no``.
    """
    graph = graph_of(index)
    wanted = given.approximate == "yes" or (
        given.approximate == "auto"
        and len(index.vectors) >= FROM_ROWS
        and find_spec("faiss") is not None
    )
    if wanted and not graph.is_file():
        print("writing the approximate index", file=sys.stderr)
        write_graph(index)
    kept = {index.header[part]["file"] for part in ("vectors", "files")}
    remove_others(given.out, kept | ({graph.name} if given.approximate != "no" else set()))
