"""Export an encoder, and a head on it, as ONNX or as a program of `torch.export`.

Waveforms go in, embeddings come out: normalisation, front end and cutting are inside. A file is
kept only if it gives what PyTorch gives.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from semisupcon.errors import ConfigError, UserError, first_line
from semisupcon.exporter.formats import FORMATS, check_packages, content, runner, trace
from semisupcon.exporter.graph import PER, Graph
from semisupcon.exporter.parity import Difference, differences
from semisupcon.exporter.portable import OPSET
from semisupcon.files import atomic_open, write_text
from semisupcon.probing.embeddings.subject import Subject
from semisupcon.spec import spec_of
from semisupcon.versions import versions_of

if TYPE_CHECKING:
    from semisupcon.labelling.tagger import Tagger

__all__ = [
    "FORMATS",
    "PER",
    "TOLERANCE",
    "Difference",
    "Exported",
    "check_form",
    "check_packages",
    "export_graph",
    "files_of",
]
TOLERANCE = 1e-5  # largest relative difference from PyTorch


@dataclass(frozen=True)
class Exported:
    """An exported file.

    Attributes:
        path: the file; its metadata are also in the file with ``.json`` after its name.
        about: the metadata.
        differences: from PyTorch, by output, number and length of waveforms.
    """

    path: Path
    about: dict[str, Any]
    differences: list[Difference]

    @property
    def largest(self) -> float:
        """The largest relative difference from PyTorch."""
        return max(d.relative for d in self.differences)


def check_form(form: str) -> None:
    """Check the name of a format.

    Raises:
        ConfigError: for another name.
    """
    if form not in FORMATS:
        raise ConfigError(f"format must be {' or '.join(FORMATS)}, got '{form}'.")


def files_of(folder: str | Path, form: str) -> tuple[Path, Path]:
    """Return the file of a format in a folder, and the file of its metadata."""
    path = Path(folder) / FORMATS[form][0]
    return path, path.with_name(f"{path.name}.json")


def export_graph(
    subject: Subject,
    folder: str | Path,
    form: str,
    tagger: "Tagger | None" = None,
    per: str | None = None,
    tolerance: float = TOLERANCE,
) -> Exported:
    """Export an encoder, compare the file with PyTorch, and keep it if it agrees.

    Args:
        subject: encoder and representation, on the CPU.
        folder: folder to write.
        form: "onnx" or "torch_export".
        tagger: head; None for embeddings only.
        per: "segment" or "file", see `Graph`; None is "file" with a head, else "segment".
        tolerance: largest relative difference.

    Raises:
        UserError: if a package is missing, the encoder cannot be exported, or the file differs
            from PyTorch by more than ``tolerance``. Then nothing is written.
    """
    check_form(form)
    if not 0 < tolerance < 1:
        raise ConfigError(f"tolerance must lie between 0 and 1, got {tolerance:g}.")
    check_packages(form)
    graph = Graph(subject, tagger, per or ("file" if tagger else "segment")).eval()
    encoder = subject.encoder
    with torch.inference_mode():  # also what modules compute once
        width = subject(torch.zeros(1, 1, encoder.segment_samples)).shape[1]
    about = facts(subject, tagger, graph, form, width)
    program = trace(graph, graph.shortest, encoder.segment_samples + 1, form)
    written = content(program, form, about)
    try:
        found = differences(runner(written, form), graph, subject, tagger)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"The exported file does not run: {first_line(error, 300)}\nIt was not kept."
        ) from error
    worst = max(found, key=lambda d: d.relative)
    if not worst.relative <= tolerance:
        raise UserError(
            f"The exported file differs from PyTorch by {worst.relative:.1e} (relative; "
            f"{worst.output} of {worst.batch} x {worst.samples:,} samples), more than "
            f"{tolerance:g}.\nIt was not kept. A larger --tolerance keeps it."
        )
    path, beside = files_of(folder, form)
    with atomic_open(path, "wb", needed=len(written)) as file:
        file.write(written)
    about = about | {"largest_relative_difference": worst.relative, "tolerance": tolerance}
    write_text(beside, json.dumps(about, indent=2) + "\n")
    return Exported(path, about, found)


def facts(
    subject: Subject, tagger: "Tagger | None", graph: Graph, form: str, width: int
) -> dict[str, Any]:
    """Return the metadata of an exported file, of plain types; ``width`` is that of embeddings."""
    encoder = subject.encoder
    about: dict[str, Any] = {
        "format": 1,
        "versions": versions_of(("semisupcon", "torch", "onnx", "onnxruntime")),
        "encoder": spec_of(encoder),
        "input": "waveform [batch, samples], float32, mono, full scale 1",
        "outputs": list(graph.output_names()),
        "sample_rate": encoder.sample_rate,
        "shortest_samples": graph.shortest,
        "segment_samples": encoder.segment_samples,
        "per": "segment" if graph.segment is None else "file",
        "representation": subject.representation,
        "embedding_dim": width,
        "normalization": f"{type(encoder.normalize).__name__}, inside the graph",
    }
    if tagger is not None:
        about |= {
            "classes": list(tagger.classes),
            "kind": tagger.kind,
            "aggregation": tagger.aggregation,
            "temperature": graph.temperature,
        }
        if tagger.kind in ("binary", "multilabel"):
            about["thresholds"] = tagger.thresholds().tolist()
    return about | ({"opset": OPSET} if form == "onnx" else {})
