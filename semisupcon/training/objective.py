"""The LightningModule that trains an encoder with a criterion."""

from collections.abc import Callable
from typing import Any, Literal, Self, cast

import pytorch_lightning as L
import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from semisupcon.batch import Batch, DataFacts
from semisupcon.data.trainer_settings import settings_of
from semisupcon.encoders.base import WHOLE, Encoder
from semisupcon.errors import ConfigError
from semisupcon.frontends.normalization import fit_statistics
from semisupcon.importer.starting import freeze_parts, read_weights, start_from
from semisupcon.objectives.base import Criterion, Encode, checked_losses
from semisupcon.random import derive
from semisupcon.training.finite import Finite
from semisupcon.training.measures import of_all_ranks, training_waveforms
from semisupcon.training.optimization import optimizer_of, schedule_of, stepped
from semisupcon.training.settling import optimizer_settings, schedule_settings
from semisupcon.training.stored import add_state, restore, take_state
from semisupcon.training.validation import Validation


class Objective(L.LightningModule):
    """LightningModule that trains an encoder with a criterion.

    Args:
        encoder: maps waveforms ``[N, 1, T]`` to embeddings ``[N, D]``.
        criterion: computes the loss of a batch from the embeddings.
        optimizer: function of the parameters that returns an optimizer; a class path in YAML.
        scheduler: function of the optimizer that returns a learning-rate schedule, which is stepped
            at every optimizer step. A ``total_steps`` of None becomes the length of the run.
            ``ReduceLROnPlateau`` is stepped per epoch.
        decay_norm_and_bias: whether weight decay (and the adaptation of LARS) also applies to
            biases and to parameters of normalisation layers.
        chunk_size: number of views that are encoded at the same time, to save memory (`Encode`);
            None for all views of the batch.
        seed: seed of dropout and other draws on the device. Draws depend on seed and step, so a
            resumed run draws the same. None: seed_everything in ``pretrain``, else 123.
        on_nan: "stop" ends the run at a loss that is not finite and keeps the last good checkpoint.
            "skip" skips the optimizer step and counts the skipped batches.
        compile: whether to use ``torch.compile`` for the encoder in training.
        init_from: source of the initial weights: a run, checkpoint or exported folder,
            ``SYSTEM:FILE`` (SYSTEM is clmr, semisupcon, mtslvr or panns), ``timm:FILE`` or
            ``timm``. A resumed run ignores it.
        init_parts: submodules that get the initial weights; None for ``[encoder]``.
        init_strict: whether each tensor must be in the file with an equal shape; false loads the
            tensors that match.
        init_trust: modules outside this package whose classes the file may name.
        freeze: submodules that stay fixed and in eval mode, such as ``encoder.trunk.0``.
        freeze_steps: number of optimizer steps at the start in which only the heads of the
            criterion are trained.

    Raises:
        ConfigError: if criterion and encoder do not match.
    """

    def __init__(
        self,
        encoder: Encoder,
        criterion: Criterion,
        optimizer: OptimizerCallable = lambda p: torch.optim.Adam(p, lr=1e-4),
        scheduler: LRSchedulerCallable | None = None,
        decay_norm_and_bias: bool = True,
        chunk_size: int | None = None,
        seed: int | None = None,
        on_nan: Literal["stop", "skip"] = "stop",
        compile: bool = False,
        init_from: str | None = None,
        init_parts: list[str] | None = None,
        init_strict: bool = True,
        init_trust: list[str] | None = None,
        freeze: list[str] | None = None,
        freeze_steps: int = 0,
    ):
        super().__init__()
        if chunk_size is not None and chunk_size < 1:
            raise ConfigError(f"model.chunk_size must be at least 1, got {chunk_size}")
        self.encoder, self.criterion = encoder, criterion
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.decay_norm_and_bias, self.seed = decay_norm_and_bias, 123 if seed is None else seed
        self.finite = Finite(on_nan)
        if freeze_steps < 0:
            raise ConfigError(f"model.freeze_steps must not be negative, got {freeze_steps}")
        parts = init_parts or ["encoder"]
        weights = {} if init_from is None else read_weights(init_from, encoder, init_trust or ())
        if weights and (own := [part for part in parts if not part.startswith("criterion")]):
            # Load the weights before connect(), which may copy the encoder.
            start_from(self, weights, own, init_strict, str(init_from))
        self.encode = Encode(encoder, chunk_size, compile)
        criterion.connect(encoder)
        if weights and (own := [part for part in parts if part.startswith("criterion")]):
            start_from(self, weights, own, init_strict, str(init_from))
        self.freeze_steps, self._frozen = freeze_steps, freeze_parts(self, freeze or ())
        self.facts = DataFacts()
        self.config: dict[str, Any] = {}  # configuration of the run, stored in checkpoints
        self.searching = False  # whether a finder is running
        self.found_rate: float | None = None  # rate of a finder; overrides the optimizer's
        self.configured: dict[str, Any] = {}  # settings of optimizer and schedule
        self._restored: dict[str, Any] | None = None
        self._validation = Validation()

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        """Encode waveforms ``[N, 1, T]`` as embeddings ``[N, D]``.

        ``length`` has the number of samples ``[N]`` of each waveform; the rest is padding.
        """
        return self.encoder(x, length=length)

    def representation(self, name: str = "embedding") -> Callable[..., Tensor]:
        """Return a function that maps waveforms to a representation.

        Args:
            name: ``embedding``, a task of the encoder, or a head of the criterion.

        Raises:
            ConfigError: for an unknown name, with a list of the known names.
        """
        heads = self.criterion.representations()
        if name in WHOLE:
            return self.encoder
        if name in self.encoder.tasks:
            return lambda x, length=None: self.encoder(x, length=length, task=name)
        if name in heads:
            task = self.criterion.reads(name)
            return lambda x, length=None: heads[name](self.encoder(x, length=length, task=task))
        raise ConfigError(
            f"No representation '{name}'; this model has: "
            f"{', '.join(('embedding', *self.encoder.tasks, *heads))}"
        )

    # -- training ----------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Prepare the criterion for the data, and fit statistics. A second call has no effect."""
        if (data := getattr(self.trainer, "datamodule", None)) is not None:
            self.facts = data.facts
            self.criterion.prepare(self.facts)
            # Fit all modules, since the criterion may have copies of the encoder. Restored weights
            # replace the statistics later.
            fit_statistics(
                self, training_waveforms(data), lambda own: of_all_ranks(self, [own[None]])
            )

    @property
    def lr(self) -> float:
        """The learning rate; Lightning's `LearningRateFinder` reads and sets this attribute."""
        if self.found_rate is not None:
            return self.found_rate
        return self.configured["optimizer"]["groups"][0]["lr"]

    @lr.setter
    def lr(self, value: float) -> None:
        if not self.searching:
            raise ConfigError(
                "--trainer.callbacks: the learning rate can be searched only before training."
            )
        self.found_rate = float(value)

    def on_fit_start(self) -> None:
        """Build optimizer and schedule again with the value of a finder, if one has searched."""
        if self.searching:
            self.searching, self._restored = False, None
            self.trainer.strategy.setup_optimizers(self.trainer)

    def configure_optimizers(self) -> Any:
        optimizer = optimizer_of(self)
        if self.found_rate is not None:
            for group in optimizer.param_groups:
                group["lr"] = self.found_rate
        self.configured = {"optimizer": optimizer_settings(optimizer), "schedule": None}
        if self.make_scheduler is None:
            return optimizer
        scheduler = self.schedule(optimizer)
        self.configured["schedule"] = schedule_settings(scheduler)
        return {"optimizer": optimizer, "lr_scheduler": stepped(scheduler)}

    def schedule(self, optimizer: torch.optim.Optimizer) -> Any:
        """Build the configured learning-rate schedule for an optimizer."""
        assert self.make_scheduler is not None  # called only with a scheduler
        return schedule_of(self.make_scheduler, optimizer, self.trainer)

    def on_train_start(self) -> None:
        if self._restored is not None:
            restore(self, self._restored)
            self._restored = None

    def train(self, mode: bool = True) -> Self:
        """Set the training mode, except for frozen parts, which stay in eval mode."""
        super().train(mode)
        for part in getattr(self, "_frozen", ()):
            part.eval()
        return self

    def _warms_up(self) -> bool:
        """Return whether only the heads are trained at this step."""
        return self.global_step < self.freeze_steps

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        if self._warms_up():
            for parameter in self.encoder.parameters():
                parameter.grad = None  # Optimizers skip parameters without a gradient.

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # Dropout depends only on seed, step and rank, so a resumed run continues bit for bit.
        step = self.trainer.fit_loop.epoch_loop.total_batch_idx
        drawn = derive(torch.tensor(self.seed), step, self.global_rank)
        torch.manual_seed(int(drawn) & 0x7FFF_FFFF_FFFF_FFFF)
        if self.freeze_steps:
            self.encoder.train(not self._warms_up())

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        logs = (self.global_step + 1) % settings_of(self.trainer).log_every_n_steps == 0
        self.criterion.log_values(logs)
        if self.searching:  # The loss may diverge: a finder raises the rate until then.
            return self.criterion.losses(batch, self.encode)["loss"]
        self.finite.before(self)
        losses = checked_losses(self.criterion, batch, self.encode)
        self.finite.after(self, losses["loss"], batch)
        if logs:
            values = {name: value.detach() for name, value in losses.items()}
            if self.trainer.optimizers:
                values["lr"] = self.trainer.optimizers[0].param_groups[0]["lr"]
            if self.finite.skips:
                values["skipped_batches"] = torch.tensor(float(self.finite.skipped))
            self.log_dict(values)
        return losses["loss"]

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        # Skip the step before `on_train_batch_end`, where a callback may save the weights.
        if self.finite.skips and not self.searching:
            result = cast("Callable[[], Any]", optimizer_closure)()  # never None in Lightning
            if self.finite.take_back(self):
                optimizer.zero_grad()
                return
            optimizer_closure = lambda: result  # noqa: E731
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.criterion.after_step(self.encoder)

    # -- validation --------------------------------------------------------------------------------

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._validation.step(self, batch)

    def on_validation_epoch_end(self) -> None:
        self._validation.end(self)

    # -- checkpoints -------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        add_state(self, checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the states of optimizer and schedule; they are restored when training starts."""
        self._restored = take_state(checkpoint)
