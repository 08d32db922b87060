"""Probe the outputs of the blocks of an encoder.

``--layers all`` probes each block separately. ``--layers weighted`` probes a learned mixture of all
blocks, with one scalar weight per block and a softmax over blocks, as in SUPERB (Yang et al. 2021).
Blocks of different widths are first projected to the width of the last block.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from semisupcon.heads import Head, mlp
from semisupcon.probing.embeddings.cache import Chunks
from semisupcon.probing.embeddings.embedder import Features, Part
from semisupcon.probing.embeddings.layers import layered
from semisupcon.probing.embeddings.untrained import seeded
from semisupcon.probing.methods.base import Case, Outcome
from semisupcon.probing.methods.head import ProbeHead, predict
from semisupcon.probing.methods.linear import LEARNING_RATES, best_epoch, probe, rows_of_part
from semisupcon.probing.methods.torch_fit import fit_with_torch


class Mixture(nn.Module):
    """Convex combination of the blocks in ``[N, sum of widths]``, with the last block's width.

    Args:
        widths: widths of the blocks.
    """

    def __init__(self, widths: Sequence[int]):
        super().__init__()
        self.widths = list(widths)
        self.logits = nn.Parameter(torch.zeros(len(self.widths)))
        same = len(set(self.widths)) == 1
        self.projections = nn.ModuleList(
            nn.Identity() if same else nn.Linear(w, self.widths[-1], bias=False)
            for w in self.widths
        )

    @property
    def weights(self) -> Tensor:
        """The weight of each block. The sum of all weights is 1."""
        return self.logits.softmax(dim=0)

    def forward(self, x: Tensor) -> Tensor:
        parts = zip(self.weights, self.projections, x.split(self.widths, dim=1), strict=True)
        return torch.stack([weight * project(part) for weight, project, part in parts]).sum(dim=0)


class MixtureHead(Head):
    """Head that mixes blocks (`Mixture`), followed by a linear layer or an MLP.

    Args:
        widths: widths of the blocks.
        out_dim: number of classes.
        hidden: width of the hidden layer; 0 for a linear layer.
    """

    def __init__(self, widths: Sequence[int], out_dim: int, hidden: int = 0):
        self.widths, self.width = list(widths), hidden
        super().__init__(sum(widths), out_dim, hidden=[hidden] if hidden else ())

    def make(self, in_dim: int, out_dim: int) -> nn.Sequential:
        inner = [self.width] if self.width else []
        return nn.Sequential(Mixture(self.widths), *mlp([self.widths[-1], *inner, out_dim]))


def probe_layers(case: Case, method: str) -> list[Outcome]:
    """Probe the blocks of the encoder with a linear or MLP head.

    Args:
        case: encoder, task and settings. ``settings.layers`` is "all" or "weighted".
        method: "linear" or "mlp".

    Returns:
        One outcome per block for "all". One outcome for "weighted", whose ``detail`` has the
        weights. Outcomes have no head to save.

    Raises:
        ConfigError: for an encoder without blocks.
    """
    subject = layered(case.subject)
    widths = subject.widths(case.embedder.device)
    features = case.embedder.features(subject, case.features.task)
    if case.settings.layers == "weighted":
        return [_weighted(case, features, list(widths.values()), method)]
    ends = np.cumsum([0, *widths.values()])
    outcomes = []
    for i, name in enumerate(widths):
        part = _columns(features, slice(int(ends[i]), int(ends[i + 1])))
        outcome = probe(part, method, case.settings, case.seed)
        label = f"{method}, layer {i + 1} of {len(widths)}"
        outcomes.append(
            replace(outcome, label=label, detail=f"{name}, {outcome.detail}", head=None)
        )
    return outcomes


def _weighted(case: Case, features: Features, widths: list[int], method: str) -> Outcome:
    settings, kind = case.settings, features.task.label_kind
    hidden = settings.training.hidden if method == "mlp" else 0
    with seeded(case.seed):
        net = MixtureHead(widths, features.train.targets.shape[1], hidden)
    head = ProbeHead(net, kind)
    train, val = (
        rows_of_part(part, settings.aggregation) for part in (features.train, features.val)
    )
    rate = LEARNING_RATES[2 if hidden else 1]
    curve = fit_with_torch(head, train, val, settings.training, rate, case.seed)
    mixture = net.net[0] if net.net is not None else None
    assert isinstance(mixture, Mixture)
    weights = " ".join(f"{w:.3f}" for w in mixture.weights.tolist())
    return Outcome(
        predict(head, features.test.chunks, settings.aggregation),
        label=f"{method}, weighted layers",
        detail=f"layer weights {weights}, epoch {best_epoch(curve)}",
        curve=curve,
    )


def _columns(features: Features, columns: slice) -> Features:
    def cut(part: Part) -> Part:
        values = np.ascontiguousarray(part.chunks.values[:, columns])
        return replace(part, chunks=Chunks(values, part.chunks.offsets))

    return replace(
        features, train=cut(features.train), val=cut(features.val), test=cut(features.test)
    )
