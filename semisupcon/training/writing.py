"""Writes the checkpoints of a run atomically: by all processes, or by one alone after a failure."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytorch_lightning as L
from pytorch_lightning.plugins.io import TorchCheckpointIO

from semisupcon.checkpoints import read_checkpoint, save_atomically
from semisupcon.errors import DiskError
from semisupcon.training.finite import check_weights
from semisupcon.training.loggers import MetricsFile

if TYPE_CHECKING:
    from pytorch_lightning.loops.progress import _ProcessedTracker


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes Lightning's checkpoints atomically and reads them without executing code.

    Args:
        path: checkpoint that the run continues; None for a new run.
        content: its content, given to Lightning once instead of reading the file again.

    Attributes:
        error: error of the last write, or None. Not raised, because other processes wait.
    """

    error: DiskError | None = None

    def __init__(self, path: Path | None = None, content: dict[str, Any] | None = None):
        super().__init__()
        self._path, self._content = path, content

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        try:
            self.error = None
            save_atomically(checkpoint, path)
        except DiskError as error:
            self.error = error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        content, self._content = self._content, None
        if content and self._path is not None and Path(path) == self._path:
            return content
        return read_checkpoint(path, map_location or "cpu")


def metrics_of(trainer: L.Trainer) -> list[MetricsFile]:
    """The loggers that write metrics.csv."""
    return [logger for logger in trainer.loggers if isinstance(logger, MetricsFile)]


def write_together(trainer: L.Trainer, path: Path, **options: Any) -> DiskError | None:
    """Write a checkpoint; every process must call it.

    Args:
        trainer: trainer with an `AtomicCheckpointIO`.
        path: path of the checkpoint.
        options: options of ``Trainer.save_checkpoint``.

    Returns:
        The error on all processes if one of them failed, else None.
    """
    for file in metrics_of(trainer):
        file.settle()
    trainer.save_checkpoint(path, **options)
    error = getattr(trainer.strategy.checkpoint_io, "error", None)
    if not trainer.strategy.reduce_boolean_decision(error is not None, all=False):
        return None
    return error or DiskError(f"{path} cannot be written; see the error of the first process.")


def write_alone(trainer: L.Trainer, path: Path, epoch: int, loops: dict[str, Any]) -> None:
    """Write a checkpoint of the last complete batch, without waiting for other processes.

    Args:
        trainer: trainer that failed after the batch.
        path: path of the checkpoint.
        epoch, loops: epoch and state of the loops at the end of the batch.

    Raises:
        UserError: if the weights are not finite, or the disk is full, read-only or broken.
    """
    progress = trainer.fit_loop.epoch_loop.batch_progress
    for part in (progress.total, progress.current):
        tracker = cast("_ProcessedTracker", part)  # type of batch progress
        tracker.ready = tracker.started = tracker.processed = tracker.completed
    check_weights(trainer.lightning_module)
    for file in metrics_of(trainer):
        file.settle()
    # Trainer.save_checkpoint would wait for the others.
    checkpoint = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
    checkpoint |= {"epoch": epoch, "loops": loops}
    save_atomically(checkpoint, path)
