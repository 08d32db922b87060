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
from semisupcon.kinds import AGGREGATIONS, KINDS
from semisupcon.probing.embeddings.cache import Chunks
from semisupcon.probing.embeddings.untrained import seeded


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
def predict(head: ProbeHead, chunks: Chunks, aggregation: str = "embedding") -> np.ndarray:
    """Scores of whole clips ``[n, C]``: probabilities, vote shares, or values; ``aggregation`` as
    in `Settings`.
    """
    if aggregation == "embedding":
        return head.probabilities(head(torch.from_numpy(chunks.mean()))).numpy()
    outputs = head(torch.as_tensor(chunks.values))
    if aggregation == "probability":
        outputs = head.probabilities(outputs)
    elif aggregation == "vote":
        decisions = KINDS[head.kind].decisions
        assert decisions is not None  # see `Settings.check`
        outputs = decisions(outputs).float()
    mean = torch.from_numpy(Chunks(outputs.numpy(), chunks.offsets).mean())
    return (head.probabilities(mean) if aggregation == "logit" else mean).numpy()


def save_head(head: ProbeHead, path: str | Path, about: dict[str, Any]) -> None:
    """Write a head as safetensors; the header has its configuration and ``about`` (task, classes,
    encoder, aggregation).
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
        _check(about)
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


def _check(about: Any) -> None:
    """Refuse a header that `save_head` cannot have written; the file is untrusted."""
    if (
        not isinstance(about, dict)
        or about["method"] not in ("linear", "mlp")
        or about["kind"] not in KINDS
    ):
        raise ValueError("it does not name a known head")
    classes = about.get("classes", [])
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError("its classes are not a list of names")
    if about.get("aggregation", AGGREGATIONS[0]) not in AGGREGATIONS:
        raise ValueError(f"its aggregation is {about['aggregation']!r}")
