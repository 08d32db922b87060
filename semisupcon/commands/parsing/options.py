"""Options of ``semisupcon pretrain`` that concern the run: logging, folders, checkpoints, resuming.

The options of model, data and trainer come from the signatures of their classes.
"""

import inspect
import logging
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as L
from pytorch_lightning.cli import ArgsType, LightningArgumentParser

from semisupcon.commands.parsing.typed import Typed, take_configs
from semisupcon.training.probes import ProbeOptions
from semisupcon.training.run_checkpoints import newest_checkpoint
from semisupcon.training.runs import CONFIG
from semisupcon.written import at_home

# Name of an option in the README of the published SemiSupCon code -> its name in semisupcon.
OLD_NAMES = {
    "resume_from_ckpt": "resume_from_checkpoint",
    "data.aug_severity": "data.severity_modifier",
    "aug_severity": "data.severity_modifier",
    "data.target_sr": "data.target_sample_rate",
    "target_sr": "data.target_sample_rate",
    "data.target_len": "data.target_length",
    "target_len": "data.target_length",
    "data.n_augmentations": "data.views",
    "n_augmentations": "data.views",
    "model.temperature": "model.criterion.temperature",
    "model.pos_thresh": "model.criterion.target SharedLabels --model.criterion.target.threshold",
}

log = logging.getLogger("semisupcon")


class Parser(Typed, LightningArgumentParser):
    """Lightning's parser with the common error messages of our commands."""

    old_names = OLD_NAMES
    refused = {"data.use_test_set": "test clips are never used for training."}


def add_run_options(parser: LightningArgumentParser) -> None:
    """Add the options that concern the run: logging, folders, checkpoints, resuming, probes."""
    add = parser.add_argument
    add(
        "--log",
        type=bool | str,
        default="csv",
        help="Logger in addition to metrics.csv: wandb (or true), tensorboard, csv or false.",
    )
    add("--project", type=str, default="semisupcon", help="Project of the wandb run.")
    add("--group", type=str | None, default=None, help="Group of the wandb run.")
    add("--tags", type=list[str], default=[], help="Tags of the wandb run: [a,b].")
    add(
        "--ckpt_path",
        type=str,
        default="runs",
        help="Folder of all runs; this run writes <ckpt_path>/<run_name>/.",
    )
    add(
        "--run_name",
        type=str | None,
        default=None,
        help="Name of the run; default: objective, encoder and time.",
    )
    add(
        "--resume_from_checkpoint",
        type=str | None,
        default=None,
        help="Checkpoint, run folder, or 'last'; the run continues in the same folder.",
    )
    add(
        "--resume_id",
        type=str | None,
        default=None,
        help="ID of the wandb run to continue; default: the ID stored with the run.",
    )
    add(
        "--monitor",
        type=str | None,
        default="val_top1",
        help="Logged value that selects best.ckpt; null keeps last.ckpt only.",
    )
    add(
        "--monitor_mode",
        type=Literal["min", "max"] | None,
        default=None,
        help="Whether a lower or higher --monitor is better; default: derived from its name.",
    )
    add(
        "--save_every",
        type=int,
        default=1000,
        help="Optimizer steps between two saves of last.ckpt.",
    )
    add(
        "--draw_every",
        type=int,
        default=2000,
        help="Steps between two figures of the target and similarity matrices; 0 for no figures.",
    )
    parser.add_class_arguments(ProbeOptions, "probe")


def small_overlay(configs: Any) -> str | None:
    """Find the configuration that overlays a recipe with smaller settings.

    Args:
        configs: paths of the ``--config`` files.

    Returns the path of the small overlay of the first recipe that has one, or None if there is no
    overlay or it is already among ``configs``.
    """
    paths = [Path(str(path)) for path in configs or ()]
    for path in paths:
        parts = path.parts
        if "pretraining" in parts:
            cut = len(parts) - 1 - parts[::-1].index("pretraining")
            overlay = Path(*parts[:cut], "overlays", "small", *parts[cut + 1 :])
            if overlay.is_file() and not any(
                other.resolve() == overlay.resolve() for other in paths
            ):
                return str(overlay)
    return None


def option_names() -> list[str]:
    """Return the full names of all trainer options, such as ``trainer.max_steps``."""
    return [f"trainer.{name}" for name in inspect.signature(L.Trainer).parameters]


def resumed_configuration(args: ArgsType) -> ArgsType:
    """Add the stored configuration of a resumed run to the arguments of the command.

    Arguments that do not resume a run, or that contain ``--config``, are returned unchanged.
    """
    if not isinstance(args, list) or take_configs(args, ("--config", "-c"))[0]:
        return args
    given = at_home(dict(pairwise(args)) | dict(a.split("=", 1) for a in args if "=" in a))
    if (what := given.get("--resume_from_checkpoint")) in (None, "null"):
        return args
    path = (
        newest_checkpoint(Path(given.get("--ckpt_path", "runs"))) if what == "last" else Path(what)
    )
    folder = path if path.is_dir() else path.parent
    written = sorted(folder.glob("run_config.resumed-*.yaml"))[-1:] or [folder / CONFIG]
    if not written[0].is_file():
        return args
    log.info("The configuration is %s; options on the command line override it.", written[0])
    return ["--config", str(written[0]), *args]
