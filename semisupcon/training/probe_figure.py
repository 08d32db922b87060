"""Draw the probe scores and the label-free measures of a run from its metrics.csv."""

import logging
from pathlib import Path

import pytorch_lightning as L

from semisupcon.errors import ConfigError
from semisupcon.plots import Panel, draw_panels, require_matplotlib
from semisupcon.probing.methods.readout import NAMES
from semisupcon.training.figures import show_figure
from semisupcon.training.probe_clips import Probed
from semisupcon.training.writing import metrics_of

log = logging.getLogger(__name__)
FIGURE = "probes"
# Column of metrics.csv -> title of its panel.
_MEASURES = {
    "val_rank": "effective rank",
    "val_alignment": "alignment (lower is better)",
    "val_uniformity": "uniformity (lower is better)",
}
_TITLES = {"knn": "k nearest neighbours", "linear": "linear"}


def draw_probes(trainer: L.Trainer, folder: Path, tasks: dict[str, Probed]) -> None:
    """Draw the scores of all probes of a run, also of the time before it was resumed.

    Args:
        trainer: trainer of the run. The scores are read from its metrics file, and the figure is
            sent to its loggers.
        folder: run folder; the figure is written to ``figures/``.
        tasks: probed tasks by their name in the metrics.
    """
    try:
        require_matplotlib()
    except ConfigError as error:
        log.warning("%s The run ends without the figure of its probes.", error)
        return
    rows = [row for file in metrics_of(trainer) for row in file.read()]

    def curve(column: str) -> tuple[list[float], list[float]]:
        known = [(float(row["step"]), float(row[column])) for row in rows if row.get(column)]
        return [step for step, _ in known], [value for _, value in known]

    panels = []
    for name, task in tasks.items():
        end = f"_{name}" if len(tasks) > 1 else ""
        curves = {_TITLES[how]: curve(f"val_{how}{end}") for how in NAMES}
        panels.append(Panel(f"{task.name}\n{task.metric}", curves, {"without audio": task.chance}))
    for column, title in _MEASURES.items():
        steps, values = curve(column)
        if steps:
            panels.append(Panel(title.replace(" (", "\n("), {title: (steps, values)}))
    show_figure(
        trainer,
        draw_panels(panels, title=f"{folder.name}: probes while training"),
        FIGURE,
        folder / "figures" / f"{FIGURE}.png",
    )
