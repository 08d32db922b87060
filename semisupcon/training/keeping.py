"""Decide when a run saves its checkpoints, and which checkpoint is the best."""

import copy
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytorch_lightning as L
import torch
from pytorch_lightning.callbacks import Checkpoint, StochasticWeightAveraging

from semisupcon.checkpoints import AVERAGED, BEST, LAST, REQUEUED
from semisupcon.data.trainer_settings import settings_of
from semisupcon.errors import DiskError, UserError
from semisupcon.training.finite import check_weights
from semisupcon.training.monitoring import MonitorMissing, improves
from semisupcon.training.pending import (
    row_of_step,
    row_of_validation,
    validation_follows,
    within_accumulation,
)
from semisupcon.training.writing import metrics_of, write_alone, write_together

if TYPE_CHECKING:
    from semisupcon.training.objective import Objective

log = logging.getLogger(__name__)


class KeepCheckpoints(Checkpoint):
    """Callback that saves ``last.ckpt`` and ``best.ckpt``.

    ``last.ckpt`` is saved every ``every_n_steps`` steps, after each validation and at the end.
    ``best.ckpt`` is saved when the monitored metric improves. A disk error is logged, and the next
    save tries again; a second disk error ends the run.

    Args:
        folder: run folder.
        monitor: name of the monitored metric; None for no ``best.ckpt``.
        mode: ``max`` if higher values of the metric are better, else ``min``.
        every_n_steps: optimizer steps between two saves; 0 for saves at validations and the end.
    """

    def __init__(
        self, folder: Path, monitor: str | None, mode: str = "max", every_n_steps: int = 1000
    ):
        self.folder, self.every_n_steps = folder, every_n_steps
        self.monitor, self.mode = monitor, mode
        self.best: float | None = None
        self._saved_step = -1
        self._failed_step: int | None = None
        self._position: tuple[int, dict[str, Any], int, dict[str, Any]] | None = None
        self._row: dict[str, Any] = {}  # row of metrics.csv that is written after the checkpoint
        self._trained: dict[str, torch.Tensor] | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "monitor": self.monitor, "mode": self.mode, "row": self._row}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._row = state.get("row") or {}
        # Ignore the best value of another metric or mode. Version 0.1 stored no mode.
        same = state["monitor"] == self.monitor and state.get("mode", self.mode) == self.mode
        self.best = (
            state["best"]
            if same and state["best"] is not None and math.isfinite(state["best"])
            else None
        )

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.ckpt_path is not None:
            for file in metrics_of(trainer):
                file.restore(self._row)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self._position = None
        # If a validation follows, save after it: a run that is resumed before it would skip it.
        if within_accumulation(trainer) or validation_follows(trainer):
            return
        self._mark(trainer, row := row_of_step(trainer))
        if (
            self.every_n_steps
            and trainer.global_step
            and trainer.global_step % self.every_n_steps == 0
        ):
            self.save(trainer, row=row)

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        # Between accumulated batches, the row of the validation has the number of the next step. A
        # resumed run drops this row from metrics.csv, so the checkpoint stores it.
        row = row_of_validation(trainer) if within_accumulation(trainer) else {}
        value = trainer.callback_metrics.get(self.monitor) if self.monitor else None
        if self.monitor and value is None:
            raise MonitorMissing(self.monitor, sorted(trainer.callback_metrics))
        if value is not None and self.improves(float(value)):
            before, self.best = self.best, float(value)
            self._row = row
            if not settings_of(trainer).fast_dev_run:
                self._refuse_spoilt(trainer)
                if not self._write(trainer, BEST):
                    self.best = before
        if not within_accumulation(trainer):
            self._mark(trainer, row)
        self.save(trainer, again=True, row=row)

    def _mark(self, trainer: L.Trainer, row: dict[str, Any]) -> None:
        """Store the state of the loops, so that `save_last_step` can save this step later."""
        loops = copy.deepcopy(trainer._checkpoint_connector._get_loops_state_dict())
        self._position = (trainer.global_step, row, trainer.current_epoch, loops)

    def improves(self, value: float) -> bool:
        """Return whether a value is better than the best so far; False for NaN and infinity."""
        return improves(value, self.best, self.mode)

    def on_exception(
        self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException
    ) -> None:
        # Save if the data loader has failed, since this happens between two complete steps.
        if getattr(trainer.train_dataloader, "failed", False) and trainer.world_size == 1:
            self.save_last_step(trainer)

    def save_last_step(self, trainer: L.Trainer) -> None:
        """Save ``last.ckpt`` after a failure, without waiting for other processes.

        The checkpoint has the state after the last step. Nothing is saved if weights or buffers may
        have changed since: after a failure between accumulated batches, during a validation, or
        during an optimizer step.
        """
        if (
            self._position is None
            or self._position[0] != trainer.global_step
            or settings_of(trainer).fast_dev_run
        ):
            return
        if self._saved_step != trainer.global_step:
            self._row = self._position[1]
            try:
                write_alone(trainer, self.folder / LAST, *self._position[2:])
            except UserError as error:
                log.warning("%s", error)
                return
        log.warning("The run is saved as of step %d.", trainer.global_step)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.save(trainer, final=True)
        if self._trained is not None and any(
            not torch.equal(self._trained[n], p.detach())
            for n, p in module.named_parameters()
            if n in self._trained
        ):
            self._write(trainer, AVERAGED, final=True, weights_only=True)
            log.info(
                "The weights set by a callback at the end of training are in %s.",
                self.folder / AVERAGED,
            )
        self._trained = None

    def save_trained(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Save ``last.ckpt`` before a user callback replaces the weights by averaged weights."""
        self.save(trainer)
        self._trained = (
            {n: p.detach().clone() for n, p in module.named_parameters()}
            if _averages(trainer)
            else None
        )

    @staticmethod
    def _refuse_spoilt(trainer: L.Trainer) -> None:
        module = cast("Objective", trainer.lightning_module)
        if not module.finite.skips:
            module.finite.check(module)
        check_weights(module)

    def save(
        self,
        trainer: L.Trainer,
        again: bool = False,
        final: bool = False,
        row: dict[str, Any] | None = None,
    ) -> None:
        """Write ``last.ckpt`` unless this step is already saved.

        Args:
            trainer: trainer of the run.
            again: whether to write the file also if this step is already saved.
            final: whether this is the last save of the run; then the first disk error is raised.
            row: row of metrics.csv that will be written after the checkpoint.

        Raises:
            DiskError: at the second disk error, or at the first one if ``final``.
        """
        if settings_of(trainer).fast_dev_run:
            return
        if again or trainer.global_step != self._saved_step:
            self._refuse_spoilt(trainer)
            self._row = row or {}
            if not self._write(trainer, LAST, final):
                return
            self._saved_step, self._failed_step = trainer.global_step, None
            if trainer.is_global_zero:
                for superseded in self.folder.glob(REQUEUED):
                    superseded.unlink(missing_ok=True)

    def _write(self, trainer: L.Trainer, name: str, final: bool = False, **options: Any) -> bool:
        """Write a checkpoint and return whether the write succeeded on all processes."""
        error = write_together(trainer, self.folder / name, **options)
        if error is None:
            return True
        if final or self._failed_step not in (None, trainer.global_step):
            kept = (
                "the last good checkpoint is kept"
                if (self.folder / LAST).exists()
                else "nothing was saved"
            )
            raise DiskError(
                f"{error}\nThe run ends here, at step {trainer.global_step}; {kept}.\n"
                "Free disk "
                f"space{f', and continue with --resume_from_checkpoint {self.folder}' * kept.startswith('the')}."
            ) from error
        if self._failed_step is None and trainer.is_global_zero:
            log.warning("%s The run continues and tries again at the next save.", error)
        self._failed_step = trainer.global_step
        return False


def _averages(trainer: L.Trainer) -> bool:
    """Return whether a callback averages weights.

    Such a callback replaces the trained weights at the end of training.
    """
    callbacks = settings_of(trainer).callbacks
    return any(isinstance(callback, StochasticWeightAveraging) for callback in callbacks)
