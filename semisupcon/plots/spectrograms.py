"""Draw spectrograms of several clips with a common colour scale."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from semisupcon.plots.style import draws, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FLOOR_DB = -80.0


@draws
def draw_spectrograms(
    spectrograms: Mapping[str, tuple[np.ndarray, float]], sample_rate: int, columns: int = 1
) -> "Figure":
    """Draw spectrograms in ``columns`` columns, filled row by row.

    Args:
        spectrograms: for each title, the levels ``[bins, frames]`` in dB relative to full scale and
            the length in seconds. The bins go from 0 Hz to half the sample rate.
        sample_rate: sample rate of the clips in Hz.
        columns: number of columns.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(spectrograms) // columns)
    figure = Figure(
        figsize=(7 if columns == 1 else 2.6 * columns, 1.7 * rows + 0.4), layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, (title, (levels, seconds)) in zip(axes.flat, spectrograms.items(), strict=False):
        extent = (0, seconds, 0, sample_rate / 2000)
        image = axis.imshow(
            levels,
            origin="lower",
            aspect="auto",
            extent=extent,
            vmin=FLOOR_DB,
            vmax=0,
            cmap="magma",
        )
        axis.set_title(printable(title), fontsize=8)
        axis.tick_params(labelsize=7)
    for axis in axes.flat[len(spectrograms) :]:
        axis.set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel("s", fontsize=7)
    for axis in axes[:, 0]:
        axis.set_ylabel("kHz", fontsize=7)
    figure.colorbar(image, ax=axes, label="dB re full scale", shrink=0.8)
    return figure
