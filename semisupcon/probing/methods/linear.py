"""Train the head of a linear or MLP probe on frozen embeddings, with early stopping.

Embeddings are standardised by the mean and the standard deviation of the training embeddings, which
are stored in the head. This is necessary because the learning rate is the same for all encoders,
whose embeddings differ in scale by orders of magnitude. The loss is cross-entropy, binary
cross-entropy, or squared error on standardised targets. The protocols follow the probes of
SemiSupCon and CLMR (MLP with 512 hidden units) and the linear probes of COLA and MFCL.
"""

import numpy as np
import torch
from torch import Tensor

from semisupcon.errors import ConfigError
from semisupcon.probing.embeddings.cache import Chunks
from semisupcon.probing.embeddings.embedder import Features, Part
from semisupcon.probing.methods.base import Outcome
from semisupcon.probing.methods.calibrating import Calibration, calibration_of
from semisupcon.probing.methods.gradients import Adam, loss_and_gradients
from semisupcon.probing.methods.head import ProbeHead, averages, logits_of, new_head, predict
from semisupcon.probing.methods.schedule import Plateau, rate_factor
from semisupcon.probing.methods.settings import Settings, Training
from semisupcon.random import permutation

LEARNING_RATES = {1: 1e-2, 2: 1e-3}  # default by the number of layers


def probe(features: Features, method: str, settings: Settings, seed: int = 0) -> Outcome:
    """Train a linear or MLP head and predict the test clips.

    Args:
        features: embeddings of all splits.
        method: "linear" or "mlp".
        settings: settings; ``training`` and ``aggregation`` are used.
        seed: seed of the initialisation and of the order of clips.
    """
    (train, train_targets), (val, val_targets) = (
        rows_of_part(part, settings.aggregation) for part in (features.train, features.val)
    )
    kind, hidden = features.task.label_kind, settings.training.hidden
    head = new_head(method, train.shape[1], train_targets.shape[1], kind, hidden, seed)
    curve = fit(head, train, train_targets, val, val_targets, settings.training, seed)
    how = settings.aggregation
    found = calibrated(head, features.val.chunks, features.val.targets, how)
    test = features.test.chunks
    return Outcome(
        predict(head, test, how),
        detail=f"epoch {best_epoch(curve)}",
        head=head,
        calibration=found,
        calibrated=None if found is None else predict(head, test, how, found.temperature),
        curve=curve,
    )


def calibrated(
    head: ProbeHead, chunks: Chunks, targets: np.ndarray, aggregation: str
) -> Calibration | None:
    """Calibrate a trained head on validation clips.

    Returns temperature and thresholds. Returns None for a regression, or if there are no clips.

    Args:
        head: trained head.
        chunks: embeddings of the segments of n validation clips.
        targets: ``[n, C]``.
        aggregation: quantity that is averaged over the segments of a clip.
    """
    if head.kind == "regression" or not len(targets):
        return None
    outputs = logits_of(head, averages(head, chunks, aggregation), aggregation)
    return calibration_of(head.kind, outputs, targets, votes=aggregation == "vote")


def fit(
    head: ProbeHead,
    x: Tensor,
    y: Tensor,
    x_val: Tensor,
    y_val: Tensor,
    training: Training,
    seed: int,
) -> list[dict[str, float]]:
    """Train a head on embeddings, in place.

    The head gets the weights with the best validation loss, or the last weights without validation
    clips.

    Args:
        head: untrained head.
        x, y: ``[n, D]`` training embeddings, and ``[n, C]`` targets.
        x_val, y_val: validation embeddings and targets; may be empty.
        training: optimizer, schedule, batch size, epochs and patience.
        seed: seed of the order of the training examples.

    Returns:
        ``train_loss`` and ``val_loss`` of each epoch.

    Raises:
        ConfigError: if no validation loss is finite.
    """
    head.standardise(x, y)
    if not training.standardise:
        head.mean, head.scale = torch.zeros_like(head.mean), torch.ones_like(head.scale)
    inputs, answers = head.standardised(x, y)
    val_inputs, val_answers = head.standardised(x_val, y_val)
    # The arrays share memory with the parameters of the head, so in-place updates change the head.
    parameters = [p.detach().numpy() for p in head.net.parameters()]
    adam = Adam(
        parameters,
        training.lr or LEARNING_RATES[len(parameters) // 2],
        training.weight_decay,
        decoupled=training.optimizer == "adamw",
    )
    steps = -(-len(x) // training.batch_size)
    plan = training.schedule, steps, training.max_epochs, training.warmup_epochs
    plateau = Plateau()
    best, since = float("inf"), 0
    kept: list[np.ndarray] | None = None
    curve: list[dict[str, float]] = []
    for epoch in range(training.max_epochs):
        total = 0.0
        order = permutation(len(x), "probe", seed, epoch).numpy()
        for rows in np.split(order, range(training.batch_size, len(x), training.batch_size)):
            loss, slopes = loss_and_gradients(parameters, inputs[rows], answers[rows], head.kind)
            adam.step(slopes, _factor(adam.steps, plan) * plateau.factor)
            total += loss * len(rows)
        curve.append({"train_loss": total / len(x)})
        if len(x_val):
            judged = val_inputs, val_answers, head.kind
            value, _ = loss_and_gradients(parameters, *judged, gradients=False)
            curve[-1]["val_loss"] = value
            if training.schedule == "plateau":
                plateau.add(value)
            since += 1
            if value < best:
                best, since, kept = value, 0, [p.copy() for p in parameters]
            if since >= training.patience:
                break
    if kept is None and (len(x_val) or not all(np.isfinite(p).all() for p in parameters)):
        raise ConfigError(
            "The head's training diverged: no validation loss was finite. Lower --training.lr."
        )
    for parameter, weights in zip(parameters, kept or parameters, strict=True):
        parameter[:] = weights
    return curve


def _factor(step: int, plan: tuple[str, int, int, float]) -> float:
    schedule, steps, max_epochs, warmup_epochs = plan
    return rate_factor(schedule, step, steps, max_epochs, warmup_epochs)


def best_epoch(curve: list[dict[str, float]]) -> int:
    """Return the number of the epoch (from 1) whose weights are kept."""
    losses = [epoch["val_loss"] for epoch in curve if "val_loss" in epoch]
    return int(np.argmin(losses)) + 1 if losses else len(curve)


def rows_of_part(part: Part, aggregation: str) -> tuple[Tensor, Tensor]:
    """Return the inputs and targets of a head for a split.

    The inputs are mean embeddings of clips if the aggregation is "embedding". Otherwise they are
    embeddings of segments, with the targets of their clips.
    """
    if aggregation == "embedding":
        return torch.from_numpy(part.chunks.mean()), torch.from_numpy(part.targets)
    return torch.as_tensor(part.chunks.values), torch.from_numpy(
        part.targets[part.chunks.clip_of_row()]
    )
