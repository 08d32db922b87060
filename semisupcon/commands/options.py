"""Options of `semisupcon pretrain` beside model, data and trainer; what the original called them; and those of a resumed run."""

import inspect
import logging
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as L
from pytorch_lightning.cli import ArgsType, LightningArgumentParser

from semisupcon.commands.typed import Typed, take_configs
from semisupcon.training.runs import CONFIG, newest_checkpoint
from semisupcon.written import at_home

# What SemiSupCon's own README calls them -> the name in use.
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
    """Lightning's parser, with the answers of all commands."""

    old_names = OLD_NAMES
    refused = {"data.use_test_set": "test clips are never trained on."}


def add_run_options(parser: LightningArgumentParser) -> None:
    """Add the options of the run itself."""
    add = parser.add_argument
    add("--log", type=bool | str, default="csv", help="Logger beside metrics.csv: wandb (also: true), tensorboard, csv or false.")
    add("--project", type=str, default="semisupcon", help="Project of the wandb run.")
    add("--group", type=str | None, default=None, help="Group of the wandb run.")
    add("--tags", type=list[str], default=[], help="Tags of the wandb run: [a,b].")
    add("--ckpt_path", type=str, default="runs", help="Folder of runs; this one writes <ckpt_path>/<run_name>/.")
    add("--run_name", type=str | None, default=None, help="Name of the run; by default made of objective, encoder and time.")
    add("--resume_from_checkpoint", type=str | None, default=None, help="Checkpoint, run folder, or 'last': continue in its folder.")
    add("--resume_id", type=str | None, default=None, help="wandb run to continue; by default the one stored with the run.")
    add("--monitor", type=str | None, default="val_top1", help="Value that chooses best.ckpt; null keeps the last only.")
    add(
        "--monitor_mode",
        type=Literal["min", "max"] | None,
        default=None,
        help="Which way --monitor is better; by default its name tells.",
    )
    add("--save_every", type=int, default=1000, help="Optimizer steps between two savings of last.ckpt.")
    add("--draw_every", type=int, default=2000, help="Steps between two pictures of target and similarity matrix; 0 for none.")


def small_overlay(configs: Any) -> str | None:
    """The overlay that makes a recipe small, where one of the configurations is a recipe and the overlay is not given; None otherwise."""
    paths = [Path(str(path)) for path in configs or ()]
    for path in paths:
        parts = path.parts
        if "pretraining" in parts:
            cut = len(parts) - 1 - parts[::-1].index("pretraining")
            overlay = Path(*parts[:cut], "overlays", "small", *parts[cut + 1 :])
            if overlay.is_file() and not any(other.resolve() == overlay.resolve() for other in paths):
                return str(overlay)
    return None


def option_names() -> list[str]:
    """Full names of the trainer's options."""
    return [f"trainer.{name}" for name in inspect.signature(L.Trainer).parameters]


def resumed_configuration(args: ArgsType) -> ArgsType:
    """The arguments, with the run's own configuration before them where a run is resumed and no ``--config`` is given."""
    if not isinstance(args, list) or take_configs(args, ("--config", "-c"))[0]:
        return args
    given = at_home(dict(pairwise(args)) | dict(a.split("=", 1) for a in args if "=" in a))
    if (what := given.get("--resume_from_checkpoint")) in (None, "null"):
        return args
    path = newest_checkpoint(Path(given.get("--ckpt_path", "runs"))) if what == "last" else Path(what)
    folder = path if path.is_dir() else path.parent
    written = sorted(folder.glob("run_config.resumed-*.yaml"))[-1:] or [folder / CONFIG]
    if not written[0].is_file():
        return args
    log.info("The configuration is %s; the options of the command line override it.", written[0])
    return ["--config", str(written[0]), *args]
