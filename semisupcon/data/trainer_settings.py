"""Read settings, rank, device and progress of Lightning's Trainer."""

from typing import Any, Protocol, cast


class TrainerSettings(Protocol):
    """Attributes of ``pytorch_lightning.Trainer`` that are named like its arguments."""

    fast_dev_run: bool | int
    overfit_batches: int | float
    log_every_n_steps: int
    callbacks: list[Any]


def settings_of(trainer: object) -> TrainerSettings:
    """Return the trainer, typed as `TrainerSettings`."""
    return cast("TrainerSettings", trainer)


def rank_of(trainer: Any) -> tuple[int, int]:
    """Return the rank of this process and the number of processes; (0, 1) without a trainer."""
    return (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)


def on_gpu(trainer: Any) -> bool:
    """Return whether the run trains on a GPU; False without a trainer."""
    return trainer is not None and trainer.strategy.root_device.type == "cuda"


def batches_done(trainer: Any) -> int:
    """Return the number of training batches that the whole run has processed.

    The result is 0 without a trainer, and with ``overfit_batches``, where every epoch has the same
    batches.
    """
    if trainer is None or settings_of(trainer).overfit_batches:
        return 0
    return trainer.fit_loop.epoch_loop.batch_progress.total.processed
