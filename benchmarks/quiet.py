"""No warnings and few log messages while a benchmark runs; everything is as before afterwards."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

NOISY = (
    "pytorch_lightning",
    "lightning.pytorch",
    "lightning_fabric",
    "lightning.fabric",
    "semisupcon",
)


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Raise the level of the loggers (all of :data:`NOISY` without names) to ERROR; also a
    decorator.

    A benchmark may set torch's number of threads; it is reset at the end.
    """
    loggers = [logging.getLogger(name) for name in names or NOISY]
    levels, threads = [logger.level for logger in loggers], torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            torch.set_num_threads(threads)
