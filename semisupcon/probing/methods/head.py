"""The head of a probe, which maps embeddings to classes or values, and its file format."""

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
from semisupcon.probing.methods.calibrating import Calibration
from semisupcon.probing.methods.head_header import check_header, values_of


class ProbeHead(nn.Module):
    """Head that standardises embeddings before it maps them to logits or values.

    For regression, the output is scaled back to the unit of the targets.

    Args:
        net: head that maps standardised embeddings ``[N, D]`` to ``[N, C]``. Its widths D and C
            must be known.
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
        assert net.in_dim is not None  # the widths are known
        assert net.out_dim is not None
        for prefix, width in (("", net.in_dim), ("target_", net.out_dim)):
            self.register_buffer(f"{prefix}mean", torch.zeros(width))
            self.register_buffer(f"{prefix}scale", torch.ones(width))
        for name, limit in (("target_low", -torch.inf), ("target_high", torch.inf)):
            self.register_buffer(name, torch.full((net.out_dim,), limit))

    def standardise(self, embeddings: Tensor, targets: Tensor) -> None:
        """Compute the constants of the standardisation.

        Args:
            embeddings: ``[n, D]``, embeddings of the training clips.
            targets: ``[n, C]``, targets of the training clips.
        """
        self.mean, self.scale = embeddings.mean(dim=0), embeddings.std(dim=0, correction=0)
        # Dimensions that are constant in training have no information: divide them by infinity.
        self.scale[self.scale < 1e-6 * self.scale.max().clamp(min=1e-12)] = torch.inf
        if self.kind == "regression":
            self.target_mean, self.target_scale = (
                targets.mean(dim=0),
                targets.std(dim=0, correction=0).clamp(min=1e-12),
            )
            self.target_low, self.target_high = targets.amin(dim=0), targets.amax(dim=0)

    def standardised(self, embeddings: Tensor, targets: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return standardised embeddings ``[n, D]`` and targets ``[n, C]`` as NumPy arrays."""
        return ((embeddings - self.mean) / self.scale).numpy(), (
            (targets - self.target_mean) / self.target_scale
        ).numpy()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits or values ``[N, C]`` of embeddings ``[N, D]``."""
        return self.net((x - self.mean) / self.scale) * self.target_scale + self.target_mean

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return the probabilities of logits: softmax or sigmoid.

        Values of a regression are clamped to the range of the training targets, because a linear
        function extrapolates without limit.
        """
        return KINDS[self.kind].activation(outputs).clamp(self.target_low, self.target_high)


def without_constant(scale: np.ndarray) -> np.ndarray:
    """Replace the standard deviations of constant dimensions by infinity.

    Division by infinity then sets these dimensions, which have no information, to 0.
    """
    return np.where(scale < 1e-6 * max(scale.max(), 1e-12), np.inf, scale)


def new_head(
    method: str, width: int, classes: int, kind: str, hidden: int = 512, seed: int = 0
) -> ProbeHead:
    """Build an untrained head.

    Args:
        method: "linear" or "mlp".
        width: width D of the embeddings.
        classes: number of outputs C.
        kind: label kind.
        hidden: width of the hidden layer of an MLP.
        seed: seed of the initialisation.
    """
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
    """Return the scores ``[n, C]`` of clips: probabilities, shares of votes, or values.

    Args:
        head: trained head.
        chunks: embeddings of the segments of n clips.
        aggregation: quantity that is averaged over the segments of a clip.
        temperature: divisor of the logits of clips.
    """
    return scores_of(head, averages(head, chunks, aggregation), aggregation, temperature)


def averages(head: ProbeHead, chunks: Chunks, aggregation: str) -> np.ndarray:
    """Average embeddings, logits, probabilities or votes over the segments of each clip.

    Returns ``[n, D]`` for embeddings, else ``[n, C]``.
    """
    if aggregation == "embedding":
        return chunks.mean()
    rows = of_segments(head, torch.as_tensor(chunks.values), aggregation)
    return Chunks(rows.numpy(), chunks.offsets).mean()


@torch.no_grad()
def of_segments(head: ProbeHead, embeddings: Tensor, aggregation: str) -> Tensor:
    """Convert the embeddings ``[N, D]`` of segments to the quantity that is averaged.

    Returns the embeddings for "embedding"; else logits, probabilities or votes ``[N, C]``.
    """
    if aggregation == "embedding":
        return embeddings
    outputs = head(embeddings)
    if aggregation == "probability":
        return head.probabilities(outputs)
    if aggregation == "logit":
        return outputs
    decisions = KINDS[head.kind].decisions
    assert decisions is not None  # checked by `Settings.check` and `load_head`
    return decisions(outputs).float()


@torch.no_grad()
def logits_of(head: ProbeHead, means: np.ndarray, aggregation: str) -> np.ndarray:
    """Convert the averages over segments, from `averages`, to logits or values ``[n, C]``.

    Averaged probabilities become their logarithms (multiclass) or log-odds. Shares of votes are
    returned unchanged.
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
    """Convert the averages over segments, from `averages`, to the scores ``[n, C]`` of clips.

    Args:
        head: trained head.
        means: ``[n, D]`` for embeddings, ``[n, C]`` for logits, probabilities and votes.
        aggregation: quantity that was averaged.
        temperature: divisor of the logits of clips. Shares of votes and values of regressions have
            no temperature.
    """
    if aggregation == "vote" or (aggregation == "probability" and temperature == 1):
        return np.ascontiguousarray(means, np.float32)
    logits = torch.from_numpy(logits_of(head, means, aggregation))
    return head.probabilities(logits if temperature == 1 else logits / temperature).numpy()


def save_head(
    head: ProbeHead,
    path: str | Path,
    about: dict[str, Any],
    calibration: Calibration | None = None,
) -> None:
    """Write a head to a safetensors file.

    Args:
        head: trained head.
        path: path of the file.
        about: facts for the header of the file: task, classes, encoder, representation,
            aggregation.
        calibration: temperature and thresholds for the header.
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
    """Load a head from a file, and the header of the file.

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
        if sum(value.numel() for value in state.values()) != values_of(about):
            raise ValueError("its sizes are not those of its values")
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
