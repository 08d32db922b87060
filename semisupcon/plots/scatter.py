"""Draw 2-D maps of embeddings."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from semisupcon.plots.style import (
    class_style,
    draws,
    hover,
    new_figure,
    printable,
    short,
    tell_names,
)

if TYPE_CHECKING:
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure

LEGEND_ROWS = 22
LEGEND_UP_TO = 80  # maximum number of classes in the legend; more would repeat styles


@draws
def draw_scatter(
    points: np.ndarray,
    labels: Sequence[str] | np.ndarray,
    title: str = "",
    label_title: str = "",
    names: Sequence[str] | None = None,
    x: str = "",
    y: str = "",
) -> "Figure":
    """Draw a 2-D map of embeddings (t-SNE, UMAP), coloured by class or by value.

    Args:
        points: ``[n, 2]``.
        labels: n class names (one colour and marker per class, natural order in the legend), or n
            numbers (with a colour bar).
        title, label_title: titles of the figure and of the legend.
        names: n clip names, shown as hover texts; None for no hover texts.
        x, y: titles of the axes.
    """
    points, labels = np.asarray(points, dtype=float), np.asarray(labels)
    figure, axes = new_figure(6.4, 5.3)
    numeric = labels.dtype.kind == "f"
    told = (
        None
        if names is None
        else np.array(
            [
                hover(f"{n}: {v:.4g}" if numeric else f"{n}: {v}")
                for n, v in zip(names, labels, strict=True)
            ]
        )
    )

    def dots(rows: np.ndarray, **style: Any) -> "PathCollection":
        return axes.scatter(
            *points[rows].T,
            linewidths=0,
            clip_on=False,
            urls=None if told is None else told[rows].tolist(),
            **style,
        )

    if numeric:
        coloured = dots(np.arange(len(labels)), c=labels, s=16, cmap="viridis")
        figure.colorbar(coloured, ax=axes, fraction=0.046, pad=0.03, label=printable(label_title))
    else:
        classes = sorted(dict.fromkeys(labels.tolist()), key=_natural)
        drawn = []
        for i, name in enumerate(classes):
            colour, marker = class_style(i, len(classes))
            drawn.append(
                dots(np.flatnonzero(labels == name), s=18, color=colour, marker=marker, alpha=0.85)
            )
        shown = min(len(classes), LEGEND_UP_TO)
        heading = printable(label_title) + (
            f" ({shown} of {len(classes)})" if shown < len(classes) else ""
        )
        # Labels are passed explicitly, because matplotlib hides automatic ones that begin with "_".
        legend = axes.legend(
            drawn[:shown],
            [short(c) for c in classes[:shown]],
            title=heading,
            fontsize=9,
            frameon=False,
            ncols=1 + (shown - 1) // LEGEND_ROWS,
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
        )
        tell_names(legend.get_texts(), classes[:shown])
    axes.set(title=printable(title), xticks=[], yticks=[], xlabel=printable(x), ylabel=printable(y))
    axes.set_aspect("equal", adjustable="datalim")
    return figure


def _natural(name: object) -> tuple:
    """Return a sort key that orders "2" before "10"."""
    text = str(name)
    return (0, float(text), text) if text.replace(".", "", 1).isdigit() else (1, 0.0, text)
