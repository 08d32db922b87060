"""A section of a report, for the HTML page, the Markdown file and the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from semisupcon.plots import svg_text
from semisupcon.probing.report.html import figure
from semisupcon.probing.report.pictures import Picture


@dataclass(frozen=True)
class Section:
    """A section of a report.

    Attributes:
        title: heading.
        html: body of the section on the HTML page.
        notes: explanations for the Markdown file.
        told: results as sentences, for the Markdown file and the terminal.
        tables: header and rows of each table in the Markdown file.
    """

    title: str
    html: str
    notes: Sequence[str] = ()
    told: Sequence[str] = ()
    tables: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]] = field(default_factory=tuple)

    def page(self) -> str:
        """Return the section as HTML, with its heading."""
        return f"<h2>{escape(self.title)}</h2>{self.html}"

    def markdown(self) -> str:
        """Return the section in Markdown, with its heading."""
        parts = [f"## {self.title}", *self.notes]
        for header, rows in self.tables:
            lines = [header, ["---"] * len(header), *rows]
            parts.append("\n".join(f"| {' | '.join(map(_in_a_cell, line))} |" for line in lines))
        parts += ["\n".join(f"- {line}" for line in self.told)] if self.told else []
        return "\n\n".join(parts) + "\n"

    def terminal(self) -> str:
        """Return the title and the sentences of the section as plain text."""
        return "\n".join([f"{self.title}:", *(f"  {line}" for line in self.told)])


def _in_a_cell(text: str) -> str:
    """Escape text that would end a cell of a Markdown table."""
    return " ".join(text.replace("|", "\\|").split())


def shown(picture: Picture) -> str:
    """Return the HTML of a picture with its caption."""
    svg = svg_text(picture.figure, salt=f"{picture.task} {picture.caption}")
    return figure(svg, picture.caption)
