"""A section of a report that compares encoders, for the page, for Markdown and for the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from semisupcon.plots import svg_text
from semisupcon.probing.report.html import figure
from semisupcon.probing.report.pictures import Picture


@dataclass(frozen=True)
class Section:
    """A section.

    Attributes:
        title: heading.
        html: body on the page.
        notes: explanations, in Markdown only.
        told: results as sentences, in Markdown and in the terminal.
        tables: header and rows, in Markdown only.
    """

    title: str
    html: str
    notes: Sequence[str] = ()
    told: Sequence[str] = ()
    tables: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]] = field(default_factory=tuple)

    def page(self) -> str:
        """The section of the HTML page."""
        return f"<h2>{escape(self.title)}</h2>{self.html}"

    def markdown(self) -> str:
        """The section in Markdown."""
        parts = [f"## {self.title}", *self.notes]
        for header, rows in self.tables:
            lines = [header, ["---"] * len(header), *rows]
            parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
        parts += ["\n".join(f"- {line}" for line in self.told)] if self.told else []
        return "\n\n".join(parts) + "\n"

    def terminal(self) -> str:
        """The sentences of the section under its title."""
        return "\n".join([f"{self.title}:", *(f"  {line}" for line in self.told)])


def shown(picture: Picture) -> str:
    """A picture with its caption on the page."""
    svg = svg_text(picture.figure, salt=f"{picture.task} {picture.caption}")
    return figure(svg, picture.caption)
