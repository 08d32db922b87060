"""Write figures to files, and convert them to SVG text for HTML pages."""

import hashlib
import io
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from semisupcon.files import atomic_open
from semisupcon.plots.style import hover_text, require_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

_LINK = "{http://www.w3.org/1999/xlink}href"
# Attributes of the <svg> element, which its children inherit. Text and shapes without a colour get
# the text colour of the page.
_ROOT = {
    "xmlns": "http://www.w3.org/2000/svg",
    "fill": "currentColor",
    "stroke-linejoin": "round",
    "stroke-linecap": "butt",
    "font-family": "system-ui, sans-serif",
}


def save_figure(figure: "Figure", path: str | Path, dpi: int = 120) -> Path:
    """Write a figure to a file atomically and return the path.

    Args:
        figure: a matplotlib figure.
        path: path that ends with .png, .svg or .pdf. Missing folders are created. SVG files are
            written by `svg_text`.
        dpi: resolution of PNG files in dots per inch.
    """
    path = Path(path)
    if path.suffix == ".svg":
        content = svg_text(figure).encode()
    else:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=path.suffix[1:], dpi=dpi, bbox_inches="tight")
        content = buffer.getvalue()
    with atomic_open(path, "wb") as file:
        file.write(content)
    return path


def svg_text(figure: "Figure", salt: str = "") -> str:
    """Convert a figure to the text of an ``<svg>`` element for an HTML page.

    Equal figures give equal text. The element has a viewBox and no width or height, so it fills the
    width of its parent. The background is transparent. Black becomes ``currentColor``, the text
    colour of the page. URLs made by `hover` become ``<title>`` elements.

    Args:
        figure: a matplotlib figure.
        salt: text that changes the ids of the elements. Equal figures on one page need different
            salts, because ids must be unique.
    """
    require_matplotlib()
    from matplotlib import rc_context

    buffer = io.BytesIO()
    settings: dict[RcKeyType, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "semisupcon",
        "text.parse_math": False,
    }
    with rc_context(settings), warnings.catch_warnings():
        # The browser chooses the font, so glyphs that are missing from matplotlib's do not matter.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(
            buffer, format="svg", bbox_inches="tight", transparent=True, metadata={"Date": None}
        )
    digest = hashlib.sha256(salt.encode() + buffer.getvalue()).hexdigest()[:8]
    root = ElementTree.fromstring(buffer.getvalue())
    _drop_globals(root)
    for element in root.iter():
        _tidy(element)
    _rename_ids(root, digest)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib = _ROOT | root.attrib
    return ElementTree.tostring(root, encoding="unicode")


def width_of(svg: str) -> float:
    """Return the width of an `svg_text` in CSS pixels at which 10 pt text is 11.5 pixels high."""
    found = re.search(r'viewBox="([^"]*)"', svg)
    assert found is not None  # the output of svg_text always has a viewBox
    _, _, width, _ = found.group(1).split()
    return float(width) * 1.15


def _drop_globals(root: ElementTree.Element) -> None:
    """Remove the metadata, and the style sheet, which would apply to the whole HTML page."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)


def _tidy(element: ElementTree.Element) -> None:
    """Simplify an element in place.

    Namespaces are removed, numbers are rounded to two decimals, black and the font become those of
    the page, and links made by `hover` become titles.
    """
    element.tag = element.tag.rpartition("}")[2]
    if _LINK in element.attrib:
        element.set("href", element.attrib.pop(_LINK))
    for name, value in element.attrib.items():
        if name in ("d", "x", "y", "transform", "viewBox"):
            value = re.sub(
                r"-?\d+\.\d+",
                lambda found: f"{float(found.group()):.2f}".rstrip("0").rstrip("."),
                value,
            )
            value = re.sub(r"rotate\(-?0 [^)]*\)", "", value)  # rotation of 0 degrees
            element.set(name, " ".join(value.split()))
        elif name == "style":
            declared = [part.partition(":") for part in value.split(";") if part.strip()]
            kept = {
                key.strip(): text.strip()
                for key, _, text in declared
                if key.strip() != "font-family"
            }
            element.set(
                name,
                ";".join(
                    f"{key}:{'currentColor' if text == '#000000' else text}"
                    for key, text in kept.items()
                ),
            )
    if element.tag == "a" and (told := hover_text(element.get("href", ""))) is not None:
        element.tag, element.attrib = "g", {}
        title = ElementTree.Element("title")
        title.text = told
        element.insert(0, title)
    if not (element.text or "").strip():
        element.text = None
    element.tail = None


def _rename_ids(root: ElementTree.Element, digest: str) -> None:
    """Remove ids without a reference, and shorten the others with a page-wide unique prefix."""
    used: dict[str, str] = {}

    def new(found: re.Match[str]) -> str:
        return f"#{used.setdefault(found.group(1), f'i{digest}-{len(used)}')}"

    for element in root.iter():
        href, clip_path = element.get("href", ""), element.get("clip-path")
        if href.startswith("#"):
            element.set("href", re.sub("#(.*)", new, href))
        if clip_path is not None:
            element.set("clip-path", re.sub(r"#(\w+)", new, clip_path))
    for element in root.iter():
        if (name := element.attrib.pop("id", None)) in used:
            element.set("id", used[name])
