"""Write the figures of a run to its folder, and send them to the loggers that show images."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as L

from semisupcon.errors import DiskError
from semisupcon.plots import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)


def show_figure(trainer: L.Trainer, figure: "Figure", name: str, file: Path) -> None:
    """Send a figure to the loggers and write it to a file. A disk error causes a warning.

    Args:
        trainer: trainer with the loggers; the figure is logged at its current step.
        figure: a matplotlib figure.
        name: name of the figure in the loggers.
        file: path of the image.
    """
    for logger in trainer.loggers:
        if hasattr(logger, "log_image"):
            logger.log_image(key=name, images=[figure], step=trainer.global_step)
            continue
        experiment: Any = getattr(logger, "experiment", None)
        if hasattr(experiment, "add_figure"):
            experiment.add_figure(name, figure, trainer.global_step, close=False)
    try:
        save_figure(figure, file)
    except DiskError as error:
        log.warning("%s The run continues without this figure.", error)
