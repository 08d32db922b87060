"""Evaluate the encoder while it trains, on labelled clips that the run does not train on.

The methods are k nearest neighbours and a linear classifier. Both are cross-validated within these
clips (`semisupcon.probing.methods.readout`), and not fitted to training clips, for two reasons:
Training clips would have to be decoded and embedded in addition, and a supervised objective has
fitted their labels.
"""

import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as L
import torch
from torch import Tensor

from semisupcon.data.trainer_settings import settings_of
from semisupcon.distributed import gathered_in_turn
from semisupcon.embedding import batch_of
from semisupcon.errors import ConfigError
from semisupcon.probing.methods.readout import NAMES, read_out_scores
from semisupcon.training.measures import evaluated
from semisupcon.training.pending import validation_follows, within_accumulation
from semisupcon.training.probe_clips import Probed, probed_tasks
from semisupcon.training.probe_figure import draw_probes
from semisupcon.training.writing import metrics_of

log = logging.getLogger("semisupcon")
_VALUES = re.compile(rf"val_({'|'.join(NAMES)})(_.*)?")


@dataclass(frozen=True)
class ProbeOptions:
    """Options of the probes of the encoder while it trains.

    Attributes:
        tasks: data sets on whose labelled validation clips the encoder is evaluated: [a,b], or
            [name=a] to rename one; null: data.sl_task; []: none.
        task_kwargs: --probe.task_kwargs.TASK.OPTION VALUE sets an option of one data set; root is
            its folder (default: data.data_dir).
        every: optimizer steps between two probes, in addition to one probe at each validation; 0:
            at validations only.
        clips: maximum number of clips per task; one segment of each clip is kept in memory.
    """

    tasks: list[str] | str | None = None
    task_kwargs: dict[str, Any] = field(default_factory=dict)
    every: int = 0
    clips: int = 500

    def __post_init__(self) -> None:
        if self.every < 0:
            raise ConfigError(f"--probe.every must not be negative, got {self.every}.")
        if self.clips < 10:
            raise ConfigError(f"--probe.clips must be at least 10, got {self.clips}.")

    def names(self) -> list[str] | None:
        """Return ``tasks`` as a list, or None if the option is not given."""
        if self.tasks is None:
            return None
        given = self.tasks.split(",") if isinstance(self.tasks, str) else self.tasks
        return [name for name in given if name]


class OnlineProbes(L.Callback):
    """Callback that logs ``val_knn`` and ``val_linear`` of probes of the encoder.

    The encoder is probed before training, at each validation and every ``options.every`` steps.
    With one task, the values are its main metric. With several tasks, they are means over the
    tasks, and ``val_knn_TASK`` and ``val_linear_TASK`` are logged in addition.

    Args:
        options: options of the probes.
        folder: run folder; a figure is written to ``figures/`` at the end.
        monitor: name of the monitored metric. If it is a score of a probe, a probe must log it.
        draws: whether to draw the figure.

    Raises:
        ConfigError: in ``setup``, if no probe logs the monitored score, or two tasks have the same
            name.
    """

    def __init__(
        self, options: ProbeOptions, folder: Path, monitor: str | None = None, draws: bool = True
    ):
        self.options, self.folder, self.monitor, self.draws = options, folder, monitor, draws
        self.probed: list[Probed] = []
        self.seconds, self.count = 0.0, 0
        self._begin: float | None = None

    def setup(self, trainer: L.Trainer, module: Any, stage: str) -> None:
        """Find the clips of all tasks; each process decodes a part of them."""
        if stage != "fit" or self.probed:
            return
        self.probed = probed_tasks(
            getattr(trainer, "datamodule", None),
            module.encoder,
            self.options.names(),
            self.options.task_kwargs,
            self.options.clips,
            (trainer.global_rank, trainer.world_size),
        )
        names = self._names()
        if len(set(names)) < len(names):
            raise ConfigError("--probe.tasks has two tasks of one name. Rename one: [name=task].")
        if self.monitor and _VALUES.fullmatch(self.monitor) and self.monitor not in names:
            raise ConfigError(
                f"--monitor {self.monitor} is not measured in this run.\n"
                + (f"Measured: {', '.join(names)}." if names else "Give --probe.tasks [TASK].")
            )
        for task in self.probed:
            log.info(
                "probes: %d labelled clips of %s that the run does not train on; %s, %.3f without "
                "audio.",
                len(task.targets),
                task.name,
                task.metric,
                task.chance,
            )

    def _names(self) -> list[str]:
        several = [name for name, _ in self._by_task()] if len(self.probed) > 1 else []
        ends = [f"_{name}" for name in several] + [""] * bool(self.probed)
        return [f"val_{name}{end}" for end in ends for name in NAMES]

    def _by_task(self) -> Iterator[tuple[str, Probed]]:
        for task in self.probed:
            yield re.sub(r"\W+", "_", task.name.rpartition(".")[2]), task

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        self._begin = time.perf_counter()
        if trainer.ckpt_path is None and not settings_of(trainer).fast_dev_run:
            self._log_now(trainer, module)  # the encoder with its initial weights

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, *_: Any) -> None:
        every = self.options.every
        if not every or trainer.global_step % every or within_accumulation(trainer):
            return
        if not validation_follows(trainer):  # A validation probes the encoder too.
            self._log_now(trainer, module)

    def on_validation_epoch_end(self, trainer: L.Trainer, module: Any) -> None:
        if self.probed and trainer.state.fn == "fit" and not trainer.sanity_checking:
            module.log_dict(self.measure(trainer, module))

    def _log_now(self, trainer: L.Trainer, module: Any) -> None:
        """Probe the encoder, and log the scores outside the logging interval of Lightning.

        The scores get a separate row in metrics.csv. The row is written at once, even if a
        checkpoint follows, so that a resumed run has the same rows.
        """
        if not self.probed or module.searching:
            return
        values, epoch = self.measure(trainer, module), trainer.fit_loop.epoch_loop
        for logger in trainer.loggers:
            logger.log_metrics(
                values | {"epoch": trainer.current_epoch}, step=epoch._batches_that_stepped
            )
        for file in metrics_of(trainer):
            file.save()

    def measure(self, trainer: L.Trainer, module: Any) -> dict[str, float]:
        """Probe the encoder and return all scores by name, equal on all processes.

        The training or eval mode of the encoder does not change.
        """
        begin = time.perf_counter()
        found: dict[str, float] = {}
        for name, task in self._by_task():
            embeddings = _embeddings(trainer, module, task)
            scores: dict[str, float] = {}
            if trainer.is_global_zero:
                about = task.kind, task.metric, task.classes
                scores = read_out_scores(*about, embeddings, task.targets, task.fold)
            scores = trainer.strategy.broadcast(scores)
            found |= {f"val_{how}_{name}": value for how, value in scores.items()}
        means = {
            f"val_{how}": float(
                np.mean([v for k, v in found.items() if k.startswith(f"val_{how}_")])
            )
            for how in NAMES
        }
        self.seconds, self.count = self.seconds + time.perf_counter() - begin, self.count + 1
        return means if len(self.probed) == 1 else means | found

    def on_train_end(self, trainer: L.Trainer, module: Any) -> None:
        if not self.probed or not trainer.is_global_zero or self._begin is None:
            return
        whole = time.perf_counter() - self._begin
        log.info(
            "probes: %d times in %.1f s, %.1f %% of the training time.",
            self.count,
            self.seconds,
            100 * self.seconds / max(whole, 1e-9),
        )
        if self.draws and not settings_of(trainer).fast_dev_run:
            draw_probes(trainer, self.folder, dict(self._by_task()))


def _embeddings(trainer: L.Trainer, module: Any, task: Probed) -> np.ndarray:
    """Return the embeddings ``[n, D]`` of the clips of a task from all processes, in order."""
    device, encoder = module.device, module.encoder
    size = batch_of(encoder, device)
    parts: list[Tensor] = []
    precision = trainer.precision_plugin
    with evaluated(encoder), precision.forward_context():
        for start in range(0, len(task.rows), size):
            heard = precision.convert_input(task.waveforms(start, start + size, device))
            parts.append(encoder(heard).float())
    own = torch.cat(parts) if parts else torch.zeros(0, module.encoder.embedding_dim, device=device)
    return gathered_in_turn(own, len(task.targets)).cpu().numpy()
