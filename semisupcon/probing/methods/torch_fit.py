"""Train small modules in torch with early stopping, for heads that are not linear or an MLP."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from semisupcon.errors import ConfigError
from semisupcon.kinds import KINDS
from semisupcon.probing.methods.head import ProbeHead
from semisupcon.probing.methods.schedule import Plateau, rate_factor
from semisupcon.probing.methods.settings import Training
from semisupcon.random import permutation


def train_module(
    module: nn.Module,
    loss_of: Callable[[np.ndarray], Tensor],
    count: int,
    validate: Callable[[], float] | None,
    training: Training,
    lr: float,
    seed: int,
) -> list[dict[str, float]]:
    """Train a module in place. It gets the state with the best validation loss.

    Args:
        module: module to train.
        loss_of: function that returns the mean loss of the training examples with given indices.
        count: number of training examples.
        validate: function that returns the mean loss of the validation examples; None to keep the
            last state.
        training: optimizer, schedule, batch size, epochs and patience.
        lr: learning rate if ``training.lr`` is None.
        seed: seed of the order of the examples.

    Returns:
        ``train_loss`` and ``val_loss`` of each epoch.

    Raises:
        ConfigError: if no validation loss is finite.
    """
    make = torch.optim.AdamW if training.optimizer == "adamw" else torch.optim.Adam
    rate = training.lr or lr
    optimizer = make(module.parameters(), lr=rate, weight_decay=training.weight_decay)
    steps, step, plateau = -(-count // training.batch_size), 0, Plateau()
    best, since, kept = float("inf"), 0, None
    curve: list[dict[str, float]] = []
    for epoch in range(training.max_epochs):
        total = 0.0
        order = permutation(count, "probe", seed, epoch).numpy()
        module.train()
        for rows in np.split(order, range(training.batch_size, count, training.batch_size)):
            plan = training.schedule, step, steps, training.max_epochs, training.warmup_epochs
            for group in optimizer.param_groups:
                group["lr"] = rate * rate_factor(*plan) * plateau.factor
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(rows)
            loss.backward()
            optimizer.step()
            step, total = step + 1, total + float(loss.detach()) * len(rows)
        curve.append({"train_loss": total / count})
        if validate is None:
            continue
        module.eval()
        with torch.no_grad():
            curve[-1]["val_loss"] = value = validate()
        if training.schedule == "plateau":
            plateau.add(value)
        since += 1
        if value < best:
            best, since, kept = value, 0, copy.deepcopy(module.state_dict())
        if since >= training.patience:
            break
    finite = all(bool(p.isfinite().all()) for p in module.parameters())
    if kept is None and (validate is not None or not finite):
        raise ConfigError(
            "The head's training diverged: no validation loss was finite. Lower --training.lr."
        )
    if kept is not None:
        module.load_state_dict(kept)
    module.eval()
    return curve


def fit_with_torch(
    head: ProbeHead,
    train: Sequence[Tensor],
    val: Sequence[Tensor],
    training: Training,
    lr: float,
    seed: int,
) -> list[dict[str, float]]:
    """Train a head with any network on embeddings, in place.

    For linear heads and MLPs, `semisupcon.probing.methods.linear.fit` is faster.

    Args:
        head: untrained head. Its standardisation constants are computed from ``train``.
        train, val: embeddings ``[n, D]`` and targets ``[n, C]`` for training and validation.
        training, lr, seed: settings, learning rate and seed, as in `train_module`.

    Returns:
        ``train_loss`` and ``val_loss`` of each epoch.
    """
    head.standardise(*train)
    if not training.standardise:
        head.mean, head.scale = torch.zeros_like(head.mean), torch.ones_like(head.scale)
    x, y = map(torch.from_numpy, head.standardised(*train))
    x_val, y_val = map(torch.from_numpy, head.standardised(*val))
    loss = KINDS[head.kind].loss

    def loss_of(rows: np.ndarray) -> Tensor:
        return loss(head.net(x[rows]), y[rows])

    def validate() -> float:
        return float(loss(head.net(x_val), y_val))

    validation = validate if len(x_val) else None
    return train_module(head.net, loss_of, len(x), validation, training, lr, seed)
