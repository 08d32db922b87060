"""The head of a probe: maps embeddings to classes or values; saving and loading."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semisupcon.digests import DIGEST, digest_of_arrays
from semisupcon.errors import CheckpointError, first_line
from semisupcon.files import atomic_open
from semisupcon.heads import Head, LinearHead, MLPHead
from semisupcon.kinds import KINDS
from semisupcon.probing.embeddings.cache import Chunks
from semisupcon.probing.embeddings.untrained import seeded
from semisupcon.probing.methods.calibrating import Calibration, calibration_of
from semisupcon.probing.methods.head_header import check_header


class ProbeHead(nn.Module):
    """Standardisation followed by a head.

    For regression, the output is scaled back to the unit of the targets.

    Args:
        net: a connected head that maps embeddings ``[N, D]`` to ``[N, C]``.
        kind: label kind.
    """

    mean: Tensor
    scale: Tensor
    target_mean: Tensor
    target_scale: Tensor
    target_low: Tensor
    target_high: Tensor

    def __init__(self, net: Head, kind: str):
        super().__init__()
        self.net, self.kind = net, kind
        assert net.in_dim is not None  # connected
        assert net.out_dim is not None
        for prefix, width in (("", net.in_dim), ("target_", net.out_dim)):
            self.register_buffer(f"{prefix}mean", torch.zeros(width))
            self.register_buffer(f"{prefix}scale", torch.ones(width))
        for name, limit in (("target_low", -torch.inf), ("target_high", torch.inf)):
            self.register_buffer(name, torch.full((net.out_dim,), limit))

    def standardise(self, embeddings: Tensor, targets: Tensor) -> None:
        """Compute the constants from the training clips."""
        self.mean, self.scale = embeddings.mean(dim=0), embeddings.std(dim=0, correction=0)
        # A constant dimension has no information: it is set to zero.
        self.scale[self.scale < 1e-6 * self.scale.max().clamp(min=1e-12)] = torch.inf
        if self.kind == "regression":
            self.target_mean, self.target_scale = (
                targets.mean(dim=0),
                targets.std(dim=0, correction=0).clamp(min=1e-12),
            )
            self.target_low, self.target_high = targets.amin(dim=0), targets.amax(dim=0)

    def standardised(self, embeddings: Tensor, targets: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Standardised embeddings and targets as NumPy arrays."""
        return ((embeddings - self.mean) / self.scale).numpy(), (
            (targets - self.target_mean) / self.target_scale
        ).numpy()

    def forward(self, x: Tensor) -> Tensor:
        """Logits or values ``[N, C]``."""
        return self.net((x - self.mean) / self.scale) * self.target_scale + self.target_mean

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Softmax or sigmoid of logits; values are clamped to the range of the training targets,
        because a line extrapolates without limit.
        """
        return KINDS[self.kind].activation(outputs).clamp(self.target_low, self.target_high)


def without_constant(scale: np.ndarray) -> np.ndarray:
    """Standard deviations of dimensions, infinite for constant ones, which have no information."""
    return np.where(scale < 1e-6 * max(scale.max(), 1e-12), np.inf, scale)


def new_head(
    method: str, width: int, classes: int, kind: str, hidden: int = 512, seed: int = 0
) -> ProbeHead:
    """An untrained head, "linear" or "mlp", initialised with ``seed``."""
    with seeded(seed):
        net = (
            LinearHead(classes, in_dim=width)
            if method == "linear"
            else MLPHead(classes, hidden=hidden, in_dim=width)
        )
    return ProbeHead(net, kind)


@torch.no_grad()
def predict(
    head: ProbeHead,
    chunks: Chunks,
    aggregation: str = "embedding",
    temperature: float = 1.0,
) -> np.ndarray:
    """Scores of whole clips ``[n, C]``: probabilities, vote shares, or values; ``aggregation`` as
    in `Settings`, ``temperature`` as in `scores_of`.
    """
    return scores_of(head, averages(head, chunks, aggregation), aggregation, temperature)


def averages(head: ProbeHead, chunks: Chunks, aggregation: str) -> np.ndarray:
    """What is averaged over the segments of each clip, ``[n, D]`` or ``[n, C]``."""
    if aggregation == "embedding":
        return chunks.mean()
    rows = of_segments(head, torch.as_tensor(chunks.values), aggregation)
    return Chunks(rows.numpy(), chunks.offsets).mean()


@torch.no_grad()
def of_segments(head: ProbeHead, embeddings: Tensor, aggregation: str) -> Tensor:
    """What is averaged over the segments of a clip, from the embeddings ``[N, D]`` of segments: the
    same, or logits, probabilities or votes ``[N, C]``.
    """
    if aggregation == "embedding":
        return embeddings
    outputs = head(embeddings)
    if aggregation == "probability":
        return head.probabilities(outputs)
    if aggregation == "logit":
        return outputs
    decisions = KINDS[head.kind].decisions
    assert decisions is not None  # see `Settings.check` and `load_head`
    return decisions(outputs).float()


@torch.no_grad()
def logits_of(head: ProbeHead, means: np.ndarray, aggregation: str) -> np.ndarray:
    """Logits or values of clips ``[n, C]`` from `averages`; those of averaged probabilities are
    their logarithms or log-odds; vote shares stay.
    """
    means = np.ascontiguousarray(means, np.float32)
    if aggregation == "embedding":
        return head(torch.from_numpy(means)).numpy()
    if aggregation != "probability":
        return means
    low = np.finfo(np.float32).tiny
    logarithm = np.log(np.maximum(means, low))
    if head.kind == "multiclass":
        return logarithm
    return logarithm - np.log(np.maximum(1 - means, np.finfo(np.float32).epsneg / 2))


@torch.no_grad()
def scores_of(
    head: ProbeHead, means: np.ndarray, aggregation: str, temperature: float = 1.0
) -> np.ndarray:
    """Scores of clips ``[n, C]`` from `averages`.

    Args:
        head: the head.
        means: ``[n, D]``, or ``[n, C]`` for logits, probabilities and votes.
        aggregation: what was averaged.
        temperature: divides the logits of clips; vote shares and values have none.
    """
    if aggregation == "vote" or (aggregation == "probability" and temperature == 1):
        return np.ascontiguousarray(means, np.float32)
    logits = torch.from_numpy(logits_of(head, means, aggregation))
    return head.probabilities(logits if temperature == 1 else logits / temperature).numpy()


def calibrated(
    head: ProbeHead, chunks: Chunks, targets: np.ndarray, aggregation: str
) -> Calibration | None:
    """Temperature and thresholds of a head from validation clips; None without clips, and for
    values.

    Args:
        head: the trained head.
        chunks: embeddings of the segments of n clips.
        targets: ``[n, C]``.
        aggregation: what is averaged over the segments of a clip.
    """
    if head.kind == "regression" or not len(targets):
        return None
    outputs = logits_of(head, averages(head, chunks, aggregation), aggregation)
    return calibration_of(head.kind, outputs, targets, votes=aggregation == "vote")


def save_head(
    head: ProbeHead,
    path: str | Path,
    about: dict[str, Any],
    calibration: Calibration | None = None,
) -> None:
    """Write a head as safetensors; the header has its configuration, its calibration, and ``about``
    (task, classes, encoder, representation, aggregation).
    """
    from safetensors.torch import save

    kind = "mlp" if isinstance(head.net, MLPHead) else "linear"
    form = {
        "method": kind,
        "kind": head.kind,
        "in_dim": head.net.in_dim,
        "out_dim": head.net.out_dim,
        "hidden": getattr(head.net, "hidden", 0),
    }
    if calibration is not None:
        form |= {"temperature": calibration.temperature}
        form |= {"thresholds": list(calibration.thresholds)} if calibration.thresholds else {}
    state, written = (
        {k: v.contiguous() for k, v in head.state_dict().items()},
        json.dumps(form | about),
    )
    metadata = {"head": written, DIGEST: _digest(json.loads(written), state)}
    with atomic_open(path, "wb") as file:
        file.write(save(state, metadata=metadata))


def load_head(path: str | Path) -> tuple[ProbeHead, dict[str, Any]]:
    """Load a head and its header.

    Raises:
        CheckpointError: if the file does not exist, is not a head of semisupcon, or is damaged.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        about, state = json.loads(metadata["head"]), load_file(path)
        check_header(about)
        if DIGEST in metadata and metadata[DIGEST] != _digest(about, state):
            raise ValueError("it is damaged: its values were changed")
        head = new_head(
            about["method"], about["in_dim"], about["out_dim"], about["kind"], about["hidden"]
        )
        head.load_state_dict(state)
        if any(value.isnan().any() for value in state.values()):
            raise ValueError("its values hold NaN")
    except (
        OSError,
        SafetensorError,
        KeyError,
        ValueError,
        RuntimeError,
        TypeError,
        RecursionError,
        MemoryError,
        OverflowError,
    ) as error:
        raise CheckpointError(
            f"{path} is not a saved probe head: {first_line(error, 160)}"
        ) from error
    return head, about


def _digest(about: Any, state: dict[str, Tensor]) -> str:
    return digest_of_arrays(about, {name: value.numpy() for name, value in state.items()})
