"""Reads the data of a page of `explore`, without a browser."""

import base64
import json
import re
import zlib
from pathlib import Path

import numpy as np


def block(page: str, name: str) -> str:
    """The text of a data block of a page."""
    (found,) = re.findall(
        rf'<script type="application/octet-stream" id="{name}">([^<]*)</script>', page
    )
    return found


def read_page(path: Path) -> tuple[dict, dict[str, np.ndarray], list[bytes]]:
    """Header, arrays and previews of a page."""
    page = path.read_text(encoding="utf-8")
    data = zlib.decompress(base64.b64decode(block(page, "data"), validate=True))
    length = int.from_bytes(data[:4], "little")
    header = json.loads(data[4 : 4 + length])
    arrays = {
        name: np.frombuffer(data, np.dtype(kind).newbyteorder("<"), size, 4 + length + at)
        for name, kind, at, size in header["arrays"]
    }
    text, at, previews = block(page, "previews"), 0, []
    while at < len(text):
        size = int(text[at : at + 8])
        end = at + 8 + 4 * -(-size // 3)
        previews.append(base64.b64decode(text[at + 8 : end], validate=True))
        assert len(previews[-1]) == size
        at = end
    return header, arrays, previews
