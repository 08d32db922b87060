"""Print the progress of a run.

On a terminal, one line is rewritten. In a log file, separate lines are written at intervals.
"""

import logging
import signal
import sys
import time
from typing import Any

import pytorch_lightning as L
from pytorch_lightning.callbacks import ProgressBar

from semisupcon.data.trainer_settings import settings_of
from semisupcon.training.callbacks import EndWell

EVERY_TERMINAL, EVERY_LOG = 1.0, 30.0  # seconds between updates
log = logging.getLogger("semisupcon")


class RunProgress(ProgressBar):
    """Progress bar that prints step, loss, learning rate, throughput and remaining time.

    The loss is read only when a line is printed, because reading it synchronises with the GPU.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._shown, self._begin, self._first, self._length = 0.0, 0.0, 0, 0
        self._rate: float | None = None

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    @property
    def on_terminal(self) -> bool:
        """Whether stderr is a terminal, on which the progress line is rewritten."""
        return sys.stderr.isatty()

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._begin, self._first, self._shown = time.monotonic(), trainer.global_step, float("-inf")
        if self._enabled and trainer.is_global_zero:
            self._print(about(trainer, module), True)

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        # Read the rate now: the schedule changes it before `on_train_batch_end`.
        self._rate = trainer.optimizers[0].param_groups[0]["lr"] if trainer.optimizers else None

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        now = time.monotonic()
        last = trainer.global_step == _last_step(trainer)
        if self._enabled and (
            last or now - self._shown >= (EVERY_TERMINAL if self.on_terminal else EVERY_LOG)
        ):
            self._shown = now
            self._print(
                line_of(
                    trainer,
                    outputs,
                    self._rate,
                    now - self._begin,
                    trainer.global_step - self._first,
                ),
                last,
            )

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if self._enabled and not trainer.sanity_checking:
            values = {n: v for n, v in trainer.callback_metrics.items() if n.startswith("val_")}
            told = "  ".join(f"{name} {float(value):.4g}" for name, value in values.items())
            self._print(f"validation at step {trainer.global_step}  {told}", True)

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print a text of other callbacks on a separate line."""
        self._print(" ".join(map(str, args)), True)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._end()

    def on_exception(
        self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._enabled and self._length:
            self._write("\n")
        self._length = 0

    def _print(self, text: str, stays: bool) -> None:
        if not self.on_terminal:
            self._write(f"{text}\n")
            return
        padding = " " * max(0, self._length - len(text))
        self._length = 0 if stays else len(text)
        self._write(f"\r{text}{padding}" + "\n" * stays)

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except BrokenPipeError:  # The reader, such as `head`, has ended: save and end the run.
            self._enabled = False
            for callback in settings_of(self.trainer).callbacks:
                if isinstance(callback, EndWell) and callback.received is None:
                    callback.received = signal.SIGPIPE
        except OSError:  # The terminal is closed or the disk is full: stop the output.
            self._enabled = False


def about(trainer: L.Trainer, module: Any) -> str:
    """Describe model and step on one line: criterion, encoder, parameters, clips, views."""
    parameters = sum(p.numel() for p in module.parameters() if p.requires_grad)
    model = f"{type(module.criterion).__name__} of {type(module.encoder).__name__}, {parameters:,} parameters"
    data = getattr(trainer, "datamodule", None)
    if data is None:
        return model
    seconds = f" of {data.samples / data.sample_rate:.3g} s" if data.samples else ""
    processes = f" on each of {trainer.world_size} processes" if trainer.world_size > 1 else ""
    return f"{model}; a step takes {data.batch_size} clips x {data.views} views{seconds}{processes}"


def line_of(
    trainer: L.Trainer, outputs: Any, rate: float | None, seconds: float, steps: int
) -> str:
    """Return the progress line, ``step 120/500  loss 2.31  lr 0.001  312 clips/s  1:12 left``.

    Unknown parts are omitted.

    Args:
        trainer: trainer of the run.
        outputs: output of the training step, with the loss.
        rate: learning rate.
        seconds: time since the start of training.
        steps: optimizer steps since the start of training.
    """
    last = _last_step(trainer)
    parts = [f"step {trainer.global_step}/{last}" if last else f"step {trainer.global_step}"]
    loss = outputs["loss"] if isinstance(outputs, dict) else outputs
    if loss is not None:
        parts.append(f"loss {float(loss) * trainer.accumulate_grad_batches:.4g}")
    if rate is not None:
        parts.append(f"lr {rate:.3g}")
    if (throughput := trainer.callback_metrics.get("clips_per_second")) is not None:
        parts.append(f"{float(throughput):.0f} clips/s")
    if last and steps:
        parts.append(f"{duration((last - trainer.global_step) * seconds / steps)} left")
    return "  ".join(parts)


def _last_step(trainer: L.Trainer) -> int | None:
    """Return the number of the last step of the run, or None if it is unknown."""
    epochs, batches = trainer.max_epochs, trainer.num_training_batches
    by_epochs = None
    if epochs not in (None, -1) and batches != float("inf"):
        by_epochs = epochs * -(-int(batches) // trainer.accumulate_grad_batches)
    known = [
        steps
        for steps in (trainer.max_steps if trainer.max_steps > 0 else None, by_epochs)
        if steps is not None
    ]
    return min(known, default=None)


def duration(seconds: float) -> str:
    """Format a duration as ``0:07``, ``12:40`` or ``3:05:00``."""
    minutes, seconds = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
