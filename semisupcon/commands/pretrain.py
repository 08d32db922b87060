"""``semisupcon pretrain``: a LightningCLI that trains an encoder inside a run folder.

Classes are given by path in YAML (those of semisupcon by name). Options override every value.
"""

import logging
import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as L
import yaml
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities.exceptions import MisconfigurationException

# Importing these modules makes their classes known by name, without a path.
from semisupcon import augmentations, encoders, frontends, heads, objectives, targets  # noqa: F401
from semisupcon.commands.failures import failure_in_options, option_of, smallest
from semisupcon.commands.options import (
    Parser,
    add_run_options,
    option_names,
    resumed_configuration,
    small_overlay,
)
from semisupcon.commands.parser import plain_name, short
from semisupcon.commands.trainer_options import check_options, check_trainer
from semisupcon.commands.types import numbers_as_written
from semisupcon.data import streamed  # noqa: F401
from semisupcon.data.datamodule import AudioDataModule
from semisupcon.data.trainer_settings import settings_of
from semisupcon.errors import ConfigError, UserError
from semisupcon.files import write_text
from semisupcon.memory import keep_freed_memory
from semisupcon.training import optimization  # noqa: F401
from semisupcon.training.callbacks import DrawMatrices, EndWell, JobTimer, Throughput
from semisupcon.training.contents import configuration_of
from semisupcon.training.estimate import Estimate
from semisupcon.training.facts import DIFF, data_figures, package_versions, write_diff
from semisupcon.training.finders import Finders
from semisupcon.training.keeping import AtomicCheckpointIO, BeforeOthers, KeepCheckpoints, mode_of
from semisupcon.training.loggers import MetricsFile, make_logger, tell
from semisupcon.training.objective import Objective
from semisupcon.training.progress import RunProgress
from semisupcon.training.ranks import WatchRanks, end_with_parent, lost_connection
from semisupcon.training.resuming import changes, flat
from semisupcon.training.resuming import check as check_resume
from semisupcon.training.runs import (
    CONFIG,
    Run,
    describe_code,
    forget_name,
    only_process,
    open_run,
    sweep_run,
)

# Options that set the place of a run, not its content.
UNCOMPARED = ("config", "ckpt_path", "run_name", "resume_from_checkpoint", "resume_id")

log = logging.getLogger("semisupcon")


class PretrainCLI(LightningCLI):
    """LightningCLI without subcommands; adds run folder, loggers, checkpoints and messages."""

    run: Run
    parser: Parser

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add Lightning's options; counts and shares keep their types."""
        super().add_core_arguments_to_parser(parser)
        numbers_as_written(parser)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of the run."""
        add_run_options(parser)
        # `RunProgress` logs the summary of model and data.
        parser.set_defaults(
            {
                "data": {"class_path": "semisupcon.data.datamodule.AudioDataModule"},
                "trainer.enable_model_summary": False,
            }
        )
        parser.set_defaults({"trainer.use_distributed_sampler": False})

    def before_instantiate_classes(self) -> None:
        """Set missing seeds to ``seed_everything``; ignore ``init_from`` on resume."""
        if self.config["resume_from_checkpoint"] is not None:
            self.config["model"]["init_from"] = None
        seed = self.config["seed_everything"]
        for part in (self.config["model"], self.config["data"].get("init_args", {})):
            if part.get("seed", 0) is None:
                part["seed"] = 123 if isinstance(seed, bool) or seed is None else seed

    def instantiate_classes(self) -> None:
        """Build model and data, then the run folder, then the trainer that writes into it."""
        try:
            self.config_init = self.parser.instantiate_classes(self.config)
        except ValueError as error:
            if (meant := sentence_within(error)) is None:
                raise
            raise ConfigError(meant) from error
        plain = yaml.safe_load(self.parser.dump(self.config, skip_none=False))
        if (problem := smallest(flat(plain))) is not None:
            raise ConfigError(problem)
        self.model, self.datamodule = self.config_init["model"], self.config_init["data"]
        self.datamodule.bind(
            self.model.encoder, self.model.criterion.views, self.model.criterion.most_views
        )
        if (seconds := self.datamodule.target_length) is not None:
            # Probes and `embed` use segments of the length that the encoder was trained on.
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
        """Check a checkpoint against the options and log all differences; return its step."""
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
        """Build the trainer with the callbacks and loggers of the run."""
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
                self.end.checkpoints,
                self.end,
            ],
            "plugins": [
                *several(given.get("plugins")),
                AtomicCheckpointIO(run.checkpoint, run.take_content()),
            ],
            "max_time": None,  # replaced by `JobTimer`
            "default_root_dir": str(run.folder),
            # The sampler of the data module shares the clips among ranks.
            "use_distributed_sampler": False,
        }
        trainer = super().instantiate_trainer(**kwargs)
        check_trainer(trainer, given)
        self._check_negatives(trainer)
        return trainer

    def _check_negatives(self, trainer: L.Trainer) -> None:
        """Refuse batches of one clip if negatives come from the batch."""
        criterion, clips = self.model.criterion, self.datamodule.batch_size * trainer.world_size
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

    @staticmethod
    def _progress(given: Any) -> list[L.Callback]:
        """The progress callback, unless progress is disabled or the user gives a progress bar."""
        own = any(isinstance(callback, ProgressBar) for callback in several(given.get("callbacks")))
        return [] if own or given.get("enable_progress_bar") is False else [RunProgress()]

    def fit(self) -> None:
        """Train the model; at most one process writes into the run folder."""
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
        """Write configuration and facts of the run; called when training starts."""
        sweep_run(self.run.folder)
        self.finders.record()
        text = self.parser.dump(self.config, skip_none=False)
        # A resumed run keeps its first configuration; the new one is written to a second file.
        resumed = self.run.checkpoint and (self.run.folder / CONFIG).exists()
        name = f"run_config.resumed-{self._resumptions():03d}.yaml" if resumed else CONFIG
        write_text(self.run.folder / name, text)
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
    """A trainer option (None, bool, object or list of objects) as a list of objects."""
    if given is None or isinstance(given, bool):
        return []
    return list(given) if isinstance(given, list | tuple) else [given]


def sentence_within(error: ValueError) -> str | None:
    """The ConfigError text inside jsonargparse's Union report, or None."""
    if isinstance(error, UserError):
        return str(error)
    said = (
        re.findall(r"^ *- (.+)$", str(error), re.MULTILINE)
        if "Does not validate against any of the Union" in str(error)
        else []
    )
    # Skip the messages about the other types of the Union.
    said = [
        sentence
        for sentence in said
        if not re.match("Import path|Expected a|Not a valid subclass", sentence)
    ]
    return said[0] if said else None


def speak_plainly() -> None:
    """Set up logging and silence warnings of Lightning and torch that need no action."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    noise = ("litlogger", "`weights_only` was not set", "TPU available")
    for handler in (
        *logging.getLogger("pytorch_lightning").handlers,
        *logging.getLogger().handlers,
    ):
        handler.addFilter(lambda record: not any(n in str(record.msg) for n in noise))
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("once", message=".*This DataLoader will create.*")
    # Expected: momentum encoders and frozen parts.
    warnings.filterwarnings("ignore", message=r".*Found \d+ module\(s\) in eval mode.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*LightningCLI's args parameter.*")


def configured(args: ArgsType = None, cli: type[PretrainCLI] = PretrainCLI) -> PretrainCLI:
    """Build model, data module and trainer from a command line; no data are read."""
    return cli(
        Objective,
        AudioDataModule,
        subclass_mode_data=True,
        save_config_callback=None,
        seed_everything_default=123,
        auto_configure_optimizers=False,
        load_from_checkpoint_support=False,
        parser_class=Parser,
        parser_kwargs={"allow_abbrev": False, "prog": "semisupcon pretrain"},
        run=False,
        args=args,
    )


def main(args: ArgsType = None) -> int:
    """Pretrain an encoder; return 0, 2 (user error), 143, 130 or 138 (SIGTERM, SIGINT, requeue)."""
    speak_plainly()
    end_with_parent()
    cli = None
    try:
        cli = configured(resumed_configuration(sys.argv[1:] if args is None else args))
        cli.fit()
    except UserError as error:
        print(f"error: {short(str(error))}", file=sys.stderr)
        return 2
    except MisconfigurationException as error:
        option = option_of(error, option_names())
        print(f"error: {short(f'--{option}: {error}' if option else str(error))}", file=sys.stderr)
        return 2
    except SystemExit:
        # After a second Ctrl-C, Lightning exits at once with status 1.
        if cli is None or cli.end.received is None:
            raise
    except Exception as error:
        if cli is not None and cli.trainer.world_size > 1 and lost_connection(error):
            print(f"error: {cli.ranks.sentence()}", file=sys.stderr)
            return 2
        if (
            os.environ.get("SEMISUPCON_TRACEBACK")
            or (sentence := failure_in_options(error, option_names())) is None
        ):
            error.add_note(
                "This is a defect of semisupcon or of your own class. Please report it with the "
                "lines above."
            )
            raise
        print(
            f"error: {sentence}\n(SEMISUPCON_TRACEBACK=1 shows where it was raised.)",
            file=sys.stderr,
        )
        return 2
    finally:
        forget_name()
    if cli.end.received is not None:
        return cli.end.exit_status(cli.trainer)
    log.info("All files of this run are in %s", Path(cli.run.folder))
    return 0
