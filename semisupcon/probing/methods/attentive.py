"""Probe with attentive pooling of frozen frames, with one query per class.

For class c and the frames x_t of a clip, the attention weights are a_t = softmax over t of
(q_c . x_t) / sqrt(D). The logit of the class is the sum over t of a_t (w_c . x_t), plus a bias.
Training starts with queries of zero, with which the probe is a linear probe of the mean frame.
Encoders without frames are probed on the embeddings of segments.
"""

import numpy as np
import torch
from torch import Tensor, nn

from semisupcon.errors import ConfigError
from semisupcon.kinds import KINDS
from semisupcon.probing.embeddings.cache import Chunks
from semisupcon.probing.embeddings.embedder import Features, Part
from semisupcon.probing.embeddings.layers import framed
from semisupcon.probing.embeddings.untrained import seeded
from semisupcon.probing.methods.base import Case, FineTuning, Method, Outcome, Settings
from semisupcon.probing.methods.head import without_constant
from semisupcon.probing.methods.linear import LEARNING_RATES, best_epoch
from semisupcon.probing.methods.torch_fit import train_module

_BATCH = 256


class Attentive(Method):
    """Method that trains a head with one attention query per class on frozen frames."""

    name = "attentive"
    depends = ("training",)
    probabilities = True

    def options(self, settings: Settings, fine_tuning: FineTuning) -> object:
        return [settings.training, *settings.training.newer()]

    def run(self, case: Case) -> list[Outcome]:
        features, width, what = tokens_of(case)
        outcome = attend(features, width, case.settings, case.seed)
        return [Outcome(outcome.scores, detail=f"{what}, {outcome.detail}", curve=outcome.curve)]


class QueryPerClass(nn.Module):
    """Attention head that maps frames ``[N, T, D]`` to logits or values ``[N, C]``.

    The second input is a mask ``[N, T]``, which is False for padding.

    Args:
        width: width D of the frames.
        classes: number of outputs C.
    """

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.query = nn.Parameter(torch.zeros(classes, width))
        self.answer = nn.Linear(width, classes)

    def attention(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the attention weights ``[N, C, T]``, whose sum over T is 1."""
        match = torch.einsum("cd,ntd->nct", self.query, x) / x.shape[2] ** 0.5
        return match.masked_fill(~mask[:, None], -torch.inf).softmax(dim=2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        values = torch.einsum("cd,ntd->nct", self.answer.weight, x)
        return (self.attention(x, mask) * values).sum(dim=2) + self.answer.bias


def tokens_of(case: Case) -> tuple[Features, int, str]:
    """Embed the clips of a task as frames, or as segments if the encoder has no frames.

    Returns:
        Embeddings with one row ``[F * D]`` per segment (F = 1 without frames), the width D, and
        "frames" or "segments".
    """
    try:
        subject = framed(case.subject)
        width = subject.frame_width(case.embedder.device)
    except ConfigError:
        return case.features, case.features.train.chunks.values.shape[1], "segments"
    return case.embedder.features(subject, case.features.task), width, "frames"


def attend(features: Features, width: int, settings: Settings, seed: int = 0) -> Outcome:
    """Train the head and predict the test clips.

    Args:
        features: embeddings of all splits, with one row ``[F * D]`` per segment.
        width: width D of the frames.
        settings: settings; only ``training`` is used.
        seed: seed of the initialisation and of the order of clips.
    """
    kind, training = features.task.label_kind, settings.training
    train, val, test = (
        _Clips(part, width) for part in (features.train, features.val, features.test)
    )
    frames = train.chunks.values.reshape(-1, width)
    mean, scale = frames.mean(axis=0), without_constant(frames.std(axis=0))
    if not training.standardise:
        mean, scale = np.zeros_like(mean), np.ones_like(scale)
    constants = torch.from_numpy(mean), torch.from_numpy(scale.astype(np.float32))
    targets = features.train.targets
    centre, spread = np.zeros(1, np.float32), np.ones(1, np.float32)
    if kind == "regression":
        centre, spread = targets.mean(axis=0), np.maximum(targets.std(axis=0), 1e-12)
    with seeded(seed):
        net = QueryPerClass(width, targets.shape[1])
    loss = KINDS[kind].loss

    def outputs(clips: _Clips, rows: np.ndarray) -> Tensor:
        x, mask = clips.batch(rows)
        return net((x - constants[0]) / constants[1], mask)

    def wanted(clips: _Clips, rows: np.ndarray) -> Tensor:
        return torch.from_numpy((clips.targets[rows] - centre) / spread)

    def all_outputs(clips: _Clips) -> Tensor:
        parts = range(0, len(clips.targets), _BATCH)
        indices = np.arange(len(clips.targets))
        return torch.cat([outputs(clips, indices[i : i + _BATCH]) for i in parts])

    def loss_of(rows: np.ndarray) -> Tensor:
        return loss(outputs(train, rows), wanted(train, rows))

    def validate() -> float:
        return float(loss(all_outputs(val), wanted(val, np.arange(len(val.targets)))))

    validation = validate if len(val.targets) else None
    count = len(targets)
    curve = train_module(net, loss_of, count, validation, training, LEARNING_RATES[1], seed)
    with torch.no_grad():
        scores = KINDS[kind].activation(all_outputs(test)).numpy()
    if kind == "regression":
        scores = np.clip(scores * spread + centre, targets.min(axis=0), targets.max(axis=0))
    return Outcome(scores, detail=f"epoch {best_epoch(curve)}", curve=curve)


class _Clips:
    """The frames and targets of all clips of a split, from which padded batches are made."""

    def __init__(self, part: Part, width: int):
        each = part.chunks.values.shape[1] // width
        frames = part.chunks.values.reshape(-1, width)
        self.chunks, self.targets = Chunks(frames, part.chunks.offsets * each), part.targets

    def batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return the padded frames ``[N, T, D]`` of some clips, and the mask ``[N, T]``."""
        starts, ends = self.chunks.offsets[:-1][rows], self.chunks.offsets[1:][rows]
        lengths = ends - starts
        x = np.zeros((len(rows), lengths.max(), self.chunks.values.shape[1]), np.float32)
        for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
            x[i, : end - start] = self.chunks.values[start:end]
        mask = np.arange(x.shape[1]) < lengths[:, None]
        return torch.from_numpy(x), torch.from_numpy(mask)
