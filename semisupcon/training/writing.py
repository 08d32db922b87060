"""Write the checkpoints of a run atomically.

All processes of a run write a checkpoint together. After a failure, the main process can write one
without the others.
"""

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
    """Lightning plugin that writes checkpoints atomically and loads them without running code.

    Args:
        path: checkpoint that the run continues; None for a new run.
        content: content of this checkpoint. It is given to Lightning once, so that the file is not
            read again.

    Attributes:
        error: error of the last write, or None. It is not raised at once, because the other
            processes would wait forever.
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
    """Return the loggers of a trainer that write metrics.csv."""
    return [logger for logger in trainer.loggers if isinstance(logger, MetricsFile)]


def write_together(trainer: L.Trainer, path: Path, **options: Any) -> DiskError | None:
    """Write a checkpoint. Every process must call this function.

    Args:
        trainer: trainer with an `AtomicCheckpointIO`.
        path: path of the checkpoint.
        options: options of ``Trainer.save_checkpoint``.

    Returns:
        An error on all processes if the write failed on any process, else None.
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
        trainer: trainer of the run that failed after this batch.
        path: path of the checkpoint.
        epoch, loops: epoch and state of the loops at the end of the batch.

    Raises:
        UserError: if the weights are not finite, or the disk is full, read-only or broken.
    """
    progress = trainer.fit_loop.epoch_loop.batch_progress
    for part in (progress.total, progress.current):
        tracker = cast("_ProcessedTracker", part)  # the type of batch progress
        tracker.ready = tracker.started = tracker.processed = tracker.completed
    check_weights(trainer.lightning_module)
    for file in metrics_of(trainer):
        file.settle()
    # Trainer.save_checkpoint would wait for the other processes.
    checkpoint = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
    checkpoint |= {"epoch": epoch, "loops": loops}
    save_atomically(checkpoint, path)
