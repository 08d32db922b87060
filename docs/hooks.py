"""Hooks of the documentation site: pages and pictures that lie outside ``docs/``, and links between
them."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "SECURITY.md": "SECURITY.md",
}
COPIED = ("media/*.png", "benchmarks/*.py", "benchmarks/evidence/*.py")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages at the top of the repository, the pictures, and the benchmarks that pages link
    to."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for pattern in COPIED:
        for path in sorted(ROOT.glob(pattern)):
            files.append(
                File.generated(config, str(path.relative_to(ROOT)), abs_src_path=str(path))
            )
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links as on the site: the repository's top and ``docs/`` are one folder there."""
    if page.file.src_uri in PAGES.values():
        markdown = re.sub(r"(\]\(|src=\")docs/", r"\1", markdown)
        markdown = markdown.replace("](README.md", "](index.md")
        return re.sub(
            r'src="media/',
            f'src="{"" if page.file.src_uri == "index.md" else "../"}media/',
            markdown,
        )
    return (
        markdown.replace("](../README.md", "](index.md")
        .replace("](../", "](")
        .replace('src="../media', 'src="../media')
    )
