"""A figure of the report."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure with the task that it belongs to and its caption."""

    task: str
    caption: str
    figure: "Figure"
