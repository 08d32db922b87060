"""Learning-rate schedules for the training of heads and for fine-tuning."""

import math

PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.1, 5  # values of the linear evaluation in CLMR


def rate_factor(
    schedule: str, step: int, steps_per_epoch: int, max_epochs: int, warmup_epochs: float = 0.0
) -> float:
    """Return the factor of the learning rate at a step.

    The factor rises linearly during the warm-up and reaches 1 in its last step. After the warm-up,
    the factor of "cosine" falls to 0 at the end of the last epoch, like ``CosineAnnealingLR`` of
    torch with one call per step. The factor of other schedules stays 1.

    Args:
        schedule: name of the schedule.
        step: number of the step, from 0.
        steps_per_epoch: number of steps per epoch.
        max_epochs: number of epochs.
        warmup_epochs: length of the warm-up in epochs.
    """
    warmup, total = round(warmup_epochs * steps_per_epoch), max_epochs * steps_per_epoch
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "cosine":
        return (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1))) / 2
    return 1.0


class Plateau:
    """Factor of the learning rate that is reduced when the validation loss stops falling.

    It behaves like ``ReduceLROnPlateau`` of torch with factor 0.1, patience 5 and threshold 0.

    Attributes:
        factor: the current factor.
    """

    def __init__(self) -> None:
        self.factor, self._best, self._waited = 1.0, math.inf, 0

    def add(self, loss: float) -> None:
        """Add the validation loss of an epoch, and update the factor."""
        self._waited = 0 if loss < self._best else self._waited + 1
        self._best = min(self._best, loss)
        if self._waited > PLATEAU_PATIENCE:
            self.factor, self._waited = self.factor * PLATEAU_FACTOR, 0
