"""Suppress warnings and most log messages while a benchmark runs."""

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
    """Context manager and decorator that hides warnings and log messages below ERROR.

    At the end, log levels, warnings and the number of torch threads are restored.

    Args:
        names: names of loggers; without names, all of `NOISY`.
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
