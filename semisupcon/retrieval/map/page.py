"""Write the page: one HTML file with its style, its script, and the data in binary form.

The data are one block: the length of a JSON header (uint32), the header (names, classes, and a
directory of arrays), padding to 4 bytes, and the arrays, little-endian. The block is deflated and
written as base64; previews are base64 in a second block. So no text of a file stands in the HTML,
and the content security policy allows only the script of this package and audio beside the page.
"""

import base64
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from semisupcon.files import atomic_open
from semisupcon.paths import text_of
from semisupcon.retrieval.map.clips import Clips
from semisupcon.retrieval.map.colours import Colouring

GRID = 65_535  # steps of a coordinate


def write_page(out: Path, data: bytes, previews: Iterable[bytes] | None = None) -> None:
    """Write a page atomically.

    Args:
        out: path of the page.
        data: result of `packed` for this page.
        previews: audio of each clip, empty for none.
    """
    heads, tails = document(out.stem)
    with atomic_open(out, "wb") as file:
        file.write(heads.encode())
        file.write(base64.b64encode(data))
        file.write(b'</script>\n<script type="application/octet-stream" id="previews">')
        # Each preview begins at a multiple of 4 characters; its length stands before it.
        for audio in previews or ():
            file.write(f"{len(audio):08d}".encode() + base64.b64encode(audio))
        file.write(tails.encode())


def document(title: str) -> tuple[str, str]:
    """The HTML before and after the data."""
    folder = files("semisupcon.retrieval.map")
    html, style, script = (
        folder.joinpath(f"page.{kind}").read_text(encoding="utf-8")
        for kind in ("html", "css", "js")
    )
    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (script, style)
    ]
    html = html.replace("{{script-sha256}}", digests[0]).replace("{{style-sha256}}", digests[1])
    html = html.replace("{{style}}", style).replace("{{script}}", script)
    head, _, tail = html.partition("{{data}}")
    return head.replace("{{title}}", escape(title)), tail


def packed(
    out: Path,
    clips: Clips,
    points: np.ndarray,
    neighbours: tuple[np.ndarray, np.ndarray],
    colourings: Sequence[Colouring],
    method: str,
    root: Path | None = None,
) -> bytes:
    """The deflated block of data of a page.

    Args:
        out: path of the page.
        clips: files or windows.
        points: ``[n, 2]`` positions.
        neighbours: rows and similarities ``[n, k]``.
        colourings: what points can be coloured by; the first is shown.
        method: name of the projection, for the page.
        root: folder that relative names start at; None is the current folder.
    """
    names = list(dict.fromkeys(clips.files))
    number = {name: i for i, name in enumerate(names)}
    folder = common_folder(names)
    x, y = on_grid(points).T
    rows, similarities = neighbours
    index = np.uint16 if len(clips) <= 1 << 16 else np.uint32
    arrays: dict[str, np.ndarray] = {
        "x": x,
        "y": y,
        "file": np.array([number[name] for name in clips.files], np.uint32),
        "neighbours": rows.T.astype(index),
        "similarities": np.round((similarities.T.astype(np.float64) + 1) / 2 * GRID).astype(
            np.uint16
        ),
    }
    if clips.starts is not None and clips.ends is not None:
        arrays |= {"start": clips.starts.astype(np.float32), "end": clips.ends.astype(np.float32)}
    about = []
    for i, colouring in enumerate(colourings):
        told: dict[str, Any] = {"name": colouring.name, "classes": colouring.classes}
        if colouring.values is None:
            arrays[f"colour{i}"] = colouring.codes.astype(np.int32)
        else:
            told["numbers"] = True
            arrays[f"colour{i}"] = colouring.values.astype(np.float32)
        about.append(told)
    header = {
        "title": out.stem,
        "method": method,
        "count": len(clips),
        "neighbours": int(rows.shape[1]),
        "folder": folder,
        "names": [name[len(folder) :] for name in names],
        "audio": audio_folder(out, folder, root),
        "colourings": about,
    }
    return zlib.compress(_block(header, arrays), 9)


def common_folder(names: Sequence[str]) -> str:
    """The folders that all names begin with, ending in a slash; or an empty text."""
    first, last = min(names), max(names)
    same = next((i for i in range(len(first)) if first[i] != last[i : i + 1]), len(first))
    return first[: first.rfind("/", 0, same) + 1]


def on_grid(points: np.ndarray) -> np.ndarray:
    """Points ``[n, 2]`` on a grid of `GRID` steps with equal scales, centred; uint16."""
    low, high = points.min(axis=0), points.max(axis=0)
    size = max(float((high - low).max()), 1e-12)
    return np.round(((points - (low + high) / 2) / size + 0.5).clip(0, 1) * GRID).astype(np.uint16)


def audio_folder(out: Path, folder: str, root: Path | None) -> str:
    """Path of a folder of audio, relative to the page, ending in a slash (or empty)."""
    absolute = os.path.abspath(os.path.join(root or "", folder))
    relative = os.path.relpath(absolute, os.path.abspath(out.parent))
    return "" if relative == "." else f"{text_of(relative)}/"


def _block(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    directory, parts, at = [], [], 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
        directory.append([name, array.dtype.name, at, int(array.size)])
        data += bytes(-len(data) % 4)
        parts.append(data)
        at += len(data)
    text = json.dumps(header | {"arrays": directory}).encode()
    text += b" " * (-len(text) % 4)
    return len(text).to_bytes(4, "little") + text + b"".join(parts)
