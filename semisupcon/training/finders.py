"""Support for Lightning's `LearningRateFinder` and `BatchSizeFinder`.

A finder searches before training starts and then restores the weights. The value that it finds is
recorded in the configuration, and kept in a resumed run. `Objective` builds optimizer and schedule
again after the search, so that the run equals a run that is configured with this value.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import pytorch_lightning as L
from pytorch_lightning.callbacks import BatchSizeFinder, LearningRateFinder

from semisupcon.errors import ConfigError

RATE, SIZE = "model.optimizer.lr", "data.batch_size"
KINDS = {LearningRateFinder: RATE, BatchSizeFinder: SIZE}
# Schedules that set the learning rate by their own options and ignore that of the optimizer.
OWN_RATES = ("OneCycleLR", "CyclicLR")
log = logging.getLogger("semisupcon")


def finders_of(callbacks: Iterable[L.Callback]) -> dict[str, L.Callback]:
    """Return the finders among callbacks, by the name of the option that they search."""
    return {option: c for c in callbacks for kind, option in KINDS.items() if isinstance(c, kind)}


class Finders:
    """The finders of a run.

    Args:
        callbacks: callbacks given by the user.
        model, data: an `Objective` and its data module.
        configs: configurations of the run, in which the values found are recorded.

    Raises:
        ConfigError: for two finders of the same option, or a learning-rate finder with a schedule
            that ignores its value.
    """

    def __init__(
        self, callbacks: Sequence[L.Callback], model: Any, data: Any, configs: Sequence[Any]
    ):
        self.callbacks, self.model, self.data, self.configs = list(callbacks), model, data, configs
        self.found = finders_of(callbacks)
        if len(self.found) < sum(bool(finders_of([callback])) for callback in callbacks):
            raise ConfigError(
                "--trainer.callbacks has two finders of the same value; give one of them."
            )
        schedule = str(
            ((configs[0]["model"].get("scheduler") or {}).get("class_path")) or ""
        ).rpartition(".")[2]
        if RATE in self.found and schedule in OWN_RATES:
            raise ConfigError(
                f"--trainer.callbacks LearningRateFinder sets --{RATE}, but {schedule} sets the "
                "rate with its own options.\n"
                "Leave out the finder, or choose another --model.scheduler."
            )

    def resume(self, before: Any, given: Sequence[str]) -> None:
        """Set the values that were found in the first run, and remove the finders.

        A resumed run does not search again. An option on the command line has precedence.

        Args:
            before: configuration stored in the checkpoint.
            given: names of the options on the command line.
        """
        for option, finder in self.found.items():
            value = value_of(before, option)
            if option not in given and value is not None:
                self._set(option, value)
            log.info(
                "%s does not search in a resumed run; --%s is %s.",
                type(finder).__name__,
                option,
                value_of(self.configs[0], option),
            )
        self.callbacks = [callback for callback in self.callbacks if not finders_of([callback])]
        self.found = {}

    def record(self) -> None:
        """Write the values that the finders found into the configurations, and log them."""
        for option, finder in self.found.items():
            value = self.model.found_rate if option == RATE else self.data.batch_size
            if value is None:
                log.warning(
                    "%s found nothing; --%s stays %s.",
                    type(finder).__name__,
                    option,
                    value_of(self.configs[0], option),
                )
                continue
            self._set(option, value)
            log.info("%s: --%s is %s.", type(finder).__name__, option, value)

    def _set(self, option: str, value: Any) -> None:
        if option == RATE:
            self.model.found_rate = value
        else:
            self.data.batch_size = value
        *sections, name = option.split(".")
        for config in self.configs:
            part = _below(config, sections)
            if part is not None and name in part:
                part[name] = value


def value_of(config: Any, option: str) -> Any:
    """Return the value of an option in a nested configuration, or None if it is missing."""
    *sections, name = option.split(".")
    part = _below(config, sections)
    return None if part is None else part.get(name)


def _below(config: Any, sections: Sequence[str]) -> Any:
    """Return the options of a section. Options of a class are those in its ``init_args``."""
    for section in sections:
        config = config.get(section) if hasattr(config, "get") else None
    return config.get("init_args", config) if hasattr(config, "get") else None
