"""Settings of Lightning's Trainer that its connectors set, where a type checker does not see them."""

from typing import Any, Protocol, cast


class TrainerSettings(Protocol):
    """Attributes of ``pytorch_lightning.Trainer``, by the names of its arguments."""

    fast_dev_run: bool | int
    overfit_batches: int | float
    log_every_n_steps: int
    callbacks: list[Any]


def settings_of(trainer: object) -> TrainerSettings:
    """The same trainer."""
    return cast("TrainerSettings", trainer)
