"""``semisupcon export RUN --out FOLDER``: write the encoder of a run as safetensors and JSON, with a
model card; or as one graph for other programs, as ONNX or as a program of torch.export.
"""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from semisupcon.commands.parsing.card_options import add_card, check_card
from semisupcon.commands.parsing.parser import Parser
from semisupcon.errors import ConfigError
from semisupcon.outputs import check_folder, refuse_existing

if TYPE_CHECKING:
    from semisupcon.labelling.tagger import Tagger
    from semisupcon.probing.embeddings.subject import Subject

FORMATS = ("safetensors", "onnx", "torch_export")


def parser() -> Parser:
    """Return the argument parser of ``semisupcon export``."""
    p = Parser(prog="semisupcon export", description=__doc__)
    p.add_argument("run", help="run folder, checkpoint or exported folder")
    p.add_argument("--out", required=True, help="folder to write")
    p.add_argument(
        "--format",
        choices=FORMATS,
        default="safetensors",
        help="safetensors: weights and JSON, which this package loads; onnx, torch_export: one "
        "graph from waveforms to embeddings for other programs",
    )
    p.add_argument(
        "--head",
        type=Path,
        help="saved head of a probe or of semisupcon tag, to export with the encoder",
    )
    p.add_argument(
        "--representation",
        help="onnx, torch_export: what is exported; default: embedding, or what the head reads",
    )
    p.add_argument(
        "--per",
        choices=("segment", "file"),
        help="onnx, torch_export: embed a waveform at once, or cut it into segments and average, "
        "as embed and predict do; default: segment, with a head file",
    )
    p.add_argument(
        "--tolerance",
        type=float,
        help="onnx, torch_export: largest relative difference from PyTorch with which a file is "
        "kept; default: 1e-5",
    )
    p.add_argument(
        "--overwrite", action="store_true", help="replace existing files with these names"
    )
    p.add_argument(
        "--trust",
        action="append",
        default=[],
        help="module outside semisupcon whose classes the file may name",
    )
    add_card(p)
    return p


def main(args: list[str] | None = None) -> int:
    """Export the encoder and return the exit status."""
    given = parser().parse_args(args)
    stated = check_card(given)
    if given.format != "safetensors":
        return export_graph(given)
    for name in ("representation", "per", "tolerance"):
        if getattr(given, name) is not None:
            raise ConfigError(f"--{name} needs --format onnx or torch_export.")
    from semisupcon.exporter.folder import export_folder

    print(export_folder(given, stated))
    return 0


def export_graph(given: Namespace) -> int:
    """Export a graph, print the differences from PyTorch, and return the exit status."""
    from semisupcon.exporter import TOLERANCE, check_packages, files_of
    from semisupcon.exporter import export_graph as export
    from semisupcon.exporter.table import printed

    tolerance = TOLERANCE if given.tolerance is None else given.tolerance
    if not 0 < tolerance < 1:
        raise ConfigError(f"--tolerance must lie between 0 and 1, got {tolerance:g}.")
    refuse_existing(files_of(given.out, given.format), given.overwrite)
    check_folder(given.out)
    check_packages(given.format)
    subject, tagger = loaded(given)
    done = export(subject, given.out, given.format, tagger, given.per, tolerance)
    print("\n".join(printed(done)))
    return 0


def loaded(given: Namespace) -> "tuple[Subject, Tagger | None]":
    """Load the encoder and, if given, the head.

    Raises:
        CheckpointError: for a file that is not a checkpoint or not a head, or a head of another
            encoder.
    """
    from semisupcon.checkpoints import find_checkpoint
    from semisupcon.labelling.tagger import load_tagger, representation_in
    from semisupcon.probing.embeddings.encoders import load_subject

    source, representation = str(find_checkpoint(given.run)), given.representation
    if given.head is None:
        return load_subject(source, representation or "embedding", given.trust), None
    subject = load_subject(source, representation or representation_in(given.head), given.trust)
    return subject, load_tagger(given.head, subject)
