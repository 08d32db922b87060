"""Lightning's finders of a learning rate and of a batch size: what they find is what runs, what is recorded, and what a resumed run keeps.

A finder searches before training starts, with steps that are taken back. `Objective` then makes optimizer and schedule anew, so that the run
is the one that is configured with the value found.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import pytorch_lightning as L
from pytorch_lightning.callbacks import BatchSizeFinder, LearningRateFinder

from semisupcon.errors import ConfigError

RATE, SIZE = "model.optimizer.lr", "data.batch_size"
KINDS = {LearningRateFinder: RATE, BatchSizeFinder: SIZE}
# Schedules that set the learning rate by options of their own.
OWN_RATES = ("OneCycleLR", "CyclicLR")
log = logging.getLogger("semisupcon")


def finders_of(callbacks: Iterable[L.Callback]) -> dict[str, L.Callback]:
    """The finders among the callbacks, by the option whose value they look for."""
    return {option: c for c in callbacks for kind, option in KINDS.items() if isinstance(c, kind)}


class Finders:
    """The finders of a run.

    Args:
        callbacks: of the user.
        model, data: an `Objective` and its data module.
        configs: nested configurations of the run, where a value that is found is recorded.

    Raises:
        ConfigError: for a finder whose value would not be what runs.
    """

    def __init__(self, callbacks: Sequence[L.Callback], model: Any, data: Any, configs: Sequence[Any]):
        self.callbacks, self.model, self.data, self.configs = list(callbacks), model, data, configs
        self.found = finders_of(callbacks)
        if len(self.found) < sum(bool(finders_of([callback])) for callback in callbacks):
            raise ConfigError("--trainer.callbacks holds two finders of one value; give one of them.")
        schedule = str(((configs[0]["model"].get("scheduler") or {}).get("class_path")) or "").rpartition(".")[2]
        if RATE in self.found and schedule in OWN_RATES:
            raise ConfigError(
                f"--trainer.callbacks LearningRateFinder sets --{RATE}, and {schedule} sets the rate by its own options.\n"
                "Leave out the finder, or choose another --model.scheduler."
            )

    def resume(self, before: Any, given: Sequence[str]) -> None:
        """Do not search again: a resumed run keeps what was found when it began, unless the command line says otherwise.

        Args:
            before: configuration that the checkpoint holds.
            given: names of the options on the command line.
        """
        for option, finder in self.found.items():
            value = value_of(before, option)
            if option not in given and value is not None:
                self._set(option, value)
            log.info("%s does not search in a resumed run; --%s is %s.", type(finder).__name__, option, value_of(self.configs[0], option))
        self.callbacks = [callback for callback in self.callbacks if not finders_of([callback])]
        self.found = {}

    def record(self) -> None:
        """Write what was found into the configurations, and say it."""
        for option, finder in self.found.items():
            value = self.model.found_rate if option == RATE else self.data.batch_size
            if value is None:
                log.warning("%s found nothing; --%s stays %s.", type(finder).__name__, option, value_of(self.configs[0], option))
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
    """The value of an option in a nested configuration; None where it is not there."""
    *sections, name = option.split(".")
    part = _below(config, sections)
    return None if part is None else part.get(name)


def _below(config: Any, sections: Sequence[str]) -> Any:
    """The options of a section, those of its class where it has one."""
    for section in sections:
        config = config.get(section) if hasattr(config, "get") else None
    return config.get("init_args", config) if hasattr(config, "get") else None
