"""Which exceptions are a mistake in the options, and the sentence that says so.

A value that the user gave can reach Lightning, torch, wandb or timm before anything complains. Such an exception is told as a sentence with the full
name of the option. It is recognised by where it was raised: in a library, called from a place here that hands over what the user gave. Anything
else is a defect of this package, or of the user's own code, and keeps its traceback.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

import torch

import semisupcon

HERE = Path(semisupcon.__file__).parent
# Files, and functions where only some, that hand values of the user to a library.
HANDED_OVER = {
    "commands/pretrain.py": None,
    "training/objective.py": ("configure_optimizers", "_schedule", "_run_length"),
    "training/loggers.py": None,
    "data/datamodule.py": ("train_dataloader", "val_dataloader"),
    "data/loader.py": ("batches",),
    "encoders/vision.py": ("create",),
}
# Part of a library's path -> the option whose value it was given.
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
    "pytorch_lightning/profilers": "trainer.profiler",
    "wandb/": "log",
}
# Words of messages -> names of hyperparameters.
BY_WORD = {
    "learning rate": "lr",
    "beta parameter": "betas",
    "weight_decay": "weight_decay",
    "epsilon": "eps",
    "momentum": "momentum",
    "step_size": "step_size",
}


def failure_in_options(error: BaseException, options: Iterable[str]) -> str | None:
    """The sentence for an exception that a value of the user caused; None for any other.

    Args:
        error: as it was caught.
        options: full names of all options, such as ``trainer.val_check_interval``.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return f"{_first(error)}\nLower --data.batch_size, or give --model.chunk_size: views are then encoded in parts, with the same loss."
    frames = list(_frames(error.__traceback__))
    last_here = max((i for i, (place, _) in enumerate(frames) if place.startswith("semisupcon/")), default=-1)
    if last_here < 0 or last_here == len(frames) - 1 or not _hands_over(*frames[last_here]):
        return None
    if any(not _in_library(place) for place, _ in frames[last_here + 1 :]):
        return None  # The user's own class.
    option = _named_in(str(error), options) or _by_place([place for place, _ in frames[last_here + 1 :]], str(error))
    return f"--{option}: {_first(error)}" if option else f"The options do not work together: {_first(error)}"


def _frames(traceback: TracebackType | None) -> Iterable[tuple[str, str]]:
    """File, relative to the package or to the library folder, and function of each frame, outermost first."""
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
    # The standard library, and frozen modules.
    return f"library/{path.name}" if filename.startswith("<") or re.search(r"/lib/python\d", filename) else f"user/{filename}"


def _in_library(place: str) -> bool:
    return place.startswith("library/")


def _hands_over(place: str, function: str) -> bool:
    file = place.removeprefix("semisupcon/")
    return file in HANDED_OVER and (HANDED_OVER[file] is None or function in HANDED_OVER[file])


def _named_in(message: str, options: Iterable[str]) -> str | None:
    """The option of the trainer that a message names."""
    last = {option.rpartition(".")[2]: option for option in options if option.startswith("trainer.")}
    words = re.findall(r"[a-z]\w+", message)
    return next((last[word] for word in words if word in last and ("_" in word or f"`{word}" in message or f"{word}=" in message)), None)


def _by_place(places: list[str], message: str) -> str | None:
    for place in reversed(places):
        for part, option in BY_PLACE.items():
            if part in place:
                word = next((name for text, name in BY_WORD.items() if text in message.lower()), None)
                return f"{option}.{word}" if word and option in ("model.optimizer", "model.scheduler") else option
    return None


def _first(error: BaseException, most: int = 300) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else f"{text[:most]} ..."


def smallest(config: Mapping[str, object]) -> str | None:
    """A sentence for a count that is too small for anything to work; None where all are large enough."""
    limits = {"trainer.accumulate_grad_batches": 1, "trainer.log_every_n_steps": 1, "save_every": 0, "draw_every": 0, "data.num_workers": 0}
    limits |= {"trainer.num_nodes": 1}
    for name, least in limits.items():
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value < least:
            return f"--{name} must be at least {least}, got {value}."
    return None
