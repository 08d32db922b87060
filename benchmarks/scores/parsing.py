"""Read scores with music21 as notes: onset, duration and pitch.

A piece is a dictionary that fits into JSON:

- ``piece``: file in the corpus, with the number of the tune (``X:``) for books of tunes;
- ``collection``, ``title``, ``meter`` (such as ``6/8`` or None), ``rhythm`` (ABC's field ``R:``);
- ``key``: ``[pitch class, mode]`` if the score names a key, else None; ``sharps``: the number of
  sharps of the key signature (negative for flats), or None;
- ``bars``: onsets of the bars in ticks; ``parts``: a sorted list of ``[onset, duration, pitch]`` for
  each part, in ticks and MIDI pitches. A quarter note has 48 ticks.
"""

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TICKS = 48  # a quarter note
_TUNE = re.compile(r"(?m)^(?=X: *\d)")


def parse_files(
    collection: str, files: list[str], corpus: Path
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Parse files of one collection.

    Returns:
        The pieces, and the pieces that music21 cannot parse with its error message.
    """
    pieces, failed = [], {}
    for name, text in _scores(files, corpus):
        try:
            piece = _parse(text, None if text else corpus / name)
        except Exception as error:  # music21 raises exceptions of many kinds for a malformed tune
            failed[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            continue
        pieces.append({"piece": name, "collection": collection, **piece})
    return pieces, failed


def _scores(files: list[str], corpus: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each piece, and for ABC its text."""
    for file in files:
        if not file.endswith(".abc"):
            yield file, ""
            continue
        tunes = _TUNE.split((corpus / file).read_text("latin-1"))[1:]
        for tune in tunes:
            number = re.match(r"X: *(\d+)", tune)
            assert number is not None
            yield f"{file}:{int(number[1])}" if len(tunes) > 1 else file, tune


def _parse(text: str, path: Path | None) -> dict[str, Any]:
    from music21 import converter, key, meter, stream

    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        if path is None:
            score = converter.parse(text, format="abc")
        else:
            score = converter.parse(path, forceSource=True, storePickle=False)
    inside = score.recurse()
    signature = inside.getElementsByClass(key.KeySignature).first()
    metre = inside.getElementsByClass(meter.TimeSignature).first()
    bars: list[int] = []
    parts = []
    for part in score.parts if isinstance(score, stream.Score) and len(score.parts) else [score]:
        part.stripTies(inPlace=True)
        bars = bars or [_ticks(m.offset) for m in part.getElementsByClass(stream.Measure)]
        if notes := _notes(part):
            parts.append(notes)
    is_key = isinstance(signature, key.Key)
    return {
        "title": score.metadata.title if score.metadata else None,
        "meter": metre.ratioString if metre else None,
        "rhythm": " ".join(re.findall(r"(?m)^R: *(.*?)\s*$", text)).lower(),
        "key": [signature.tonic.pitchClass, signature.mode] if is_key else None,
        "sharps": signature.sharps if signature else None,
        "bars": bars,
        "parts": parts,
    }


def _ticks(quarters: Any) -> int:
    return round(float(quarters) * TICKS)


def _notes(part: Any) -> list[list[int]]:
    """Return the notes of a part without grace notes, chord symbols and unpitched percussion."""
    from music21 import harmony, note

    sounding = (
        n
        for n in part.flatten().notes
        if n.quarterLength > 0 and not isinstance(n, harmony.ChordSymbol | note.Unpitched)
    )
    rows = {
        (_ticks(n.offset), max(_ticks(n.quarterLength), 1), int(pitch.midi))
        for n in sounding
        for pitch in n.pitches
    }
    return [list(row) for row in sorted(rows)]
