"""The critical-difference diagram of Demsar (2006, figure 1).

The mean ranks of encoders are marked on a line. Bars join encoders that do not differ
significantly.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from semisupcon.plots.style import draws, hover, printable, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@draws
def draw_critical(
    names: Sequence[str],
    ranks: Sequence[float],
    critical: float,
    groups: Sequence[tuple[int, int]] = (),
    title: str = "",
) -> "Figure":
    """Draw a critical-difference diagram. Rank 1 is the best and is on the left.

    Args:
        names: k encoders in ascending order of ``ranks``, k at least 2.
        ranks: mean ranks, 1 to k.
        critical: critical difference, drawn above the line.
        groups: groups of encoders that do not differ significantly, each as the indices of its
            first and last encoder in ``names``.
        title: title of the figure.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    k, left = len(names), (len(names) + 1) // 2
    depth = 0.34 * max(left, k - left) + 0.2 * len(groups) + 0.3
    figure = Figure(figsize=(7.4, 1.0 + depth), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    span = max(k - 1, critical)
    margin = 0.42 * span
    axes.set_xlim(1 - margin, 1 + span + margin)
    axes.set_ylim(-depth, 0.62)
    axes.axis("off")
    axes.plot([1, k], [0, 0], color="black", linewidth=1.2, clip_on=False)
    for tick in range(1, k + 1):
        axes.plot([tick, tick], [0, 0.07], color="black", linewidth=1.2)
        axes.text(tick, 0.1, str(tick), ha="center", va="bottom", fontsize=9)
    axes.plot([1, 1 + critical], [0.42, 0.42], color="black", linewidth=1.6)
    for end in (1, 1 + critical):
        axes.plot([end, end], [0.38, 0.46], color="black", linewidth=1.6)
    axes.text(
        1 + critical / 2, 0.47, f"critical difference {critical:.2f}",
        ha="center", va="bottom", fontsize=9,
    )  # fmt: skip
    for i, (first, last) in enumerate(groups):
        height, more = -0.14 - 0.2 * i, 0.02 * span
        axes.plot(
            [ranks[first] - more, ranks[last] + more], [height, height], color="#0072B2",
            linewidth=4, solid_capstyle="round", alpha=0.8,
        )  # fmt: skip
    below = 0.2 * len(groups) + 0.2
    for i, (name, rank) in enumerate(zip(names, ranks, strict=True)):
        best = i < left
        height = -below - 0.34 * (i if best else k - 1 - i)
        edge = 1 - 0.04 * span if best else 1 + max(k - 1, 0) + 0.04 * span
        axes.plot([rank, rank, edge], [0, height, height], color="black", linewidth=0.9)
        text = axes.text(
            edge, height, f" {short(name, 30)}  {rank:.2f} ",
            ha="right" if best else "left", va="center", fontsize=9,
        )  # fmt: skip
        text.set_url(hover(name))
    if title:
        axes.set_title(printable(title), fontsize=10)
    return figure
