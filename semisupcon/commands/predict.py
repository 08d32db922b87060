"""``semisupcon predict``: write the labels that a saved head gives to audio files or windows.

The head comes from a probe (``heads/NAME.safetensors``), from ``semisupcon tag --save_head``, or
from an imported checkpoint. Writing ``.parquet`` needs the package pyarrow.
"""

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from semisupcon.audio.listing import audio_files
from semisupcon.commands.device import device_of
from semisupcon.commands.parsing.labelling_options import (
    add_encoder,
    check_common,
    check_threshold,
    check_windows,
)
from semisupcon.commands.parsing.parser import Parser
from semisupcon.embedding.parts import being_written
from semisupcon.kinds import AGGREGATIONS
from semisupcon.labelling.formats import FORMATS, check_format, write_rows
from semisupcon.locks import file_lock
from semisupcon.memory import keep_freed_memory
from semisupcon.outputs import check_writable, refuse_existing
from semisupcon.paths import text_of

if TYPE_CHECKING:
    from semisupcon.labelling.tagger import Tagger
    from semisupcon.probing.embeddings.subject import Subject

__all__ = ["FORMATS", "main", "parser"]


def parser() -> Parser:
    """Return the argument parser of ``semisupcon predict``."""
    p = Parser(
        prog="semisupcon predict",
        description="Label audio files with a saved head: one row per file or window and label.",
    )
    p.add_argument(
        "audio",
        nargs="+",
        help="audio files, or folders to search for audio; any format and sample rate",
    )
    p.add_argument(
        "--head",
        required=True,
        type=Path,
        help="saved head of a probe or of semisupcon tag; or the folder of an imported checkpoint",
    )
    add_encoder(p)
    p.add_argument(
        "--per",
        choices=("file", "window"),
        default="file",
        help="predict every file, or every window of it",
    )
    p.add_argument(
        "--window", type=float, help="seconds per window; default: a segment of the encoder"
    )
    p.add_argument(
        "--hop", type=float, help="seconds from one window to the next; default: --window"
    )
    p.add_argument(
        "--representation",
        help="what the head reads; default: what it was trained on (embedding for older heads)",
    )
    p.add_argument(
        "--head_classes",
        nargs="+",
        default=[],
        help="names of the outputs of an imported head in their order, or a file with one per line",
    )
    p.add_argument(
        "--head_kind",
        choices=("multilabel", "multiclass"),
        help="label kind of an imported head; default: multilabel",
    )
    p.add_argument(
        "--aggregation",
        choices=AGGREGATIONS,
        help="what an imported head averages over the segments of a file; default: embedding",
    )
    return p


def main(args: list[str] | None = None) -> int:
    """Run ``semisupcon predict`` and return the exit status.

    Unreadable files are reported and left out. The command fails only if no file is readable.
    """
    given = parser().parse_args(args)
    form = check_common(given)
    check_windows(given)
    check_writable(given.out)
    with file_lock(given.out, "predict", "give another --out"):
        refuse_existing([given.out], given.overwrite or being_written(given.out))
        return predict(given, form)


def predict(given: Namespace, form: str) -> int:
    """Label the files that the parsed options name, and return the exit status.

    Args:
        given: parsed options.
        form: format of the output.
    """
    from semisupcon.commands.embed_files import digest_of_files
    from semisupcon.commands.in_parts import tell, workers_of
    from semisupcon.commands.label_files import blocks_of, embedded
    from semisupcon.labelling.rows import columns_of, rows_of
    from semisupcon.labelling.stream import Reading
    from semisupcon.labelling.tagger import uncalibrated
    from semisupcon.labelling.windows import windows_for

    device = device_of(given.device)
    files, listings = audio_files(given.audio)
    check_format(form, len(files))
    tell(listings)
    if device == "cpu":
        keep_freed_memory()
    subject, tagger, identity = loaded(given)
    check_threshold(given, tagger.kind)
    if told := uncalibrated(tagger):
        print(told, file=sys.stderr)
    encoder = subject.to(device).encoder
    windows = windows_for(encoder, given.window, given.hop) if given.per == "window" else None
    workers = workers_of(given, device)
    encode = tagger.encode(subject)
    reading = Reading(encoder, encode, windows, device, given.batch_size, workers)
    plan = {
        "encoder": subject.fingerprint(),
        "--head": identity,
        "audio": digest_of_files(files),
        "--per": given.per,
        "--window": windows and [windows.length, windows.hop],
    }
    if (parts := embedded(given, reading, files, plan, "predicting")) is None:
        return 130
    parts.begin_writing()
    rate, choice = encoder.sample_rate, (given.all, given.threshold)
    found = (
        rows_of(
            b.file,
            tagger.scores(b.means),
            b.samples,
            rate,
            windows,
            tagger,
            *choice,
            b.first,
            b.last,
        )
        for b in blocks_of(parts, files)
    )
    count = write_rows(given.out, form, found, columns_of(tagger.kind), rate)
    left_out = len(parts.problems())
    parts.remove()
    done = len(files) - left_out
    print(f"{count} rows for {done} file{'s' * (done != 1)}: {text_of(given.out)}")
    if left_out:
        print(f"{left_out} files could not be read and are left out", file=sys.stderr)
    return 0


def loaded(given: Namespace) -> "tuple[Subject, Tagger, str]":
    """Load the encoder and the head. Also return a text that identifies the head.

    Raises:
        CheckpointError: for a file that is not a head, or a head of another encoder.
        ConfigError: for options of imported heads that are given with another head.
    """
    from semisupcon.digests import digest_of
    from semisupcon.errors import ConfigError
    from semisupcon.importer import HEADS
    from semisupcon.labelling.tagger import imported_tagger, load_tagger, representation_in
    from semisupcon.probing.embeddings.encoders import load_subject
    from semisupcon.probing.methods.imported_head import imported_folder

    if (folder := imported_folder(given.head)) is not None:
        subject = load_subject(given.checkpoint, given.representation or "embedding", given.trust)
        how = given.head_kind or "multilabel", given.aggregation or "embedding"
        tagger = imported_tagger(folder, subject, given.head_classes, *how)
        return subject, tagger, f"{digest_of(folder / HEADS)} {tagger.classes} {how}"
    for name in ("head_classes", "head_kind", "aggregation"):
        if getattr(given, name):
            raise ConfigError(f"--{name} is for heads of imported checkpoints only.")
    representation = given.representation or representation_in(given.head)
    subject = load_subject(given.checkpoint, representation, given.trust)
    return subject, load_tagger(given.head, subject), digest_of(given.head)
