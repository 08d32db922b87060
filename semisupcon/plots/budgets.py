"""Results over the number of labels, on a logarithmic axis."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from semisupcon.plots.style import (
    COLOURS,
    GRID,
    MARKERS,
    draws,
    hover,
    new_figure,
    printable,
    short,
    tell_names,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DASHES = ("-", "--", ":", "-.")


@draws
def draw_budgets(
    curves: Mapping[str, Sequence[tuple[int, float, float, float]]],
    y: str = "",
    chance: float | None = None,
    title: str = "",
) -> "Figure":
    """Draw one curve with its band per encoder.

    Args:
        curves: for each encoder, (number of labels, value, low, high), ascending.
        y, title: titles of the vertical axis and of the figure.
        chance: horizontal line, if known.

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
        colour = COLOURS[i % len(COLOURS)]
        (line,) = axes.plot(
            at,
            value,
            color=colour,
            linestyle=DASHES[i // len(COLOURS) % len(DASHES)],
            marker=MARKERS[i % len(MARKERS)],
            markersize=5,
            linewidth=1.6,
        )
        line.set_url(hover(name))
        axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
    if chance is not None and np.isfinite(chance):
        axes.axhline(chance, color="black", alpha=0.55, linewidth=1, linestyle=(0, (1, 2)))
        axes.annotate(
            "without audio", (1.0, chance), xycoords=("axes fraction", "data"), fontsize=8,
            xytext=(-2, 2), textcoords="offset points", ha="right", alpha=0.7,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes], rotation=45 if len(sizes) > 8 else 0)
    axes.minorticks_off()
    axes.set(xlabel="labels", ylabel=printable(y), title=printable(title))
    axes.grid(**GRID)
    axes.spines[["top", "right"]].set_visible(False)
    names = list(curves)
    legend = figure.legend(
        axes.lines[: len(names)],
        [short(name, 40) for name in names],
        loc="outside lower center",
        ncols=2,
        fontsize=9,
        frameon=False,
    )
    tell_names(legend.get_texts(), names)
    return figure
