"""Line plots with a named position per value, such as a metric at each epoch or each strength of a
corruption.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from semisupcon.plots.style import (
    GRID,
    curve_style,
    draws,
    hover,
    legend_below,
    marker,
    new_figure,
    printable,
    short,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKED_UP_TO = 12  # maximum number of positions at which lines have markers


@draws
def draw_lines(
    ticks: Sequence[str],
    lines: Mapping[str, Sequence[float] | Sequence[tuple[float, float, float]]],
    title: str = "",
    x: str = "",
    y: str = "",
) -> "Figure":
    """Draw one line per name.

    Args:
        ticks: names of the n positions on the horizontal axis, such as epochs or effects. If all
            names are whole numbers, they must be ascending and determine the positions.
        lines: for each name, at most n values, or n triples (value, low, high) to add a band from
            ``low`` to ``high``. NaN leaves a gap.
        title, x, y: titles of the figure and of the axes.

    Raises:
        ValueError: if there are no ticks.
    """
    if not len(ticks):
        raise ValueError("Lines need at least one position.")
    from matplotlib.ticker import MaxNLocator

    rows = -(-len(lines) // 2) if len(lines) > 1 else 0
    long = max(map(len, ticks)) > 4
    figure, axes = new_figure(
        max(6.2, 0.35 * len(ticks) * long), 4 + 0.2 * rows + 0.5 * long, layout="constrained"
    )
    few, numbered = len(ticks) <= MARKED_UP_TO, all(tick.isdecimal() for tick in ticks)
    positions = np.array([int(tick) for tick in ticks]) if numbered else np.arange(len(ticks))
    for i, (name, given) in enumerate(lines.items()):
        values = np.asarray(given, dtype=float)
        middle = values[:, 0] if values.ndim == 2 else values
        at = positions[: len(values)]
        style = curve_style(i)
        # A single value between two gaps has no line segment, so a marker is necessary to see it.
        shape = marker(i) if few else "." if _has_lone_value(middle) else None
        (line,) = axes.plot(at, middle, marker=shape, markersize=5, **style)
        line.set_url(hover(name))
        if values.ndim == 2:
            band = {"color": style["color"], "alpha": 0.15, "linewidth": 0}
            axes.fill_between(at, values[:, 1], values[:, 2], **band)
    if numbered:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    else:
        turned: dict[str, Any] = {}
        if long:
            turned = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(positions, [short(tick) for tick in ticks], **turned)
    margin = 0.05 * (positions[-1] - positions[0]) or 0.5
    axes.set_xlim(positions[0] - margin, positions[-1] + margin)
    axes.set(title=printable(title), xlabel=printable(x), ylabel=printable(y))
    axes.grid(**GRID)
    axes.spines[["top", "right"]].set_visible(False)
    if rows:
        legend_below(figure, axes.lines, list(lines))
    return figure


def _has_lone_value(values: np.ndarray) -> bool:
    finite = np.isfinite(np.pad(values, 1, constant_values=np.nan))
    return bool((finite[1:-1] & ~finite[:-2] & ~finite[2:]).any())
