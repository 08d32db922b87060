"""What every run does beside training: keep checkpoints, end well when told to, show its speed, draw its matrices."""

import logging
import math
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as L
import torch
from pytorch_lightning.callbacks import Checkpoint, StochasticWeightAveraging
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.plugins.io import TorchCheckpointIO

from semisupcon.checkpoints import AVERAGED, BEST, LAST, REQUEUED, save_atomically
from semisupcon.errors import ConfigError, UserError
from semisupcon.training.finite import check_weights
from semisupcon.training.pending import within_accumulation

log = logging.getLogger(__name__)


# Parts of names whose direction is known.
_LOWER = ("loss", "error", "eer", "uniformity", "alignment", "distance")
_HIGHER = ("top1", "accuracy", "acc", "auc", "ap", "map", "f1", "knn", "r2", "rank", "linear")


def mode_of(monitor: str | None, mode: str | None) -> str:
    """Which way a monitored value is better.

    Args:
        monitor: name of a logged value; None where nothing is monitored.
        mode: "min", "max", or None to tell by the name ("max" for an unknown one).

    Raises:
        ConfigError: for a mode that contradicts the name.
    """
    words = set(re.split(r"[^a-z0-9]+", (monitor or "").lower()))
    known = "min" if words & set(_LOWER) else "max" if words & set(_HIGHER) else None
    if mode and known and mode != known:
        better = "lower" if known == "min" else "higher"
        raise ConfigError(
            f"--monitor {monitor} is better when {better}, and --monitor_mode is {mode}.\nGive --monitor_mode {known}, or null to tell by the name."
        )
    return mode or known or "max"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints, written so that no crash leaves half a file, and read without executing anything."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        save_atomically(checkpoint, path)

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)


class KeepCheckpoints(Checkpoint):
    """``last.ckpt`` every so many steps, after every validation and at the end; ``best.ckpt`` whenever the monitored value improves.

    Args:
        folder: of the run.
        monitor: a logged value; None keeps no best.
        mode: ``max`` or ``min``: which way is better.
        every_n_steps: optimizer steps between two savings; 0 saves at validations and at the end only.
    """

    def __init__(self, folder: Path, monitor: str | None, mode: str = "max", every_n_steps: int = 1000):
        self.folder, self.monitor, self.mode, self.every_n_steps = folder, monitor, mode, every_n_steps
        self.best: float | None = None
        self._saved_step = -1
        self._trained: dict[str, torch.Tensor] | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "monitor": self.monitor, "mode": self.mode}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        # A best value of another quantity, or of the other direction, says nothing about this one. Version 0.1 stored no direction.
        same = state["monitor"] == self.monitor and state.get("mode", self.mode) == self.mode
        self.best = state["best"] if same and state["best"] is not None and math.isfinite(state["best"]) else None

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        due = self.every_n_steps and trainer.global_step % self.every_n_steps == 0
        if due and trainer.global_step and not within_accumulation(trainer):
            self.save(trainer)

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        value = trainer.callback_metrics.get(self.monitor) if self.monitor else None
        if self.monitor and value is None:
            raise MonitorMissing(self.monitor, sorted(trainer.callback_metrics))
        if value is not None and self.improves(float(value)):
            self.best = float(value)
            if not trainer.fast_dev_run:
                self._refuse_spoilt(trainer)
                trainer.save_checkpoint(self.folder / BEST)
        self.save(trainer, again=True)

    def improves(self, value: float) -> bool:
        """Whether a value is the best so far; one that is not finite never is."""
        if not math.isfinite(value):
            return False
        return self.best is None or (value > self.best if self.mode == "max" else value < self.best)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.save(trainer)
        if self._trained is not None and any(_differ(self._trained[n], p) for n, p in module.named_parameters() if n in self._trained):
            trainer.save_checkpoint(self.folder / AVERAGED, weights_only=True)
            log.info("The weights that a callback made at the end of training are in %s.", self.folder / AVERAGED)
        self._trained = None

    def save_trained(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """At the end of training, before callbacks of the user put averaged weights in the place of the trained ones."""
        self.save(trainer)
        self._trained = {n: p.detach().clone() for n, p in module.named_parameters()} if _averages(trainer) else None

    @staticmethod
    def _refuse_spoilt(trainer: L.Trainer) -> None:
        module = trainer.lightning_module
        if not module.finite.skips:
            module.finite.check(module)
        check_weights(module)

    def save(self, trainer: L.Trainer, again: bool = False) -> None:
        """Write ``last.ckpt``, once a step unless validation changed what it holds."""
        if trainer.fast_dev_run:
            return
        if again or trainer.global_step != self._saved_step:
            self._refuse_spoilt(trainer)
            trainer.save_checkpoint(self.folder / LAST)
            self._saved_step = trainer.global_step
            if trainer.is_global_zero:
                for superseded in self.folder.glob(REQUEUED):
                    superseded.unlink(missing_ok=True)


def _averages(trainer: L.Trainer) -> bool:
    """Whether a callback replaces the trained weights at the end of training without keeping them in checkpoints."""
    return any(isinstance(callback, StochasticWeightAveraging) for callback in trainer.callbacks)


def _differ(a: torch.Tensor, b: torch.Tensor) -> bool:
    return not torch.equal(a, b.detach())


class BeforeOthers(L.Callback):
    """What must not wait for the callbacks of a person; Lightning's averaging of weights copies the model at set-up, and over it at the end.

    So the model meets its data first, which shapes heads and fits statistics, and a run is saved with the weights that it trained.
    """

    def __init__(self, checkpoints: KeepCheckpoints, write_down: Callable[[], None]):
        self.checkpoints, self.write_down = checkpoints, write_down

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        module.setup(stage)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.is_global_zero and not trainer.fast_dev_run:
            self.write_down()

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.checkpoints.save_trained(trainer, module)


class MonitorMissing(UserError):
    """The value that should choose the best checkpoint is not logged."""

    def __init__(self, monitor: str, available: list[str]):
        super().__init__(f"--monitor {monitor} is not among the values that validation logs: {', '.join(available)}")


class EndWell(L.Callback):
    """SIGTERM and SIGINT let the running step finish, save, and end the run; ``received`` then holds the signal for the exit status.

    So does the signal by which SLURM announces the end of a job's time (SIGUSR1): Lightning requeues the job, but after the step, where
    the checkpoint is whole, and not in the middle of it.

    Args:
        checkpoints: what saves.
        check_every: steps between two agreements of several processes on whether to stop; alone, every step is checked.
    """

    def __init__(self, checkpoints: KeepCheckpoints, check_every: int = 10):
        self.checkpoints, self.check_every = checkpoints, check_every
        self.received: int | None = None
        self._previous: dict[int, Any] = {}
        self._requeue_signal: int | None = None

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        # Lightning has set its own handlers by now.
        environment = trainer._accelerator_connector.cluster_environment
        if getattr(environment, "auto_requeue", False):
            self._requeue_signal = environment.requeue_signal
        try:
            for number in filter(None, (signal.SIGTERM, signal.SIGINT, self._requeue_signal)):
                self._previous[number] = signal.signal(number, self._handle)
        except ValueError:  # Not the main thread: whoever runs us there handles signals.
            self._previous.clear()

    def _handle(self, number: int, _: Any) -> None:
        if self.received == signal.SIGINT == number:
            raise KeyboardInterrupt  # Asked twice: at once.
        self.received = number
        log.warning("Received %s: finishing the step, saving, and ending.", signal.Signals(number).name)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.world_size > 1:
            if trainer.global_step % self.check_every:
                return
            told = torch.tensor(self.received or 0, device=trainer.strategy.root_device)
            self.received = int(trainer.strategy.reduce(told, reduce_op="max")) or None
        # A window of accumulated batches is finished first: a checkpoint at an optimizer step is whole, and small.
        if self.received is None or within_accumulation(trainer):
            return
        self.checkpoints.save(trainer)
        if self.received == self._requeue_signal:
            self._previous[self.received](self.received, None)
        loop = trainer.fit_loop
        # Stopping makes the trainer validate; it shall only where validation was due, so that a resumed run has the same rows.
        due = loop.epoch_loop._should_check_val_fx(loop._data_fetcher)
        trainer.should_stop = True
        # Whatever minimum was asked for, the person (or the scheduler of the cluster) has decided.
        loop.min_epochs, loop.epoch_loop.min_steps = 0, 0
        if not due:
            trainer.limit_val_batches = 0

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def exit_status(self, trainer: L.Trainer) -> int:
        """128 and the signal, as shells have it; 0 without one."""
        launched = isinstance(trainer._accelerator_connector.cluster_environment, LightningEnvironment) and trainer.local_rank > 0
        # Lightning kills the process that launched this one, perhaps while it still saves, when this one ends with anything but 0.
        return 128 + self.received if self.received and not launched else 0


class Throughput(L.Callback):
    """Clips per second, over all processes, in the progress bar and the metrics: between two logged steps, validation left out."""

    def __init__(self):
        self._clips, self._since = 0, None

    def on_train_batch_start(self, *_: Any) -> None:
        if self._since is None:
            self._since = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, *_: Any) -> None:
        self._clips += len(batch["clip"]) * trainer.world_size
        if trainer.global_step % trainer.log_every_n_steps == 0:
            rate = self._clips / max(time.perf_counter() - self._since, 1e-9)
            module.log("clips_per_second", rate, prog_bar=True)
            self._clips, self._since = 0, None

    def on_validation_start(self, *_: Any) -> None:
        self._clips, self._since = 0, None


class DrawMatrices(L.Callback):
    """Target and similarity matrices of a training batch, as pictures in the run folder and in the logger.

    Args:
        folder: of the run; pictures go to ``figures/``.
        every_n_steps: optimizer steps between two drawings; 0 draws never.
    """

    def __init__(self, folder: Path, every_n_steps: int = 2000):
        self.folder, self.every_n_steps = folder, every_n_steps

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, batch: Any, *_: Any) -> None:
        # Also at the first step, so that a mistake in the targets is seen before hours are spent on it.
        due = self.every_n_steps and (trainer.global_step == 1 or trainer.global_step % self.every_n_steps == 0)
        if not due or not trainer.is_global_zero or trainer.fast_dev_run:
            return
        self.draw(trainer, module, batch)

    @torch.no_grad()
    def draw(self, trainer: L.Trainer, module: Any, batch: Any) -> None:
        """Draw and log what the criterion offers."""
        from semisupcon.plots import draw_matrix, save_figure

        training = module.encoder.training
        module.encoder.eval()  # A picture must not move the running statistics.
        matrices = module.criterion.matrices(batch, module.encode)
        module.encoder.train(training)
        for name, matrix in matrices.items():
            figure = draw_matrix(matrix.float().cpu().numpy(), title=f"{name}, step {trainer.global_step}")
            for logger in trainer.loggers:
                if hasattr(logger, "log_image"):
                    logger.log_image(key=name, images=[figure], step=trainer.global_step)
                elif hasattr(getattr(logger, "experiment", None), "add_figure"):
                    logger.experiment.add_figure(name, figure, trainer.global_step, close=False)
            save_figure(figure, self.folder / "figures" / f"{name}-{trainer.global_step:07d}.png")
