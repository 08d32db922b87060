"""Curves over the steps of a run, in panels one above the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from semisupcon.plots.style import COLOURS, GRID, MARKERS, draws, hover, printable, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DASHES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Panel:
    """Curves with a common axis.

    Attributes:
        title: title of the vertical axis; may have several lines.
        curves: steps and values by name; NaN leaves a gap.
        levels: horizontal lines by name, such as the chance level.
    """

    title: str
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    levels: Mapping[str, float] = field(default_factory=dict)


@draws
def draw_panels(panels: Sequence[Panel], x: str = "optimizer step", title: str = "") -> "Figure":
    """Draw panels one above the other with a common horizontal axis.

    Args:
        panels: at least one panel.
        x, title: titles of the horizontal axis and of the figure.

    Raises:
        ValueError: if there are no panels.
    """
    if not panels:
        raise ValueError("A figure needs at least one panel.")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 0.6 + 2.1 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)
    for row, panel in enumerate(panels):
        shared = {"sharex": figure.axes[0]} if row else {}
        axes = figure.add_subplot(len(panels), 1, row + 1, **shared)
        for i, (name, (steps, values)) in enumerate(panel.curves.items()):
            known = np.isfinite(np.asarray(values, dtype=float))
            (line,) = axes.plot(
                np.asarray(steps)[known],
                np.asarray(values, dtype=float)[known],
                color=COLOURS[i % len(COLOURS)],
                linestyle=DASHES[i // len(COLOURS) % len(DASHES)],
                marker=MARKERS[i % len(MARKERS)] if known.sum() <= 24 else None,
                markersize=4,
                linewidth=1.6,
                label=short(name, 40),
            )
            line.set_url(hover(name))
        for name, level in panel.levels.items():
            axes.axhline(level, color="black", alpha=0.55, linewidth=1, linestyle=(0, (1, 2)))
            axes.annotate(
                short(name, 40), (1.0, level), xycoords=("axes fraction", "data"), fontsize=8,
                xytext=(-2, 2), textcoords="offset points", ha="right", alpha=0.7,
            )  # fmt: skip
        axes.set_ylabel("\n".join(map(printable, panel.title.split("\n"))))
        axes.grid(**GRID)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelbottom=row == len(panels) - 1)
        if len(panel.curves) > 1:
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False)
    figure.axes[-1].set_xlabel(printable(x))
    if title:
        figure.suptitle(printable(title))
    return figure
