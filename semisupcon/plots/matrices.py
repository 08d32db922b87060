"""Draw target matrices, similarity matrices and confusion matrices as heat maps."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from semisupcon.plots.style import GRID, draws, hover, new_figure, printable, short, tell_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colour of the cells, whose opacity grows with the share, so that it suits light and dark pages.
SHARE_COLOUR = (0.10, 0.42, 0.71)
FAINTEST = 0.1  # opacity for the smallest share
NUMBERS_UP_TO = 20  # maximum number of classes for which the cells show their counts


@draws
def draw_matrix(
    matrix: np.ndarray,
    title: str = "",
    rows: str = "anchor",
    columns: str = "candidate",
    limits: tuple[float, float] | None = None,
) -> "Figure":
    """Draw a heat map of a target or similarity matrix ``[M, N]``.

    Args:
        matrix: real values. NaN cells are white.
        title, rows, columns: titles of the figure and of the axes.
        limits: values of the first and the last colour. Default: (0, 1) if all values are in
            [0, 1]; (-1, 1) if all are in [-1, 1], such as cosines; else their range.
    """
    matrix = np.asarray(matrix, dtype=float)
    finite = matrix[np.isfinite(matrix)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if limits is None:
        limits = (
            (0.0, 1.0)
            if low >= 0 and high <= 1
            else (-1.0, 1.0)
            if low >= -1.01 and high <= 1.01
            else (low, high)
        )
    figure, axes = new_figure(6.2, 5.2)
    image = axes.imshow(
        matrix,
        vmin=limits[0],
        vmax=limits[1],
        cmap="RdBu_r" if limits[0] < 0 else "viridis",
        interpolation="nearest",
    )
    figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    axes.set(title=printable(title), xlabel=printable(columns), ylabel=printable(rows))
    return figure


@draws
def draw_confusion(counts: np.ndarray, classes: Sequence[str], title: str = "") -> "Figure":
    """Draw a confusion matrix ``[C, C]`` of counts; rows are true classes.

    The opacity of a cell grows with its share of the row. Cells show their counts. With more than
    `NUMBERS_UP_TO` classes, the cells have no numbers, and the recall of each class is at the end
    of its row. Every cell above zero has a hover text.
    """
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    counts, n = np.asarray(counts), len(classes)
    totals = counts.sum(axis=1)
    share = counts / np.maximum(totals, 1)[:, None]
    few = n <= NUMBERS_UP_TO
    side = max(4.0, (0.48 if few else 0.2) * n + 1.8)
    figure, axes = new_figure(side, side)
    cells = np.argwhere(counts > 0)
    told = [
        hover(f"{classes[r]} predicted as {classes[c]}: {counts[r, c]} of {totals[r]}")
        for r, c in cells
    ]
    squares = [Rectangle((c - 0.5, r - 0.5), 1, 1) for r, c in cells]
    colours = [(*SHARE_COLOUR, FAINTEST + (1 - FAINTEST) * share[r, c]) for r, c in cells]
    axes.add_collection(
        PatchCollection(squares, facecolors=colours, linewidths=0, clip_on=False, urls=told)
    )
    size = 9 if few else 6.5
    names = [short(name) for name in classes]
    axes.set_xticks(
        range(n), names, rotation=90, rotation_mode="anchor", ha="right", va="center", fontsize=size
    )
    axes.set_yticks(range(n), names, fontsize=size)
    for axis in (axes.xaxis, axes.yaxis):
        tell_names(axis.get_ticklabels(), classes)
    if few:
        for (r, c), url in zip(cells, told, strict=True):
            colour = "white" if share[r, c] > 0.85 else "black"
            axes.text(
                c, r, str(counts[r, c]), ha="center", va="center", fontsize=8, color=colour, url=url
            )
    else:
        for r in range(n):
            axes.text(
                n - 0.3, r, f"{share[r, r]:.0%}" if totals[r] else "-", va="center", fontsize=6
            )
    axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    axes.grid(which="minor", **GRID)
    axes.tick_params(which="minor", length=0)
    axes.set(
        title=printable(title),
        xlabel="predicted",
        ylabel="true",
        xlim=(-0.5, n - 0.5),
        ylim=(n - 0.5, -0.5),
        aspect="equal",
    )
    return figure
