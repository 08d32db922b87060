"""Callbacks of every run: first steps, clean end after signals, time limit, throughput, figures."""

import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytorch_lightning as L
import torch
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.plugins.environments import LightningEnvironment, SLURMEnvironment

from semisupcon.data.trainer_settings import settings_of
from semisupcon.training.figures import show_figure
from semisupcon.training.finders import finders_of
from semisupcon.training.keeping import KeepCheckpoints
from semisupcon.training.measures import evaluated
from semisupcon.training.pending import row_of_step, validation_follows, within_accumulation

if TYPE_CHECKING:
    from semisupcon.training.objective import Objective

log = logging.getLogger(__name__)


class BeforeOthers(L.Callback):
    """Callback that runs before the callbacks of the user.

    The order matters for weight averaging, which copies the model in ``setup`` and overwrites its
    weights in ``on_train_end``.

    Args:
        checkpoints: callback that saves checkpoints.
        write_down: function that writes the configuration of the run; called when training starts.
    """

    def __init__(self, checkpoints: KeepCheckpoints, write_down: Callable[[], None]):
        self.checkpoints, self.write_down = checkpoints, write_down

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        module.setup(stage)
        # Set `searching` here, because Lightning runs the finders before all other callbacks.
        settings = settings_of(trainer)
        finding = bool(finders_of(settings.callbacks))
        cast("Objective", module).searching = finding and not settings.fast_dev_run

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.is_global_zero and not settings_of(trainer).fast_dev_run:
            self.write_down()

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.checkpoints.save_trained(trainer, module)


class EndWell(L.Callback):
    """Callback that ends a run cleanly after SIGTERM, SIGHUP or SIGINT.

    The current step is finished, a checkpoint is saved, and the run ends. The same happens after
    the signal that SLURM sends before the end of the job time (SIGUSR1); Lightning then requeues
    the job when the checkpoint is complete.

    Args:
        checkpoints: callback that saves checkpoints.
        check_every: steps between two checks for a signal in runs with several processes, which
            must stop at the same step. A single process checks at every step.

    Attributes:
        received: number of the signal that ends the run, or None.
    """

    def __init__(self, checkpoints: KeepCheckpoints, check_every: int = 10):
        self.checkpoints, self.check_every = checkpoints, check_every
        self.received: int | None = None
        self._previous: dict[int, Any] = {}
        self._requeue_signal: int | None = None

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        # Lightning has set its signal handlers before; this callback replaces them.
        environment = trainer._accelerator_connector.cluster_environment
        if getattr(environment, "auto_requeue", False):
            self._requeue_signal = cast("SLURMEnvironment", environment).requeue_signal
        try:
            # SIGHUP is sent when the terminal closes. If nohup ignores it, leave it ignored.
            hangup = getattr(signal, "SIGHUP", None)
            if hangup is not None and signal.getsignal(hangup) is signal.SIG_IGN:
                hangup = None
            for number in filter(
                None, (signal.SIGTERM, signal.SIGINT, hangup, self._requeue_signal)
            ):
                self._previous[number] = signal.signal(number, self._handle)
        except ValueError:  # Only the main thread can set signal handlers.
            self._previous.clear()

    def _handle(self, number: int, _: Any) -> None:
        if self.received == signal.SIGINT == number:
            raise KeyboardInterrupt  # A second Ctrl-C ends the run at once.
        self.received = number
        log.warning(
            "Received %s: finishing the step, saving, and ending.", signal.Signals(number).name
        )

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.world_size > 1:
            if trainer.global_step % self.check_every:
                return
            told = torch.tensor(self.received or 0, device=trainer.strategy.root_device)
            self.received = int(trainer.strategy.reduce(told, reduce_op="max")) or None
        # Finish accumulated batches first: after an optimizer step, no gradients must be saved.
        if self.received is None or within_accumulation(trainer):
            return
        self.checkpoints.save(trainer, final=True, row=row_of_step(trainer))
        if self.received == self._requeue_signal:
            self._previous[self.received](self.received, None)
        loop = trainer.fit_loop
        # A trainer that stops also validates. Allow the validation only if it is due at this step,
        # so that a resumed run logs the same metrics.
        due = validation_follows(trainer)
        trainer.should_stop = True
        # End the run also before min_epochs and min_steps.
        loop.min_epochs, loop.epoch_loop.min_steps = 0, 0
        if not due:
            trainer.limit_val_batches = 0

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        for number, handler in self._previous.items():
            # Lightning may have restored the handlers from before the run already.
            if signal.getsignal(number) == self._handle:
                signal.signal(number, handler)
        self._previous.clear()

    def exit_status(self, trainer: L.Trainer) -> int:
        """Return 128 plus the number of the received signal, as shells do; 0 without a signal."""
        launched = (
            isinstance(trainer._accelerator_connector.cluster_environment, LightningEnvironment)
            and trainer.local_rank > 0
        )
        # Processes that Lightning launched end with status 0: after another status, Lightning would
        # kill the main process, possibly while it saves.
        return 128 + self.received if self.received and not launched else 0


class JobTimer(Timer):
    """Callback that ends a run after a given time.

    Lightning's `Timer` continues its time in a resumed run. This callback starts again at zero.
    """

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing, so that a resumed run has the full time."""


class Throughput(L.Callback):
    """Callback that logs ``clips_per_second`` over all processes.

    The value is the mean since the last logged step, without the time of validations.
    """

    def __init__(self) -> None:
        self._clips = 0
        self._since: float | None = None

    def on_train_batch_start(self, *_: Any) -> None:
        if self._since is None:
            self._since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        self._clips += len(batch["clip"]) * trainer.world_size
        if trainer.global_step % settings_of(trainer).log_every_n_steps == 0:
            assert self._since is not None  # set at the start of the batch
            rate = self._clips / max(time.perf_counter() - self._since, 1e-9)
            module.log("clips_per_second", rate, prog_bar=True)
            self._clips, self._since = 0, None

    def on_validation_start(self, *_: Any) -> None:
        self._clips, self._since = 0, None


class DrawMatrices(L.Callback):
    """Callback that draws the target and similarity matrices of a training batch.

    The figures are written to the run folder and sent to the loggers.

    Args:
        folder: run folder; figures are written to ``figures/``.
        every_n_steps: optimizer steps between two figures; 0 for none.
    """

    def __init__(self, folder: Path, every_n_steps: int = 2000):
        self.folder, self.every_n_steps = folder, every_n_steps

    def on_train_batch_end(
        self, trainer: L.Trainer, module: Any, outputs: Any, batch: Any, *_: Any
    ) -> None:
        # The figure of the first step shows a mistake in the targets early.
        due = self.every_n_steps and (
            trainer.global_step == 1 or trainer.global_step % self.every_n_steps == 0
        )
        if not due or not trainer.is_global_zero or settings_of(trainer).fast_dev_run:
            return
        self.draw(trainer, module, batch)

    @torch.no_grad()
    def draw(self, trainer: L.Trainer, module: Any, batch: Any) -> None:
        """Draw the matrices of the criterion for a batch, and log them."""
        from semisupcon.plots import draw_matrix

        with evaluated(module.encoder):  # Eval mode keeps the running statistics.
            matrices = module.criterion.matrices(batch, module.encode)
        for name, matrix in matrices.items():
            figure = draw_matrix(
                matrix.float().cpu().numpy(), title=f"{name}, step {trainer.global_step}"
            )
            file = self.folder / "figures" / f"{name}-{trainer.global_step:07d}.png"
            show_figure(trainer, figure, name, file)
