"""Reports of a suite: table, Markdown and HTML page."""

from semisupcon.probing.report.write import write_report

__all__ = ["write_report"]
