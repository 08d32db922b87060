"""Gradients and Adam (Kingma and Ba 2015) in NumPy, for linear heads and MLPs with ReLU.

A probe makes tens of thousands of small steps. In torch, the overhead of automatic differentiation
would take many times longer than the arithmetic. A test compares the results with torch.
"""

from collections.abc import Sequence

import numpy as np

from semisupcon.kinds import KINDS


def loss_and_gradients(
    parameters: Sequence[np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    kind: str,
    gradients: bool = True,
) -> tuple[float, list[np.ndarray]]:
    """Return the loss of a head and its gradient with respect to each parameter.

    Args:
        parameters: weight ``[out, in]`` and bias ``[out]`` of each layer, in order.
        x: ``[N, D]`` embeddings.
        y: ``[N, C]`` targets.
        kind: label kind, which determines the loss (`semisupcon.kinds.KINDS`).
        gradients: whether to compute gradients. If false, the list of gradients is empty.
    """
    layers = list(zip(parameters[::2], parameters[1::2], strict=True))
    inputs = [x]
    for weight, bias in layers[:-1]:
        inputs.append(np.maximum(inputs[-1] @ weight.T + bias, 0))
    weight, bias = layers[-1]
    loss, error = KINDS[kind].loss_and_gradient(inputs[-1] @ weight.T + bias, y)
    result: list[np.ndarray] = []
    if gradients:
        for (weight, _), given in zip(layers[::-1], inputs[::-1], strict=True):
            result = [error.T @ given, error.sum(axis=0), *result]
            error = (error @ weight) * (given > 0) if given is not x else error
    return float(loss), result


class Adam:
    """Adam or AdamW (Loshchilov and Hutter 2019). Parameters are updated in place.

    Args:
        parameters: arrays to train.
        lr: learning rate.
        weight_decay: coefficient of the weight decay.
        betas: decay rates of the two moments.
        decoupled: whether the weight decay is applied to the parameters (AdamW). If false, it is
            added to the gradients (Adam).
    """

    def __init__(
        self,
        parameters: Sequence[np.ndarray],
        lr: float,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        decoupled: bool = False,
    ):
        self.decoupled = decoupled
        self.parameters, self.lr, self.weight_decay, self.betas, self.steps = (
            parameters,
            lr,
            weight_decay,
            betas,
            0,
        )
        self.moments = [(np.zeros_like(p), np.zeros_like(p)) for p in parameters]

    def step(self, gradients: Sequence[np.ndarray], factor: float = 1.0) -> None:
        """Make one step with a learning rate of ``factor`` times ``lr``."""
        self.steps += 1
        (b1, b2), t = self.betas, self.steps
        lr = self.lr * factor
        rate, correction = lr / (1 - b1**t), (1 - b2**t) ** -0.5
        for parameter, gradient, (mean, square) in zip(
            self.parameters, gradients, self.moments, strict=True
        ):
            if self.decoupled:
                parameter *= 1 - lr * self.weight_decay
            else:
                gradient = gradient + self.weight_decay * parameter
            mean += (1 - b1) * (gradient - mean)
            square += (1 - b2) * (gradient * gradient - square)
            parameter -= rate * mean / (np.sqrt(square) * correction + 1e-8)
