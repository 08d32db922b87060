"""The page about licences in the folder of the data set."""

from benchmarks.scores.rendering import FONT_LICENCES
from benchmarks.scores.sources import COLLECTIONS, NOT_READ, corpus_version

_HEAD = """# Licences of the rendered scores

This folder was made by `python -m benchmarks.scores build` from scores in the package music21
({version}) and from soundfonts. Read this page before you publish clips, or models trained on them.

music21 itself is BSD-3-Clause. Its corpus has licences of its own. `corpus/license.txt` in the
package says that the encodings are distributed with the permission of the encoders, that to the
best of its authors' knowledge each piece is out of copyright in the United States or licensed for
use, and that there may be restrictions on commercial use. The table says what the files themselves
state. Where they state nothing, no licence to redistribute is known.

## Scores

| collection | pieces | stated by the files |
|---|---|---|
"""
_FONTS = """
## Soundfonts

| soundfont | licence |
|---|---|
"""
_TAIL = """
The clips contain samples of the soundfont, transposed and mixed. Whether its licence extends to
recordings made with it is not settled for the GPL; the authors of TimGM6mb state no exception.
"""


def page(counts: dict[str, int], fonts: list[str]) -> str:
    """Return the text of ``LICENSES.md``.

    Args:
        counts: number of pieces of each collection in the set.
        fonts: names of the soundfonts.
    """
    lines = [
        f"| {COLLECTIONS[name].title} (`{COLLECTIONS[name].folder}`) | {count} | "
        f"{COLLECTIONS[name].licence} |"
        for name, count in counts.items()
    ]
    text = _HEAD.format(version=corpus_version()) + "\n".join(lines)
    text += "\n\nFiles that are left out of these collections:\n\n"
    reasons = [
        f"- {COLLECTIONS[name].folder}: `{what}` ({why})"
        for name in counts
        for what, why in COLLECTIONS[name].left_out.items()
    ]
    text += "\n".join(reasons or ["- none"])
    text += "\n\nParts of the corpus that are not read:\n\n"
    text += "\n".join(f"- {name}: {why}" for name, why in NOT_READ.items())
    text += f"\n{_FONTS}"
    unknown = "unknown to this project: read the file, or ask its author"
    text += "\n".join(f"| {font} | {FONT_LICENCES.get(font, unknown)} |" for font in fonts)
    return f"{text}\n{_TAIL}"
