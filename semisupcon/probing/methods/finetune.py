"""Fine-tune the encoder together with a linear head.

A pretrained encoder has discriminative learning rates (Howard and Ruder 2018). The head has the
full learning rate. The rate of the last block of the trunk is ``encoder_rate`` times the full rate.
The rate of each earlier block is ``decay`` times that of the next block. An untrained encoder has
the full rate in all blocks, for supervised training from scratch.

Training uses one random segment per clip and epoch. Validation and test use the mean embedding of
all segments of a clip.
"""

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self, cast

import numpy as np
import pytorch_lightning as L
import torch
from torch import Tensor, nn

from semisupcon.augmentations.base import Chain
from semisupcon.batch_norm import mean_and_scale, standardiser
from semisupcon.encoders.base import Encoder, freeze
from semisupcon.errors import ConfigError
from semisupcon.kinds import KINDS
from semisupcon.probing.embeddings.embedder import Embedder, Features
from semisupcon.probing.embeddings.encoders import RANDOM, Subject
from semisupcon.probing.methods.base import FineTuning, Outcome
from semisupcon.probing.methods.calibrating import calibration_of
from semisupcon.probing.methods.clip_loaders import tracks, training_loader
from semisupcon.probing.methods.head import ProbeHead, new_head
from semisupcon.probing.methods.mixing import class_weights, mixed, weighted_loss
from semisupcon.probing.methods.schedule import rate_factor
from semisupcon.probing.methods.starting import (
    chain_of,
    check_start,
    frozen_parts,
    parameter_groups,
    started,
)


class FineTuner(L.LightningModule):
    """LightningModule that trains an encoder and a head together.

    Args:
        encoder: trainable encoder.
        head: head with the standardisation constants of the initial embeddings. A batch norm layer
            updates the constants during training.
        options: settings of fine-tuning.
        discriminative: whether blocks of the encoder have different learning rates.
        frozen: parts of the encoder that stay in eval mode.
        chain: augmentations of the training segments; None for no augmentation.
        weights: ``[C]``, weights of the classes in the loss; None for equal weights.
        steps_per_epoch: number of training batches per epoch, for the schedule.
    """

    weights: Tensor | None

    def __init__(
        self,
        encoder: Encoder,
        head: ProbeHead,
        options: FineTuning,
        discriminative: bool = True,
        frozen: Sequence[nn.Module] = (),
        chain: Chain | None = None,
        weights: Tensor | None = None,
        steps_per_epoch: int = 1,
    ):
        super().__init__()
        self.chain, self.steps_per_epoch = chain, steps_per_epoch
        self.register_buffer("weights", weights, persistent=False)
        self._frozen = tuple(frozen)
        self.encoder, self.head = encoder, head
        self.options, self.discriminative = options, discriminative
        self.norm = standardiser(head.mean, head.scale)
        self.curve: list[dict[str, float]] = []
        self.best = float("inf")
        self.kept: dict[str, Any] | None = None
        self._outputs: list[tuple[Tensor, Tensor]] = []

    def configure_optimizers(self) -> Any:
        groups = parameter_groups(self.encoder, self.options, self.discriminative)
        groups.append({"params": list(self.head.parameters()), "lr": self.options.lr})
        options = self.options
        make = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
        optimizer = make(groups, lr=options.lr, weight_decay=options.weight_decay)
        plan = self.steps_per_epoch, options.max_epochs, options.warmup_epochs
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_factor(options.schedule, step, *plan)
        )
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    @property
    def head_only(self) -> bool:
        """Whether only the head is trained in this epoch, which is one of the first epochs."""
        return self.current_epoch < self.options.head_epochs

    def train(self, mode: bool = True) -> Self:
        """Set the training mode, except for parts that are not trained, which stay in eval mode."""
        super().train(mode)
        for part in (self.encoder, *self._frozen) if self.head_only else self._frozen:
            part.eval()
        return self

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        audio, length, targets = batch["audio"][:, 0], batch["length"][:, 0], batch["targets"]
        key = batch["key"][:, 0]
        if self.chain is not None:
            audio = self.chain.to(audio.device)(audio, key)[0]
        if self.options.mixup:
            audio, length, targets = mixed(audio, length, targets, self.options.mixup, int(key[0]))
        with torch.set_grad_enabled(not self.head_only):
            embeddings = self.encoder(audio, length=length)
        outputs = self.answer(embeddings)
        loss = loss_of(self.head, outputs, targets, self.weights)
        self._training.append((loss.detach(), len(outputs)))
        return loss

    def on_train_epoch_start(self) -> None:
        self._training: list[tuple[Tensor, int]] = []
        self.train()

    def validation_step(self, track: tuple[Tensor, Tensor], index: int) -> None:
        self._outputs.append((self.track(track[0])[None], track[1][None]))

    def on_validation_epoch_end(self) -> None:
        outputs, targets = (torch.cat(x) for x in zip(*self._outputs, strict=True))
        self._outputs.clear()
        value = float(loss_of(self.head, outputs, targets, self.weights))
        self.log("val_loss", value)
        mean = sum(float(loss) * n for loss, n in self._training) / max(
            sum(n for _, n in self._training), 1
        )
        self.curve.append({"train_loss": mean, "val_loss": value})
        if value < self.best:
            self.best, self.kept = value, copy.deepcopy(self.state_dict())
            self.answers = outputs.cpu(), targets.cpu()

    def predict_step(self, track: tuple[Tensor, Tensor], index: int) -> Tensor:
        return self.track(track[0])[None].cpu()

    def track(self, segments: Tensor) -> Tensor:
        """Return the logits or values ``[C]`` of a clip, from its segments ``[n, segment]``."""
        return self.answer(
            torch.cat([self.encoder(part[:, None]) for part in segments.split(32)]).mean(
                dim=0, keepdim=True
            )
        )[0]

    def answer(self, embeddings: Tensor) -> Tensor:
        """Return the logits or values ``[N, C]`` of embeddings ``[N, D]``."""
        return self.head.net(self.norm(embeddings)) * self.head.target_scale + self.head.target_mean

    def finished_head(self) -> ProbeHead:
        """Return the head with the final constants of the batch norm layer."""
        self.head.mean, self.head.scale = mean_and_scale(self.norm)
        return self.head.eval()


def finetune(
    subject: Subject,
    features: Features,
    embedder: Embedder,
    options: FineTuning,
    seed: int = 0,
    trust: Sequence[str] = (),
) -> Outcome:
    """Train a copy of the encoder with a linear head, and predict the test clips.

    Args:
        subject: encoder; it is not modified.
        features: embeddings before training, for the initial constants of the head.
        embedder: object that embeds clips; training uses its device.
        options: settings of fine-tuning.
        seed: seed of the head, of crops and of the order of clips.
        trust: modules outside this package whose classes ``options.init_from`` may name.

    Raises:
        ConfigError: for options that do not match the encoder, or a task without validation clips.
        CheckpointError: for initial weights that cannot be read or do not match.
    """
    task = features.task
    check_start(subject, options, trust)
    options.check(task.label_kind)
    if not len(features.val):
        raise ConfigError(
            f"Task '{task.name}' has no validation clips, which fine-tuning needs for early "
            "stopping."
        )
    if options.init_from is not None and subject.source != RANDOM:
        subject = started(subject, options, trust)
        features = embedder.features(subject, task)
    encoder = copy.deepcopy(subject.encoder).cpu()
    encoder.frozen = False
    encoder.requires_grad_(True).train()
    frozen = frozen_parts(encoder, options)
    embeddings = torch.from_numpy(features.train.chunks.mean())
    targets = torch.from_numpy(features.train.targets)
    head = new_head("linear", embeddings.shape[1], targets.shape[1], task.label_kind, seed=seed)
    head.standardise(embeddings, targets)
    loader = training_loader(task, encoder, options, seed)
    tuner = FineTuner(
        encoder,
        head,
        options,
        discriminative=subject.source != RANDOM,
        frozen=frozen,
        chain=chain_of(options, encoder),
        weights=class_weights(targets, task.label_kind) if options.class_weights else None,
        steps_per_epoch=len(loader),
    )
    with (
        quiet_lightning(),
        torch.random.fork_rng(devices=[0] if embedder.device.startswith("cuda") else []),
    ):
        torch.manual_seed(seed)  # seed of dropout
        trainer = make_trainer(embedder, options)
        trainer.fit(tuner, loader, tracks(task, "val", subject))
        if tuner.kept is None:
            raise ConfigError(
                "Fine-tuning diverged: no validation loss was finite. Lower --finetune.lr "
                f"({options.lr:g})."
            )
        tuner.load_state_dict(tuner.kept)
        logits = cast("list[Tensor]", trainer.predict(tuner, tracks(task, "test", subject)))
    tuner.cpu()
    kind, scores_at = task.label_kind, tuner.finished_head().probabilities
    outputs, answers = (x.numpy() for x in tuner.answers)
    found = None if kind == "regression" else calibration_of(kind, outputs, answers, votes=False)
    detail = f"epoch {int(np.argmin([e['val_loss'] for e in tuner.curve])) + 1}"
    return Outcome(
        torch.cat([scores_at(row) for row in logits]).numpy(),
        detail=detail,
        head=tuner.finished_head(),
        calibration=found,
        calibrated=scores_at(torch.cat(logits) / found.temperature).numpy() if found else None,
        curve=tuner.curve,
        encoder=freeze(encoder),
    )


def make_trainer(embedder: Embedder, options: FineTuning) -> L.Trainer:
    """Build a trainer with early stopping and without checkpoints, logs and output."""
    return L.Trainer(
        accelerator="gpu" if embedder.device.startswith("cuda") else "cpu",
        devices=1,
        max_epochs=options.max_epochs,
        callbacks=[AfterHead("val_loss", options.head_epochs, patience=options.patience)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )


class AfterHead(L.callbacks.EarlyStopping):
    """Early stopping that ignores the first epochs, in which only the head is trained."""

    def __init__(self, monitor: str, head_epochs: int, patience: int):
        super().__init__(monitor, patience=patience)
        self.head_epochs = head_epochs

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch >= self.head_epochs:
            super().on_validation_end(trainer, pl_module)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Context manager that hides Lightning's messages about devices, workers and tips."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            yield
    finally:
        logger.setLevel(level)


def loss_of(
    head: ProbeHead, outputs: Tensor, targets: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Return the mean loss of outputs ``[N, C]`` for targets ``[N, C]``, on their standard scale.

    ``weights [C]`` are weights of the classes; None for equal weights.
    """
    if weights is not None:
        return weighted_loss(outputs, targets, head.kind, weights)
    return KINDS[head.kind].loss(outputs / head.target_scale, targets / head.target_scale)
