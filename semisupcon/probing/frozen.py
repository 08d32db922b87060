"""Linear and MLP probes on frozen embeddings: a head trained in a plain loop, stopped early on validation, that predicts whole tracks.

Embeddings are standardised by the mean and standard deviation of the training ones (constants of the head), since encoders differ in scale by orders
of magnitude and one learning rate must serve them all. Losses: cross-entropy, binary cross-entropy, or squared error on standardised targets.
Published protocols this stands for: SemiSupCon's and CLMR's probes (MLP of 512 hidden units), COLA's and MFCL's linear ones.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from semisupcon.errors import CheckpointError, ConfigError
from semisupcon.heads import Head, LinearHead, MLPHead
from semisupcon.probing.cache import Chunks
from semisupcon.probing.features import Features, Part
from semisupcon.probing.gradients import Adam, loss_and_gradients
from semisupcon.random import permutation

LEARNING_RATES = {1: 1e-2, 2: 1e-3}  # by number of layers
AGGREGATIONS = ("embedding", "logit", "probability", "vote")


@dataclass(frozen=True)
class Training:
    """How heads are trained.

    Attributes:
        lr: Adam's learning rate; None is 0.01 for the linear head, which is convex, and 0.001 for the MLP.
        weight_decay: Adam's, as in SemiSupCon and CLMR.
        batch_size: tracks a step (segments, unless embeddings are averaged first).
        max_epochs: at most.
        patience: epochs without a better validation loss before it stops; the best epoch's head is kept.
        hidden: width of the MLP probe's hidden layer.
    """

    lr: float | None = None
    weight_decay: float = 1e-6
    batch_size: int = 128
    max_epochs: int = 300
    patience: int = 20
    hidden: int = 512


class ProbeHead(nn.Module):
    """Standardise, then a head; for regression its output is scaled back to the unit of the targets.

    Args:
        net: a connected head, embeddings ``[N, D]`` to ``[N, C]``.
        kind: of label.
    """

    def __init__(self, net: Head, kind: str):
        super().__init__()
        self.net, self.kind = net, kind
        for name, width in (("mean", net.in_dim), ("scale", net.in_dim), ("target_mean", net.out_dim), ("target_scale", net.out_dim)):
            self.register_buffer(name, torch.ones(width) if "scale" in name else torch.zeros(width))

    def standardise(self, embeddings: Tensor, targets: Tensor) -> None:
        """Take the constants from the training clips."""
        self.mean, self.scale = embeddings.mean(dim=0), embeddings.std(dim=0, correction=0)
        # A dimension that never moves says nothing: it stays at zero.
        self.scale[self.scale < 1e-6 * self.scale.max().clamp(min=1e-12)] = torch.inf
        if self.kind == "regression":
            self.target_mean, self.target_scale = targets.mean(dim=0), targets.std(dim=0, correction=0).clamp(min=1e-12)

    def standardised(self, embeddings: Tensor, targets: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """What the layers see, and what they are to answer."""
        return ((embeddings - self.mean) / self.scale).numpy(), ((targets - self.target_mean) / self.target_scale).numpy()

    def forward(self, x: Tensor) -> Tensor:
        """Logits, or values, ``[N, C]``."""
        return self.net((x - self.mean) / self.scale) * self.target_scale + self.target_mean

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Softmax or sigmoid of logits; values stay as they are."""
        return outputs if self.kind == "regression" else outputs.softmax(dim=1) if self.kind == "multiclass" else outputs.sigmoid()


@dataclass(frozen=True)
class Outcome:
    """What a method found.

    Attributes:
        scores: ``[n_test, C]`` of the test tracks; None for methods that give numbers only.
        detail: what was chosen on the way (``k=5``), for the table.
        head: the trained head, where there is one.
        curve: per epoch the training and validation loss.
        intervals: ready numbers, name to (value, low, high), of methods without scores.
        n_test: how many were tested, where it is not the number of test tracks.
    """

    scores: np.ndarray | None = None
    detail: str = ""
    head: ProbeHead | None = None
    curve: list[dict[str, float]] = field(default_factory=list)
    intervals: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    n_test: int | None = None


def probe(features: Features, method: str, training: Training, aggregation: str = "embedding", seed: int = 0) -> Outcome:
    """Train a linear or MLP head and predict the test tracks.

    Args:
        features: embeddings of all splits.
        method: "linear" or "mlp".
        training: how.
        aggregation: what is averaged over a track's segments: their embeddings (the head then also trains on averages), or the logits,
            probabilities or votes of a head trained on segments.
        seed: of initialisation and order.
    """
    check_aggregation(aggregation, features.task.kind)
    (train, train_targets), (val, val_targets) = (_rows(part, aggregation) for part in (features.train, features.val))
    head = _new_head(method, train.shape[1], train_targets.shape[1], features.task.kind, training, seed)
    curve = fit(head, train, train_targets, val, val_targets, training, seed)
    return Outcome(predict(head, features.test.chunks, aggregation), f"epoch {len(curve)}", head, curve)


def check_aggregation(aggregation: str, kind: str) -> None:
    """Refuse what cannot be done."""
    if aggregation not in AGGREGATIONS:
        raise ConfigError(f"No aggregation '{aggregation}'; there are: {', '.join(AGGREGATIONS)}.")
    if aggregation in ("probability", "vote") and kind == "regression":
        raise ConfigError(f"A regression has no {aggregation} to average; use --aggregation embedding or logit (the predicted values).")


def fit(head: ProbeHead, x: Tensor, y: Tensor, x_val: Tensor, y_val: Tensor, training: Training, seed: int) -> list[dict[str, float]]:
    """Train a head on embeddings; it ends with the weights of its best validation loss (the last, without validation clips).

    Returns:
        Per epoch ``train_loss`` and ``val_loss``.
    """
    head.standardise(x, y)
    (x, y), (x_val, y_val) = head.standardised(x, y), head.standardised(x_val, y_val)
    # The arrays share memory with the head: an update in place is an update of the head.
    parameters = [p.detach().numpy() for p in head.net.parameters()]
    adam = Adam(parameters, training.lr or LEARNING_RATES[len(parameters) // 2], training.weight_decay)
    best, kept, since, curve = float("inf"), None, 0, []
    for epoch in range(training.max_epochs):
        total = 0.0
        order = permutation(len(x), "probe", seed, epoch).numpy()
        for rows in np.split(order, range(training.batch_size, len(x), training.batch_size)):
            loss, slopes = loss_and_gradients(parameters, x[rows], y[rows], head.kind)
            adam.step(slopes)
            total += loss * len(rows)
        curve.append({"train_loss": total / len(x)})
        if len(x_val):
            curve[-1]["val_loss"] = value = loss_and_gradients(parameters, x_val, y_val, head.kind, gradients=False)[0]
            since += 1
            if value < best:
                best, since, kept = value, 0, [p.copy() for p in parameters]
            if since >= training.patience:
                break
    for parameter, value in zip(parameters, kept or parameters, strict=True):
        parameter[:] = value
    return curve


@torch.no_grad()
def predict(head: ProbeHead, chunks: Chunks, aggregation: str = "embedding") -> np.ndarray:
    """Scores of whole tracks ``[n, C]``: probabilities, vote shares, or values."""
    if aggregation == "embedding":
        return head.probabilities(head(torch.from_numpy(chunks.mean()))).numpy()
    outputs = head(torch.as_tensor(chunks.values))
    if aggregation == "probability":
        outputs = head.probabilities(outputs)
    elif aggregation == "vote":
        multiclass = head.kind == "multiclass"
        outputs = one_hot(outputs.argmax(dim=1), outputs.shape[1]).float() if multiclass else (outputs > 0).float()
    mean = torch.from_numpy(Chunks(outputs.numpy(), chunks.offsets).mean())
    return (head.probabilities(mean) if aggregation == "logit" else mean).numpy()


def save_head(head: ProbeHead, path: str | Path, about: dict[str, Any]) -> None:
    """Write a head as safetensors, with what it is and what it was trained for (task, classes, encoder, aggregation) in the header."""
    from safetensors.torch import save_file

    kind = "mlp" if isinstance(head.net, MLPHead) else "linear"
    form = {
        "method": kind,
        "kind": head.kind,
        "in_dim": head.net.in_dim,
        "out_dim": head.net.out_dim,
        "hidden": getattr(head.net, "hidden", 0),
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    save_file({k: v.contiguous() for k, v in head.state_dict().items()}, partial, metadata={"head": json.dumps(form | about)})
    partial.replace(path)


def load_head(path: str | Path) -> tuple[ProbeHead, dict[str, Any]]:
    """A head and what was written about it.

    Raises:
        CheckpointError: if there is none, or it is no head of ours.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["head"])
        training = Training(hidden=about["hidden"])
        head = _new_head(about["method"], about["in_dim"], about["out_dim"], about["kind"], training, seed=0)
        head.load_state_dict(load_file(path))
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path} is no saved probe head: {str(error).splitlines()[0][:160]}") from error
    return head, about


def about_training(training: Training) -> str:
    """One line of settings, part of what identifies a result."""
    return json.dumps(asdict(training), sort_keys=True)


def _new_head(method: str, width: int, classes: int, kind: str, training: Training, seed: int) -> ProbeHead:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = LinearHead(classes, in_dim=width) if method == "linear" else MLPHead(classes, hidden=training.hidden, in_dim=width)
    return ProbeHead(net, kind)


def _rows(part: Part, aggregation: str) -> tuple[Tensor, Tensor]:
    """What the head trains on: tracks, or segments that carry their track's targets."""
    if aggregation == "embedding":
        return torch.from_numpy(part.chunks.mean()), torch.from_numpy(part.targets)
    return torch.as_tensor(part.chunks.values), torch.from_numpy(part.targets[part.chunks.clip_of_row()])
