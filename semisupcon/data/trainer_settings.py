"""Read values of Lightning's Trainer: settings that connectors set, rank, device, progress."""

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


def rank_of(trainer: Any) -> tuple[int, int]:
    """Rank of this process and number of processes; (0, 1) without a trainer."""
    return (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)


def on_gpu(trainer: Any) -> bool:
    """Whether the run trains on a GPU; false without a trainer."""
    return trainer is not None and trainer.strategy.root_device.type == "cuda"


def batches_done(trainer: Any) -> int:
    """Number of training batches processed in the whole run; 0 without a trainer, and with
    ``overfit_batches``, where every epoch has the same batches.
    """
    if trainer is None or settings_of(trainer).overfit_batches:
        return 0
    return trainer.fit_loop.epoch_loop.batch_progress.total.processed
