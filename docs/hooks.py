"""Hooks of the documentation site: pages and pictures that lie outside ``docs/``, links between
them, and the notebooks as pages."""

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
NOTEBOOKS = "notebooks/"


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
    for path in sorted((ROOT / "docs" / NOTEBOOKS).glob("*.ipynb")):
        for name, content in pages_of(path).items():
            files.append(File.generated(config, NOTEBOOKS + name, content=content))
    return files


def pages_of(path: Path) -> dict[str, str | bytes]:
    """Convert an executed notebook to a page of Markdown and its figures, by file name.

    Nothing is executed: the page has the outputs that are stored in the notebook.
    """
    import nbformat
    from nbconvert import MarkdownExporter

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "text/html" in output.get("data", {}):
                output.data["text/html"] = plain_html(output.data["text/html"])
    figures = {"unique_key": path.stem, "output_files_dir": f"{path.stem}_files"}
    text, resources = MarkdownExporter().from_notebook_node(notebook, figures)
    text = re.sub(r"\]\((\w+)\.ipynb", r"](\1.md", text)
    text += f"\n\nThis page is an executed notebook: [{path.name}]({path.name}).\n"
    return {f"{path.stem}.md": text, **resources["outputs"]}


def plain_html(html: str) -> str:
    """Return HTML of an output without indentation, which is code in Markdown, and styles."""
    html = re.sub(r"<style.*?</style>", "", html, flags=re.DOTALL)
    html = html.replace('<table border="1" class="dataframe">', "<table>")
    return "\n".join(line.strip() for line in html.splitlines() if line.strip())


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links as on the site: the repository's top and ``docs/`` are one folder there."""
    if page.file.src_uri.startswith(NOTEBOOKS):
        return markdown
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
        .replace(".ipynb)", ".md)")
    )
