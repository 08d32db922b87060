"""``semisupcon tag``: label a folder of audio from a table that labels some of its files.

A linear probe is trained on the labelled files and predicts the labels of all other files. Its
accuracy is estimated by cross-validation on the labelled files. Writing ``.parquet`` needs the
package pyarrow.
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
)
from semisupcon.commands.parsing.parser import Parser
from semisupcon.embedding.parts import being_written
from semisupcon.errors import ConfigError
from semisupcon.kinds import KINDS
from semisupcon.labelling.formats import check_format, write_rows
from semisupcon.locks import file_lock
from semisupcon.memory import keep_freed_memory
from semisupcon.outputs import check_writable, refuse_existing
from semisupcon.paths import text_of

if TYPE_CHECKING:
    import numpy as np

    from semisupcon.embedding.parts import Parts
    from semisupcon.labelling.labels import Labels
    from semisupcon.labelling.training import Trained
    from semisupcon.probing.embeddings.subject import Subject

COLUMNS = ("file", "label", "probability", "uncertainty", "distance")


def parser() -> Parser:
    """Return the argument parser of ``semisupcon tag``."""
    p = Parser(
        prog="semisupcon tag",
        description="Label a folder of audio from a table that labels some of its files.",
    )
    p.add_argument("--audio", required=True, help="folder of audio")
    p.add_argument(
        "--labels", required=True, type=Path, help="table (.csv or .tsv) with paths and labels"
    )
    add_encoder(p)
    p.add_argument(
        "--kind", choices=tuple(KINDS), default="multiclass", help="label kind of the table"
    )
    p.add_argument("--path_column", default="path", help="column of paths, relative to --audio")
    p.add_argument(
        "--label_column",
        nargs="+",
        default=["label"],
        help="column of labels; several are several values, or 0/1 columns of tags",
    )
    p.add_argument(
        "--group_column",
        help="column of groups (speaker, recording) that stay in one fold; default: group, if the "
        "table has it",
    )
    p.add_argument("--separator", help="separator of fields; default: tabs in a .tsv, else commas")
    p.add_argument("--label_separator", default=";", help="separator of tags in a multilabel field")
    p.add_argument(
        "--representation", default="embedding", help="representation of the encoder to train on"
    )
    p.add_argument("--save_head", type=Path, help="file of the trained head, for predict --head")
    p.add_argument(
        "--suggest", type=int, default=0, help="name this many files that are most worth labelling"
    )
    p.add_argument(
        "--suggestions", type=Path, help="table (.csv) of the suggested files; default: printed"
    )
    return p


def main(args: list[str] | None = None) -> int:
    """Run ``semisupcon tag`` and return the exit status.

    Unreadable files are reported and left out. The command fails only if no file is readable.
    """
    given = parser().parse_args(args)
    form = check_common(given)
    check_threshold(given, given.kind)
    if given.suggest < 0 or (given.suggestions and not given.suggest):
        raise ConfigError("--suggest must be a number of files, 1 or more.")
    outputs = [path for path in (given.out, given.save_head, given.suggestions) if path]
    if len({path.absolute() for path in outputs}) < len(outputs):
        raise ConfigError("--out, --save_head and --suggestions must be different files.")
    for option, path in (("--save_head", given.save_head), ("--suggestions", given.suggestions)):
        if path:
            check_writable(path, option)
    check_writable(given.out)
    with file_lock(given.out, "tag", "give another --out"):
        refuse_existing(outputs, given.overwrite or being_written(given.out))
        return tag(given, form)


def tag(given: Namespace, form: str) -> int:
    """Label the files that the parsed options name, and return the exit status.

    Args:
        given: parsed options.
        form: format of the output.
    """
    from semisupcon.commands.embed_files import digest_of_files
    from semisupcon.commands.in_parts import tell, workers_of
    from semisupcon.commands.label_files import blocks_of, embedded
    from semisupcon.labelling.labels import read_labels
    from semisupcon.labelling.rows import columns_of, rows_of
    from semisupcon.labelling.stream import Reading
    from semisupcon.labelling.training import check_labels, train
    from semisupcon.probing.embeddings.encoders import load_subject

    columns = given.path_column, given.label_column, given.group_column
    how = given.separator, given.label_separator
    labels = read_labels(given.audio, given.labels, given.kind, *columns, *how)
    check_labels(labels.clips, labels.groups)
    listed, listings = audio_files([given.audio])
    tell(listings)
    labels = labels.named_as(listed)
    there, known = set(listed), set(labels.files)
    others = [file for file in listed if file not in known]
    check_format(form, len(others))
    if not others:
        raise ConfigError(f"All {len(listed)} files in {given.audio} are labelled already.")
    files = [*listed, *(file for file in labels.files if file not in there)]
    device = device_of(given.device)
    if device == "cpu":
        keep_freed_memory()
    subject = load_subject(given.checkpoint, given.representation, given.trust).to(device)
    encoder = subject.encoder
    workers = workers_of(given, device)
    reading = Reading(encoder, subject, None, device, given.batch_size, workers)
    plan = {"encoder": subject.fingerprint(), "audio": digest_of_files(files), "--per": "file"}
    if (parts := embedded(given, reading, files, plan, "embedding")) is None:
        return 130
    rows = {b.file: b.means[0] for b in blocks_of(parts, files) if b.file in known}
    labels = labels.select([i for i, file in enumerate(labels.files) if file in rows])
    trained = train(_stacked(rows, labels), labels.clips, labels.groups)
    tell_estimate(trained, labels)
    parts.begin_writing()
    tagger, rate, choice = trained.tagger, encoder.sample_rate, (given.all, given.threshold)
    found = (
        rows_of(b.file, tagger.scores(b.means), b.samples, rate, None, tagger, *choice)
        for b in blocks_of(parts, files)
        if b.file not in known
    )
    write_rows(given.out, form, found, columns_of(tagger.kind), rate)
    if given.suggest:
        tell_suggestions(given, trained, labels, _stacked(rows, labels), parts, files)
    if given.save_head:
        save(given.save_head, trained, labels, subject)
    problems = {files[i] for i in parts.problems()}
    parts.remove()
    done = sum(file not in problems for file in others)
    print(f"{done} files labelled from {len(labels.files)} labelled ones: {text_of(given.out)}")
    if problems:
        print(f"{len(problems)} files could not be read and are left out", file=sys.stderr)
    return 0


def _stacked(rows: "dict[str, np.ndarray]", labels: "Labels") -> "np.ndarray":
    import numpy as np

    return np.stack([rows[file] for file in labels.files]) if rows else np.zeros((0, 1))


def tell_estimate(trained: "Trained", labels: "Labels") -> None:
    """Print the cross-validated metrics of the probe."""
    from semisupcon.labelling.estimating import estimates, sentences

    clips, tagger = labels.clips, trained.tagger
    found = estimates(tagger.kind, trained.targets, trained.scores, clips.classes, labels.groups)
    print("\n".join(sentences(found, len(clips), trained.folds, labels.groups is not None)))


def tell_suggestions(
    given: Namespace,
    trained: "Trained",
    labels: "Labels",
    labelled: "np.ndarray",
    parts: "Parts",
    files: list[str],
) -> None:
    """Print, or write to a file, the files whose labels would help most.

    Args:
        given: parsed options.
        trained: trained probe.
        labels: labelled files.
        labelled: ``[n, D]``, embeddings of the labelled files.
        parts: embeddings of all files.
        files: names of all files, in the order of the parts.
    """
    from semisupcon.commands.label_files import blocks_of
    from semisupcon.files import write_csv
    from semisupcon.labelling.suggesting import suggest

    known = set(labels.files)
    others = (
        (b.file, b.means[0], trained.tagger.scores(b.means)[0])
        for b in blocks_of(parts, files)
        if b.file not in known
    )
    found = suggest(given.suggest, labelled, others, trained.tagger)
    if given.suggestions:
        lines = ((s.file, s.label, *(f"{v:.6g}" if v == v else "" for v in s[2:])) for s in found)
        write_csv(given.suggestions, COLUMNS, lines)
        print(f"{len(found)} files worth labelling: {text_of(given.suggestions)}")
        return
    print(f"Files most worth labelling, the best first ({len(found)}):")
    print("\n".join(f"  {s.file}" for s in found))


def save(path: Path, trained: "Trained", labels: "Labels", subject: "Subject") -> None:
    """Write the head of the probe to a file for ``semisupcon predict --head``."""
    from semisupcon.probing.methods.head import save_head

    tagger = trained.tagger
    about = {
        "task": f"{len(labels.files)} labelled files",
        "classes": list(tagger.classes),
        "aggregation": tagger.aggregation,
        "encoder": subject.fingerprint(),
        "representation": subject.representation,
    }
    save_head(tagger.head, path, about, tagger.calibration)
    print(f"Head: {text_of(path)}")
