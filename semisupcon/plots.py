"""Figures: matrices, confusion, scatter, robustness. Each function gives a matplotlib figure that belongs to no window; `save_figure` writes it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semisupcon.files import atomic_open

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008): told apart with every kind of colour vision.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
MARKERS = "os^Dv<>PX*"
NUMBERS_UP_TO = 20  # Classes of a confusion matrix whose cells are large enough to write in.


def save_figure(figure: "Figure", path: str | Path, dpi: int = 120) -> Path:
    """Write a figure as its suffix says (png, svg, pdf); folders are made, and the file appears only when complete."""
    path = Path(path)
    with atomic_open(path, "wb") as file:
        figure.savefig(file, dpi=dpi, bbox_inches="tight", format=path.suffix.removeprefix(".") or None)
    return path


def draw_matrix(
    matrix: np.ndarray, title: str = "", rows: str = "anchor", columns: str = "candidate", limits: tuple[float, float] | None = None
) -> "Figure":
    """Heat map of a target or similarity matrix ``[M, N]``.

    Args:
        matrix: any real values; NaN stays white.
        title, rows, columns: what is written above and beside.
        limits: of the colours; by default 0 to 1 for what lies there, -1 to 1 for cosines, else the range of the values.
    """
    matrix = np.asarray(matrix, dtype=float)
    finite = matrix[np.isfinite(matrix)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if limits is None:
        limits = (0.0, 1.0) if low >= 0 and high <= 1 else (-1.0, 1.0) if low >= -1.01 and high <= 1.01 else (low, high)
    figure, axes = _figure(6.2, 5.2)
    image = axes.imshow(matrix, vmin=limits[0], vmax=limits[1], cmap="RdBu_r" if limits[0] < 0 else "viridis", interpolation="nearest")
    figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    axes.set(title=title, xlabel=columns, ylabel=rows)
    return figure


def draw_confusion(counts: np.ndarray, classes: Sequence[str], title: str = "") -> "Figure":
    """Confusion matrix ``[C, C]`` of counts, row the true class: colour is the share of the row, the numbers are counts.

    The numbers are left out where cells become too small to read them; the diagonal's share then stands at the end of each row.
    """
    counts, n = np.asarray(counts), len(classes)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(4.0, (0.48 if n <= NUMBERS_UP_TO else 0.2) * n + 1.8)
    figure, axes = _figure(side, side)
    axes.imshow(share, vmin=0, vmax=1, cmap="Blues", interpolation="nearest")
    size = 9 if n <= NUMBERS_UP_TO else 6.5
    axes.set_xticks(range(n), classes, rotation=90, fontsize=size)
    axes.set_yticks(range(n), classes, fontsize=size)
    if n <= NUMBERS_UP_TO:
        for row, column in np.argwhere(counts > 0):
            colour = "white" if share[row, column] > 0.55 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=8, color=colour)
    else:
        for row in range(n):
            axes.text(n - 0.3, row, f"{share[row, row]:.0%}" if counts[row].any() else "-", va="center", fontsize=6)
        axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="0.92", linewidth=0.4)
        axes.tick_params(which="minor", length=0)
    axes.set(title=title, xlabel="predicted", ylabel="true")
    return figure


def draw_scatter(points: np.ndarray, labels: Sequence[str] | np.ndarray, title: str = "", label_title: str = "") -> "Figure":
    """Embeddings in the plane (t-SNE, UMAP), coloured by class or by a value.

    Args:
        points: ``[n, 2]``.
        labels: n names, each class in its colour and shape, commonest first in the legend; or n numbers, shown as a colour bar.
        title, label_title: what is written above the plane and above the legend.
    """
    points, labels = np.asarray(points), np.asarray(labels)
    figure, axes = _figure(7.2, 5.6)
    if labels.dtype.kind == "f":
        dots = axes.scatter(*points.T, c=labels, s=12, cmap="viridis", linewidths=0)
        figure.colorbar(dots, ax=axes, fraction=0.046, pad=0.03, label=label_title)
    else:
        names = sorted(dict.fromkeys(labels.tolist()), key=_natural)
        for i, name in enumerate(names):
            colour, marker = class_style(i, len(names))
            axes.scatter(*points[labels == name].T, s=14, color=colour, marker=marker, linewidths=0, alpha=0.85, label=str(name))
        columns = 1 + len(names) // 22
        axes.legend(title=label_title, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, ncols=columns)
    axes.set(title=title, xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
    return figure


def draw_robustness(
    ticks: Sequence[str],
    lines: Mapping[str, Sequence[tuple[float, float, float]]],
    title: str = "",
    x: str = "severity",
    y: str = "accuracy",
) -> "Figure":
    """A metric under growing corruption.

    Args:
        ticks: names of the positions on the axis (severities, effects, tiers).
        lines: by encoder, at each position (value, low, high).
        title, x, y: what is written above and beside.
    """
    figure, axes = _figure(max(6.2, 0.7 * len(ticks)), 4.2)
    positions = np.arange(len(ticks))
    for i, (name, values) in enumerate(lines.items()):
        value, low, high = np.asarray(values, dtype=float).T
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(positions, value, color=colour, marker=MARKERS[i % len(MARKERS)], markersize=5, label=name)
        axes.fill_between(positions, low, high, color=colour, alpha=0.15, linewidth=0)
    long = max(map(len, ticks)) > 4
    axes.set_xticks(positions, ticks, rotation=30 if long else 0, ha="right" if long else "center")
    _finish_lines(axes, title, x, y, len(lines))
    return figure


def class_style(index: int, classes: int) -> tuple[str, str]:
    """Colour and marker of a class: pairs that differ for up to 80 classes."""
    if classes <= len(COLOURS):
        return COLOURS[index], "o"
    return COLOURS[index % len(COLOURS)], MARKERS[index // len(COLOURS) % len(MARKERS)]


def _figure(width: float, height: float) -> tuple["Figure", "Axes"]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _finish_lines(axes: "Axes", title: str, x: str, y: str, lines: int) -> None:
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if lines > 1:
        axes.legend(fontsize=8, frameon=False)


def _natural(name: object) -> tuple:
    """Sorts 2 before 10."""
    text = str(name)
    return (0, float(text), text) if text.replace(".", "", 1).isdigit() else (1, 0.0, text)
