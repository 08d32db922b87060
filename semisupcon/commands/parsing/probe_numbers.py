"""Allowed ranges of the numeric options of ``semisupcon probe``."""

from typing import Any

from semisupcon.commands.parsing.ranges import (
    ABOVE_ZERO,
    COUNT,
    FINITE,
    SHARE_ABOVE_ZERO,
    Range,
    check_numbers,
)
from semisupcon.errors import ConfigError

_MANY = Range(1, 10_000_000)  # range of resamples and episodes
RANGES = {
    "batch_size": COUNT,
    "resamples": _MANY,
    "invariance_noise": FINITE,
    "neighbours": COUNT,
    "shares": SHARE_ABOVE_ZERO,
    "way": Range(2, 1_000_000),
    "way_to": Range(2, 1_000_000),
    "shot": COUNT,
    "shot_to": COUNT,
    "queries": COUNT,
    "episodes": _MANY,
    "training.lr": ABOVE_ZERO,
    "training.weight_decay": Range(0),
    "training.batch_size": COUNT,
    "training.max_epochs": COUNT,
    "training.patience": COUNT,
    "training.hidden": Range(1, 1_000_000),
    "training.warmup_epochs": Range(0),
    "finetune.lr": ABOVE_ZERO,
    "finetune.warmup_epochs": Range(0),
    "finetune.severity": Range(0, 5),
    "finetune.mixup": Range(0, 1000),
    "finetune.encoder_rate": Range(0),
    "finetune.decay": SHARE_ABOVE_ZERO,
    "finetune.weight_decay": Range(0),
    "finetune.batch_size": COUNT,
    "finetune.max_epochs": COUNT,
    "finetune.patience": COUNT,
}


def check_probe_numbers(options: Any) -> None:
    """Check all numeric options before any clip is embedded.

    Args:
        options: the parsed options; an option ``a.b`` is the attribute ``b`` of ``options.a``.

    Raises:
        ConfigError: for the first number outside its range, with the full option name.
    """
    if not 0 < options.train_share <= 1:
        raise ConfigError(
            "The share of training clips (--train_share) must lie in (0, 1], got "
            f"{options.train_share:g}."
        )
    values = {name: _value(options, name) for name in RANGES}
    for name in ("neighbours", "shares"):
        if values[name] is not None and not len(values[name]):
            raise ConfigError(f"--{name} takes numbers, got none.")
    check_numbers(values, RANGES)


def _value(options: Any, name: str) -> Any:
    for part in name.split("."):
        options = getattr(options, part, None)
    return options
