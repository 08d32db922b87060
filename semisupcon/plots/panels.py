"""Plot curves against the steps of a run, in panels one above the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from semisupcon.plots.style import (
    GRID,
    curve_style,
    draw_level,
    draws,
    hover,
    marker,
    printable,
    short,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Panel:
    """Curves that share a vertical axis.

    Attributes:
        title: title of the vertical axis, of one or several lines.
        curves: for each name, the steps and the values. NaN values are left out.
        levels: for each name, the value of a horizontal line, such as the chance level.
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
                marker=marker(i) if known.sum() <= 24 else None,
                markersize=4,
                label=short(name, 40),
                **curve_style(i),
            )
            line.set_url(hover(name))
        for name, level in panel.levels.items():
            draw_level(axes, level, name)
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
