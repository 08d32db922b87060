"""Compare an exported file with PyTorch on several numbers and lengths of waveforms."""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from semisupcon.embedding import cut
from semisupcon.exporter.formats import Run
from semisupcon.exporter.graph import Graph
from semisupcon.probing.embeddings.subject import Subject
from semisupcon.probing.methods.head import of_segments

if TYPE_CHECKING:
    from semisupcon.labelling.tagger import Tagger


class Difference(NamedTuple):
    """The largest difference of one output for one batch.

    Attributes:
        output: name of the output.
        batch: number of waveforms.
        samples: length of the waveforms.
        relative: largest absolute difference of a waveform, divided by the largest absolute value
            that PyTorch computes for it; the largest quotient of all waveforms.
    """

    output: str
    batch: int
    samples: int
    relative: float


def cases(graph: Graph, segment: int) -> list[tuple[int, int]]:
    """Return numbers and lengths of waveforms to compare.

    They have the shortest length and odd and even lengths below and above a segment.
    """
    if graph.segment is not None:
        return [(1, segment // 3 + 1), (2, segment), (1, segment + segment // 2 + 1)]
    longer = (segment * 11 // 8) // 2 * 2 + 1
    return [(1, graph.shortest), (3, graph.shortest + 1), (2, segment), (1, longer)]


def waveforms(batch: int, samples: int, sample_rate: int, seed: int = 0) -> Tensor:
    """Return test waveforms ``[batch, samples]``: noise, and tones in quiet noise, by turns."""
    generator = torch.Generator().manual_seed(seed)
    x = 0.1 * torch.randn(batch, samples, generator=generator)
    seconds = torch.arange(samples) / sample_rate
    for row in range(1, batch, 2):
        tone = (2 * torch.pi * (220.0 * (1 + seconds)) * seconds).sin()
        x[row] = 0.05 * x[row] + 0.3 * tone
    return x


@torch.inference_mode()
def expected(
    subject: Subject, tagger: "Tagger | None", x: Tensor, cutting: bool
) -> tuple[Tensor, ...]:
    """Compute what the commands ``embed`` and ``predict`` give for waveforms ``[N, T]``.

    Args:
        subject: encoder and representation; they are not those of the exported copy.
        tagger: head; None for embeddings only.
        x: waveforms.
        cutting: whether waveforms are cut into segments of the encoder.
    """
    embeddings, labels = [], []
    for row in x:
        segments = row[None]
        if cutting:
            segments = torch.from_numpy(cut(row.numpy(), subject.encoder.segment_samples))
        rows = subject(segments[:, None])
        embeddings.append(rows.double().mean(dim=0).float())
        if tagger is not None:
            read = of_segments(tagger.head, rows, tagger.aggregation)
            means = read.double().mean(dim=0, keepdim=True).float()
            labels.append(torch.from_numpy(tagger.scores(means.numpy()))[0])
    found = (torch.stack(embeddings),)
    return (*found, torch.stack(labels)) if tagger is not None else found


def relative(found: Tensor, reference: Tensor) -> float:
    """Return the largest relative difference of ``[N, W]``; see `Difference`.

    Values that are not finite in both give infinity.
    """
    if found.shape != reference.shape or not found.isfinite().all():
        return float("inf")
    apart, scale = (found - reference).abs().amax(dim=1), reference.abs().amax(dim=1)
    return float((apart / scale.clamp(min=torch.finfo(torch.float32).tiny)).max())


def differences(
    run: Run, graph: Graph, subject: Subject, tagger: "Tagger | None"
) -> list[Difference]:
    """Compare an exported file with PyTorch.

    Args:
        run: runs the file.
        graph: what was exported.
        subject, tagger: the modules of PyTorch.
    """
    encoder, found = subject.encoder, []
    for seed, (batch, samples) in enumerate(cases(graph, encoder.segment_samples)):
        x = waveforms(batch, samples, encoder.sample_rate, seed)
        pairs = zip(
            graph.output_names(),
            run(x),
            expected(subject, tagger, x, graph.segment is not None),
            strict=True,
        )
        for name, ours, theirs in pairs:
            found.append(Difference(name, batch, samples, relative(ours, theirs)))
    return found
