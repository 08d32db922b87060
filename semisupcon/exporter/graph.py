"""The computation that is exported: waveforms to embeddings, and to probabilities or values."""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from semisupcon.errors import ConfigError
from semisupcon.kinds import KINDS
from semisupcon.probing.embeddings.subject import Subject

if TYPE_CHECKING:
    from semisupcon.labelling.tagger import Tagger

PER = ("segment", "file")


class Graph(nn.Module):
    """Map waveforms ``[N, T]`` to embeddings ``[N, D]``, and with a head to labels ``[N, C]`` too.

    Args:
        subject: encoder and representation.
        tagger: head; None for embeddings only.
        per: "segment" embeds a waveform of any length at once. "file" cuts it into segments of the
            encoder and averages over them, as the commands ``embed`` and ``predict`` do.
    """

    def __init__(self, subject: Subject, tagger: "Tagger | None" = None, per: str = "segment"):
        super().__init__()
        if per not in PER:
            raise ConfigError(f"per must be {' or '.join(PER)}, got '{per}'.")
        self.encoder, self.of_representation = subject.encoder, subject.head
        tasks, representation = subject.encoder.tasks, subject.representation
        self.task = representation if representation in tasks else subject.task
        self.head = None if tagger is None else tagger.head
        self.aggregation = "embedding" if tagger is None else tagger.aggregation
        calibration = None if tagger is None else tagger.calibration
        self.temperature = 1.0 if calibration is None else calibration.temperature
        self.segment = subject.encoder.segment_samples if per == "file" else None
        self.shortest = 1 if per == "file" else subject.encoder.min_samples

    def forward(self, waveform: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        count, segments = waveform.shape[0], waveform
        if self.segment is not None:
            samples = waveform.shape[1]
            each = (samples + self.segment - 1) // self.segment
            # The length as a tensor: ONNX has no remainder by a number that is not constant.
            length = torch.scalar_tensor(samples, dtype=torch.int64)
            places = torch.arange(each * self.segment).remainder(length)
            segments = waveform.index_select(1, places).reshape(-1, self.segment)
        rows = self.encoder(segments[:, None], task=self.task)
        if self.of_representation is not None:
            rows = self.of_representation(rows)
        embedding = self.averaged(rows, count)
        if self.head is None:
            return embedding
        return embedding, self.labels(rows, embedding, count)

    def averaged(self, rows: Tensor, count: int) -> Tensor:
        """Average rows ``[N n, W]`` over the n segments of each waveform."""
        if self.segment is None:
            return rows
        return rows.reshape(count, -1, rows.shape[1]).mean(dim=1)

    def labels(self, rows: Tensor, embedding: Tensor, count: int) -> Tensor:
        """Return probabilities, shares of votes or values ``[N, C]``.

        The steps are those of `semisupcon.probing.methods.head.of_segments` and ``scores_of``.
        """
        head = self.head
        assert head is not None  # the caller has checked this
        kind = KINDS[head.kind]
        if self.aggregation == "embedding":
            logits = head(embedding)
        elif self.aggregation == "logit":
            logits = self.averaged(head(rows), count)
        elif self.aggregation == "vote":
            assert kind.decisions is not None  # a regression has no votes
            return self.averaged(kind.decisions(head(rows)).float(), count)
        else:
            means = self.averaged(head.probabilities(head(rows)), count)
            if self.temperature == 1:
                return means
            logits = means.clamp(min=torch.finfo(torch.float32).tiny).log()
            if head.kind != "multiclass":
                logits = logits - (1 - means).clamp(min=math.ldexp(1.0, -25)).log()
        outputs = logits / self.temperature
        return (
            head.probabilities(outputs) if head.kind == "regression" else kind.activation(outputs)
        )

    def output_names(self) -> tuple[str, ...]:
        """Return the names of the outputs, in order."""
        if self.head is None:
            return ("embedding",)
        return ("embedding", "value" if self.head.kind == "regression" else "probability")
