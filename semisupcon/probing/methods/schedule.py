"""Learning-rate schedules of heads and of fine-tuning."""

import math

PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.1, 5  # as in CLMR's linear evaluation


def rate_factor(
    schedule: str, step: int, steps_per_epoch: int, max_epochs: int, warmup_epochs: float = 0.0
) -> float:
    """Factor of the learning rate at a step, counted from 0.

    The factor rises linearly over the warm-up and reaches 1 in its last step. Then "cosine" falls
    to 0 at the end of the last epoch, as ``CosineAnnealingLR`` of torch with a call per step; other
    schedules stay at 1.
    """
    warmup, total = round(warmup_epochs * steps_per_epoch), max_epochs * steps_per_epoch
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "cosine":
        return (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1))) / 2
    return 1.0


class Plateau:
    """A factor of the learning rate that falls when the validation loss stops falling.

    As ``ReduceLROnPlateau`` of torch with factor 0.1, patience 5 and threshold 0.

    Attributes:
        factor: the current factor.
    """

    def __init__(self) -> None:
        self.factor, self._best, self._waited = 1.0, math.inf, 0

    def add(self, loss: float) -> None:
        """Add the validation loss of an epoch."""
        self._waited = 0 if loss < self._best else self._waited + 1
        self._best = min(self._best, loss)
        if self._waited > PLATEAU_PATIENCE:
            self.factor, self._waited = self.factor * PLATEAU_FACTOR, 0
