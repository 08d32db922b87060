"""Refuse options of Lightning's Trainer that ``semisupcon pretrain`` does not support."""

import logging
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as L
from pytorch_lightning.strategies import DDPStrategy

from semisupcon.errors import ConfigError
from semisupcon.objectives.base import Criterion
from semisupcon.training.processes import check_processes, check_slurm

log = logging.getLogger("semisupcon")


def check_options(given: Mapping[str, Any]) -> None:
    """Check the trainer options before the trainer is built.

    Raises:
        ConfigError: for an option that `pretrain` sets itself, or a launcher of processes that
            Lightning does not support.
    """
    if given.get("default_root_dir") is not None:
        raise ConfigError(
            "--trainer.default_root_dir has no effect: a run writes <ckpt_path>/<run_name>/.\nGive "
            "--ckpt_path and --run_name."
        )
    if given.get("barebones"):
        raise ConfigError(
            "--trainer.barebones disables checkpoints and logging, which a run needs; leave it out."
        )
    if given.get("enable_checkpointing") is False:
        raise ConfigError(
            "--trainer.enable_checkpointing false: a run always keeps last.ckpt; leave it out.\n"
            "--monitor null keeps no best.ckpt, --save_every 0 saves at validations and at the end "
            "only."
        )
    if given.get("use_distributed_sampler"):  # Every run_config.yaml of version 0.1 sets it.
        log.info(
            "trainer.use_distributed_sampler has no effect: the sampler of the data module shares "
            "the clips among processes."
        )
    check_slurm()


def check_trainer(trainer: L.Trainer, given: Mapping[str, Any]) -> None:
    """Check the trainer options that depend on devices and processes, after the trainer is built.

    Raises:
        ConfigError: if processes were started that do not communicate with each other, or for
            synchronised batch norm on CPUs.
    """
    # Do not use trainer.world_size: under SLURM it is the number of SLURM tasks.
    check_processes(trainer.num_nodes * trainer.num_devices)
    if (
        given.get("sync_batchnorm")
        and isinstance(trainer.strategy, DDPStrategy)
        and trainer.strategy.root_device.type == "cpu"
    ):
        raise ConfigError(
            "--trainer.sync_batchnorm true works on GPUs only; leave it out, or choose an encoder "
            "without batch norm."
        )


def check_negatives(criterion: Criterion, batch_size: int, trainer: L.Trainer) -> None:
    """Check that a batch over all processes contains negatives, if the criterion needs them.

    Raises:
        ConfigError: if negatives come from the batch, and the batch has only one clip.
    """
    clips = batch_size * trainer.world_size
    if not criterion.in_batch_negatives:
        return
    if clips < 2:
        raise ConfigError(
            f"{type(criterion).__name__} needs negatives from the same batch: "
            f"--data.batch_size {clips} has none. Give at least 2."
        )
    if trainer.accumulate_grad_batches > 1:
        log.info(
            "trainer.accumulate_grad_batches adds no negatives: negatives come from the same "
            "batch of %d clips. "
            "For a larger batch in the same memory give --model.chunk_size.",
            clips,
        )
