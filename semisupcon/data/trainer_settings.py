"""Typed access to settings of Lightning's Trainer that its connectors set at run time."""

from typing import Any, Protocol, cast


class TrainerSettings(Protocol):
    """Attributes of ``pytorch_lightning.Trainer`` with the names of its arguments."""

    fast_dev_run: bool | int
    overfit_batches: int | float
    log_every_n_steps: int
    callbacks: list[Any]


def settings_of(trainer: object) -> TrainerSettings:
    """Return the trainer, typed as `TrainerSettings`."""
    return cast("TrainerSettings", trainer)
