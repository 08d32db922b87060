"""Plot a metric against the number of labels, on a logarithmic axis."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from semisupcon.plots.style import (
    GRID,
    curve_style,
    draw_level,
    draws,
    hover,
    legend_below,
    marker,
    new_figure,
    printable,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@draws
def draw_budgets(
    curves: Mapping[str, Sequence[tuple[int, float, float, float]]],
    y: str = "",
    chance: float | None = None,
    title: str = "",
) -> "Figure":
    """Draw one curve per encoder, with a band from ``low`` to ``high``.

    Args:
        curves: for each encoder, points (number of labels, value, low, high), sorted by the number
            of labels.
        y, title: titles of the vertical axis and of the figure.
        chance: value of a prediction without audio, drawn as a horizontal line; None for no line.

    Raises:
        ValueError: if there is no point.
    """
    sizes = sorted({size for points in curves.values() for size, *_ in points})
    if not sizes:
        raise ValueError("A curve needs at least one number of labels.")
    rows = -(-len(curves) // 2)
    figure, axes = new_figure(6.6, 4.0 + 0.2 * rows, layout="constrained")
    for i, (name, points) in enumerate(curves.items()):
        at, value, low, high = np.array(points, dtype=float).T
        style = curve_style(i)
        (line,) = axes.plot(at, value, marker=marker(i), markersize=5, **style)
        line.set_url(hover(name))
        axes.fill_between(at, low, high, color=style["color"], alpha=0.15, linewidth=0)
    if chance is not None and np.isfinite(chance):
        draw_level(axes, chance, "without audio")
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes], rotation=45 if len(sizes) > 8 else 0)
    axes.minorticks_off()
    axes.set(xlabel="labels", ylabel=printable(y), title=printable(title))
    axes.grid(**GRID)
    axes.spines[["top", "right"]].set_visible(False)
    legend_below(figure, axes.lines[: len(curves)], list(curves))
    return figure
