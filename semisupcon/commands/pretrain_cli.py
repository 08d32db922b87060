"""The LightningCLI of ``semisupcon pretrain``.

It builds the model, the data module and the trainer, and adds the run folder, loggers, callbacks
and checkpoints.
"""

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as L
import yaml
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

# These imports make classes available by name: jsonargparse finds only imported subclasses.
from semisupcon import augmentations, encoders, frontends, heads, objectives, targets  # noqa: F401
from semisupcon.commands.failures import sentence_within, smallest
from semisupcon.commands.parsing.options import Parser, add_run_options, small_overlay
from semisupcon.commands.parsing.parser import plain_name
from semisupcon.commands.parsing.trainer_options import (
    check_negatives,
    check_options,
    check_trainer,
)
from semisupcon.commands.parsing.types import numbers_as_written
from semisupcon.data import streamed  # noqa: F401
from semisupcon.data.outside import hugging_face, torch_dataset, webdataset  # noqa: F401
from semisupcon.data.trainer_settings import settings_of
from semisupcon.errors import ConfigError
from semisupcon.files import write_text
from semisupcon.memory import keep_freed_memory
from semisupcon.training import optimization  # noqa: F401
from semisupcon.training.callbacks import BeforeOthers, DrawMatrices, EndWell, JobTimer, Throughput
from semisupcon.training.contents import configuration_of
from semisupcon.training.estimate import Estimate
from semisupcon.training.facts import DIFF, data_figures, package_versions, write_diff
from semisupcon.training.finders import Finders
from semisupcon.training.heard import record_audio
from semisupcon.training.keeping import KeepCheckpoints
from semisupcon.training.loggers import MetricsFile, make_logger, tell
from semisupcon.training.monitoring import mode_of
from semisupcon.training.probes import OnlineProbes
from semisupcon.training.progress import RunProgress
from semisupcon.training.ranks import WatchRanks
from semisupcon.training.resuming import changes, flat
from semisupcon.training.resuming import check as check_resume
from semisupcon.training.runs import CONFIG, Run, describe_code, only_process, open_run, sweep_run
from semisupcon.training.writing import AtomicCheckpointIO

# Options that set the folder of a run and do not affect training.
UNCOMPARED = ("config", "ckpt_path", "run_name", "resume_from_checkpoint", "resume_id")

log = logging.getLogger("semisupcon")


class PretrainCLI(LightningCLI):
    """LightningCLI without subcommands, with run folder, loggers, checkpoints and messages."""

    run: Run
    parser: Parser

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of Lightning, and distinguish 1 (a count) from 1.0 (a share)."""
        super().add_core_arguments_to_parser(parser)
        numbers_as_written(parser)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options that concern the run, and set defaults of data module and trainer."""
        add_run_options(parser)
        # Lightning's model summary is off, because `RunProgress` logs one of model and data.
        parser.set_defaults(
            {
                "data": {"class_path": "semisupcon.data.datamodule.AudioDataModule"},
                "trainer.enable_model_summary": False,
            }
        )
        parser.set_defaults({"trainer.use_distributed_sampler": False})

    def before_instantiate_classes(self) -> None:
        """Set missing seeds to ``seed_everything``, and ignore ``init_from`` in a resumed run."""
        if self.config["resume_from_checkpoint"] is not None:
            self.config["model"]["init_from"] = None
        seed = self.config["seed_everything"]
        for part in (self.config["model"], self.config["data"].get("init_args", {})):
            if part.get("seed", 0) is None:
                part["seed"] = 123 if isinstance(seed, bool) or seed is None else seed

    def instantiate_classes(self) -> None:
        """Build the model and the data module, then the run folder, then the trainer."""
        try:
            self.config_init = self.parser.instantiate_classes(self.config)
        except ValueError as error:
            if (meant := sentence_within(error)) is None:
                raise
            raise ConfigError(meant) from error
        plain = yaml.safe_load(self.parser.dump(self.config, skip_none=False, skip_validation=True))
        if (problem := smallest(flat(plain))) is not None:
            raise ConfigError(problem)
        self.model, self.datamodule = self.config_init["model"], self.config_init["data"]
        self.datamodule.bind(
            self.model.encoder, self.model.criterion.views, self.model.criterion.most_views
        )
        if (seconds := self.datamodule.target_length) is not None:
            # Probes and `embed` cut audio into segments of the length used in training.
            self.model.encoder.segment_samples = round(seconds * self.model.encoder.sample_rate)
            self.model.criterion.check(self.model.encoder)
        config = self.config
        default = (
            f"{type(self.model.criterion).__name__}-{type(self.model.encoder).__name__}".lower()
        )
        self.run = open_run(
            config["ckpt_path"], config["run_name"], config["resume_from_checkpoint"], default
        )
        self.model.config = plain
        callbacks = several(self.config_init["trainer"].get("callbacks"))
        self.finders = Finders(callbacks, self.model, self.datamodule, (config, plain))
        step = self._resume(self.run.checkpoint) if self.run.checkpoint else None
        self.trainer = self.instantiate_trainer(resumed_step=step)

    def _resume(self, checkpoint: Path) -> int:
        """Check a checkpoint against the options, log all differences, and return its step."""
        content = self.run.content
        check_resume(content, self.model, checkpoint)
        before = configuration_of(content, self.run.folder / CONFIG)
        words = [plain_name(word) for word in self.parser.words]
        self.finders.resume(before, words)
        if "run_name" in words and self.config["run_name"] not in (None, self.run.folder.name):
            log.warning(
                "--run_name %s has no effect: a resumed run stays in its folder.",
                self.config["run_name"],
            )
        log.info("Resuming %s at step %d.", self.run.checkpoint, content["global_step"])
        if 0 < self.config["trainer"]["max_steps"] <= content["global_step"]:
            log.warning(
                "Nothing is left to train: --trainer.max_steps is %d.",
                self.config["trainer"]["max_steps"],
            )
        for change in changes(before or self.model.config, self.model.config, UNCOMPARED):
            log.info("  changed against the checkpoint: %s", change)
        return content["global_step"]

    def instantiate_trainer(self, resumed_step: int | None = None, **kwargs: Any) -> L.Trainer:
        """Build the trainer with the callbacks and loggers of the run.

        Args:
            resumed_step: optimizer step of the checkpoint; None for a new run.
            kwargs: further arguments of the trainer.
        """
        config, run = self.config, self.run
        logger = make_logger(
            config["log"],
            run,
            config["project"],
            config["resume_id"],
            config["group"],
            config["tags"],
        )
        self.end = EndWell(
            KeepCheckpoints(
                run.folder,
                config["monitor"],
                mode_of(config["monitor"], config["monitor_mode"]),
                config["save_every"],
            )
        )
        self.ranks = WatchRanks(self.end.checkpoints)
        given = self.config_init["trainer"]
        check_options(given)
        kwargs |= {
            "logger": [
                MetricsFile(run.folder, resumed_step),
                *([logger] if logger else []),
                *several(given.get("logger")),
            ],
            "callbacks": [
                BeforeOthers(self.end.checkpoints, self._write_down),
                *self.finders.callbacks,
                *([JobTimer(given["max_time"])] if given.get("max_time") is not None else []),
                Throughput(),
                *self._progress(given),
                Estimate(small_overlay(self.parser.files)),
                DrawMatrices(run.folder, config["draw_every"]),
                self.ranks,
                # The probes run before the checkpoint callback, which stores their metrics.
                OnlineProbes(
                    self.config_init["probe"],
                    run.folder,
                    config["monitor"],
                    draws=bool(config["draw_every"]),
                ),
                self.end.checkpoints,
                self.end,
            ],
            "plugins": [
                *several(given.get("plugins")),
                AtomicCheckpointIO(run.checkpoint, run.take_content()),
            ],
            "max_time": None,  # replaced by `JobTimer`
            "default_root_dir": str(run.folder),
            # The sampler of the data module already distributes the clips over ranks.
            "use_distributed_sampler": False,
        }
        trainer = super().instantiate_trainer(**kwargs)
        check_trainer(trainer, given)
        check_negatives(self.model.criterion, self.datamodule.batch_size, trainer)
        return trainer

    @staticmethod
    def _progress(given: Any) -> list[L.Callback]:
        """Return the progress callback, or none if progress is disabled or the user gives a bar."""
        own = any(isinstance(callback, ProgressBar) for callback in several(given.get("callbacks")))
        return [] if own or given.get("enable_progress_bar") is False else [RunProgress()]

    def fit(self) -> None:
        """Train the model while a lock keeps other commands from writing into the run folder."""
        if self.trainer.strategy.root_device.type == "cpu":
            keep_freed_memory()
        with only_process(self.run, writes=not settings_of(self.trainer).fast_dev_run):
            self._fit()

    def _fit(self) -> None:
        try:
            self.trainer.fit(self.model, self.datamodule, ckpt_path=self.run.checkpoint)
        finally:
            if any(type(logger).__name__ == "WandbLogger" for logger in self.trainer.loggers):
                import wandb

                wandb.finish()
        if any((self.run.folder / "wandb").glob("offline-run-*")):
            log.info(
                "wandb logged offline. To upload the run with all its resumptions: wandb sync %s",
                self.run.folder / "wandb",
            )

    def _write_down(self) -> None:
        """Write the configuration and the facts of the run when training starts."""
        sweep_run(self.run.folder)
        self.finders.record()
        text = self.parser.dump(self.config, skip_none=False, skip_validation=True)
        # A resumed run writes its configuration to a new file and keeps the first configuration.
        resumed = self.run.checkpoint and (self.run.folder / CONFIG).exists()
        name = f"run_config.resumed-{self._resumptions():03d}.yaml" if resumed else CONFIG
        write_text(self.run.folder / name, text)
        record_audio(self.run.folder, self.datamodule, self.config["model"].get("init_from"))
        facts = {"data": data_figures(self.datamodule), "packages": package_versions()}
        told = f"```yaml\n{text}\n{yaml.safe_dump(facts)}```"
        if ids := tell(self.trainer.loggers, self.config.as_dict() | {"facts": facts}, told):
            self.run.remember(**ids)
        if not self.run.checkpoint:
            self.run.remember(
                code=describe_code() | {"diff": DIFF if write_diff(self.run.folder) else None},
                **facts,
            )

    def _resumptions(self) -> int:
        return 1 + len(list(self.run.folder.glob("run_config.resumed-*.yaml")))


def several(given: Any) -> list[Any]:
    """Convert a trainer option (None, bool, object or list of objects) to a list of objects."""
    if given is None or isinstance(given, bool):
        return []
    return list(given) if isinstance(given, list | tuple) else [given]
