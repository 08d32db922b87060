"""Reports of a probing suite: table for the terminal, Markdown file and HTML page."""

from semisupcon.probing.report.write import write_report

__all__ = ["write_report"]
