"""Draw figures with matplotlib. Each ``draw_*`` function returns a Figure and opens no window."""

from semisupcon.plots.budgets import draw_budgets
from semisupcon.plots.critical import draw_critical
from semisupcon.plots.lines import draw_lines
from semisupcon.plots.matrices import draw_confusion, draw_matrix
from semisupcon.plots.panels import Panel, draw_panels
from semisupcon.plots.saving import save_figure, svg_text
from semisupcon.plots.scatter import draw_scatter
from semisupcon.plots.spectrograms import draw_spectrograms
from semisupcon.plots.style import class_style, require_matplotlib

__all__ = [
    "Panel",
    "class_style",
    "draw_budgets",
    "draw_confusion",
    "draw_critical",
    "draw_lines",
    "draw_matrix",
    "draw_panels",
    "draw_scatter",
    "draw_spectrograms",
    "require_matplotlib",
    "save_figure",
    "svg_text",
]
