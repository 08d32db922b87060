"""Recognise exceptions that are caused by option values, and turn them into error messages.

A wrong option value may be noticed only by Lightning, torch, wandb or timm. An exception is
attributed to an option if a library raised it and the last function of this package in the
traceback passes option values to that library. The error message then names the option. All other
exceptions are defects of this package or of user code, and keep their traceback.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from semisupcon.errors import UserError

HERE = Path(__file__).resolve().parents[1]  # the folder of the package
# File that passes option values to a library -> the functions that do so (None: all functions).
HANDED_OVER: dict[str, tuple[str, ...] | None] = {
    "commands/pretrain.py": None,
    "commands/pretrain_cli.py": None,
    "training/objective.py": ("optimizer_step",),
    "training/optimization.py": ("optimizer_of", "schedule_of", "_run_length"),
    "training/loggers.py": None,
    "data/datamodule.py": ("train_dataloader", "val_dataloader"),
    "data/loader.py": ("batches",),
    "encoders/vision.py": ("create",),
}
# Part of the path of a library file -> option whose value reaches this file.
BY_PLACE = {
    "torch/optim/lr_scheduler": "model.scheduler",
    "torch/optim": "model.optimizer",
    "timm/optim": "model.optimizer",
    "timm/": "model.encoder",
    "torch/utils/data": "data.num_workers",
    "pytorch_lightning/callbacks/timer": "trainer.max_time",
    "pytorch_lightning/callbacks": "trainer.callbacks",
    "pytorch_lightning/tuner": "trainer.callbacks",
    "pytorch_lightning/loggers": "trainer.logger",
    "pytorch_lightning/strategies": "trainer.strategy",
    "pytorch_lightning/accelerators": "trainer.accelerator",
    "pytorch_lightning/plugins/precision": "trainer.precision",
    "lightning_fabric/plugins/precision": "trainer.precision",
    "lightning_fabric/accelerators": "trainer.accelerator",
    "lightning_fabric/strategies": "trainer.strategy",
    "lightning_fabric/utilities/device_parser": "trainer.devices",
    "pytorch_lightning/profilers": "trainer.profiler",
    "lightning_fabric/utilities/seed": "seed_everything",
    "wandb/": "log",
}
# Words in messages of optimizers and schedulers -> name of the hyperparameter.
BY_WORD = {
    "learning rate": "lr",
    "beta parameter": "betas",
    "weight_decay": "weight_decay",
    "epsilon": "eps",
    "momentum": "momentum",
    "step_size": "step_size",
}


def failure_in_options(error: BaseException, options: Iterable[str]) -> str | None:
    """Return the error message for an exception caused by an option value; None for others.

    Args:
        error: the exception.
        options: full names of all options, such as ``trainer.val_check_interval``.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return f"{_first(error)}\nLower --data.batch_size, or give --model.chunk_size to encode the views in parts (the loss stays the same)."
    frames = list(_frames(error.__traceback__))
    restoring = next((i for i, frame in enumerate(frames) if _restores(*frame)), len(frames))
    if restoring < len(frames) and not any(
        place.startswith("user/") for place, _ in frames[restoring:]
    ):
        return f"--resume_from_checkpoint: the checkpoint does not match this run, or is damaged: {type(error).__name__}: {_first(error)}"
    last_here = max(
        (i for i, (place, _) in enumerate(frames) if place.startswith("semisupcon/")), default=-1
    )
    if last_here < 0 or last_here == len(frames) - 1 or not _hands_over(*frames[last_here]):
        return None
    if any(not _in_library(place) for place, _ in frames[last_here + 1 :]):
        return None  # User code raised the exception.
    option = option_of(error, options)
    return (
        f"--{option}: {_first(error)}"
        if option
        else f"The options do not work together: {_first(error)}"
    )


def sentence_within(error: ValueError) -> str | None:
    """Return the text of a `UserError`, also if jsonargparse has wrapped it in a report on a Union.

    Returns None for other errors.
    """
    if isinstance(error, UserError):
        return str(error)
    said = (
        re.findall(r"^ *- (.+)$", str(error), re.MULTILINE)
        if "Does not validate against any of the Union" in str(error)
        else []
    )
    # Keep the text of the ConfigError: skip the lines that jsonargparse adds for each type.
    said = [
        sentence
        for sentence in said
        if not re.match("Import path|Expected a|Not a valid subclass", sentence)
    ]
    return said[0] if said else None


def option_of(error: BaseException, options: Iterable[str]) -> str | None:
    """Return the option that caused an exception of a library, or None if it is unknown.

    The option is found by its name in the message, else by the library file that raised the
    exception.
    """
    places = [place for place, _ in _frames(error.__traceback__)]
    last_here = max(
        (i for i, place in enumerate(places) if place.startswith("semisupcon/")), default=-1
    )
    return _named_in(str(error), options) or _by_place(places[last_here + 1 :], str(error))


def _frames(traceback: TracebackType | None) -> Iterable[tuple[str, str]]:
    """Yield the file and the function of each frame of a traceback, outermost frame first.

    File names begin with ``semisupcon/``, ``library/`` or ``user/``.
    """
    while traceback is not None:
        code = traceback.tb_frame.f_code
        yield _place(code.co_filename), code.co_name
        traceback = traceback.tb_next


def _place(filename: str) -> str:
    path = Path(filename)
    if HERE in path.parents:
        return f"semisupcon/{path.relative_to(HERE).as_posix()}"
    parts = path.parts
    for folder in ("site-packages", "dist-packages"):
        if folder in parts:
            return "/".join(["library", *parts[parts.index(folder) + 1 :]])
    # Files of the standard library and frozen modules also count as library files.
    return (
        f"library/{path.name}"
        if filename.startswith("<") or re.search(r"/lib/python\d", filename)
        else f"user/{filename}"
    )


def _restores(place: str, function: str) -> bool:
    """Return whether a frame is in the part of Lightning that restores a checkpoint."""
    return place.endswith("trainer/connectors/checkpoint_connector.py") and function.startswith(
        ("restore", "_restore", "resume")
    )


def _in_library(place: str) -> bool:
    return place.startswith("library/")


def _hands_over(place: str, function: str) -> bool:
    file = place.removeprefix("semisupcon/")
    functions = HANDED_OVER.get(file, ())
    return functions is None or function in functions


def _named_in(message: str, options: Iterable[str]) -> str | None:
    """Return the trainer option whose name occurs in a message, or None."""
    last = {
        option.rpartition(".")[2]: option for option in options if option.startswith("trainer.")
    }
    words = re.findall(r"[a-z]\w+", message)
    return next(
        (
            last[word]
            for word in words
            if word in last and ("_" in word or f"`{word}" in message or f"{word}=" in message)
        ),
        None,
    )


def _by_place(places: list[str], message: str) -> str | None:
    for place in reversed(places):
        for part, option in BY_PLACE.items():
            if part in place:
                word = next(
                    (name for text, name in BY_WORD.items() if text in message.lower()), None
                )
                return (
                    f"{option}.{word}"
                    if word and option in ("model.optimizer", "model.scheduler")
                    else option
                )
    return None


def _first(error: BaseException, most: int = 300) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else f"{text[:most]} ..."


LEAST = {
    "trainer.accumulate_grad_batches": 1,
    "trainer.log_every_n_steps": 1,
    "save_every": 0,
    "draw_every": 0,
    "data.num_workers": 0,
}
LEAST |= {
    "trainer.num_nodes": 1,
    "trainer.check_val_every_n_epoch": 1,
    "trainer.gradient_clip_val": 0,
}
NOTHING = ("trainer.max_steps", "trainer.max_epochs", "trainer.limit_train_batches")


def smallest(config: Mapping[str, Any]) -> str | None:
    """Check the numbers that would make training impossible or without any step.

    Args:
        config: value by full option name, such as ``trainer.max_steps``.

    Returns the error message for the first such number, or None if all numbers are valid.
    """
    for name, value in config.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if name in LEAST and not value >= LEAST[name]:
            return f"--{name} must be at least {LEAST[name]}, got {value}."
        if name in NOTHING and value == 0:
            return f"--{name} {value} trains nothing; leave it out, or give a larger number."
        if name == "trainer.val_check_interval" and value <= 0:
            return f"--{name} must be greater than 0, got {value}. For a run without validation: --trainer.limit_val_batches 0 --monitor null"
    for unit in ("steps", "epochs"):
        least, most = (config.get(f"trainer.{bound}_{unit}") or 0 for bound in ("min", "max"))
        if 0 < most < least:
            return f"--trainer.min_{unit} {least} is more than --trainer.max_{unit} {most}, which ends the run first."
    return None
