"""The class of the figures of a report."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure of a report, with the name of its task and its caption."""

    task: str
    caption: str
    figure: "Figure"
