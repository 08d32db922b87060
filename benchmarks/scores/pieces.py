"""Keys, genres, groups and splits of parsed pieces.

Pieces that share a title, the opening intervals of their melody, or a work (movements) form a group.
All clips of a group are in one split: tunes recur in several books, and the chorales harmonise some
melodies several times.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.scores.sources import COLLECTIONS
from semisupcon.datasets.keys import PITCH_CLASSES

# Probe-tone ratings of Krumhansl and Kessler (1982), from the tonic upwards.
PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
_KEYS = [(tonic, mode) for mode in PROFILES for tonic in range(12)]
_ROTATED = np.array([np.roll(PROFILES[mode], tonic) for tonic, mode in _KEYS])
_ROTATED -= _ROTATED.mean(axis=1, keepdims=True)
_ROTATED /= np.linalg.norm(_ROTATED, axis=1, keepdims=True)
# Rhythms of dance tunes -> genre. The first one that the rhythm field contains counts.
DANCES = {
    "slip jig": "slip jig",
    "slipjig": "slip jig",
    "hornpipe": "hornpipe",
    "strathspey": "strathspey",
    "reel": "reel",
    "jig": "jig",
}
FEWEST_NOTES = 24  # of the longest part
OPENING = 12  # intervals
# Words that distinguish no tunes; a title of fewer letters than this identifies none.
_WORDS = re.compile(r"\b(the|a|an|or|reel|jig|hornpipe|strathspey|clog|no|untitled|unknown)\b")
_FEWEST_LETTERS = 6


@dataclass(frozen=True)
class Piece:
    """A piece with its labels.

    Attributes:
        row: the parsed piece, see `benchmarks.scores.parsing`.
        group: name of the group of pieces that stay in one split.
        split: train, val or test.
    """

    row: dict[str, Any]
    group: str = ""
    split: str = ""

    @property
    def name(self) -> str:
        """File of the piece in the corpus, with the number of the tune."""
        return str(self.row["piece"])

    @property
    def parts(self) -> list[list[list[int]]]:
        """Notes of the parts."""
        return self.row["parts"]

    @cached_property
    def genre(self) -> str:
        """Genre, from the collection or from the rhythm field; "" if unknown."""
        if genre := COLLECTIONS[self.row["collection"]].genre:
            return genre
        return next((g for word, g in DANCES.items() if word in self.row["rhythm"]), "")

    @cached_property
    def key(self) -> tuple[int, str] | None:
        """Pitch class of the tonic, and mode, if the score and the analysis of its notes agree.

        A key signature without a mode agrees with its major and its minor key.
        """
        found = analysed_key([note for part in self.parts for note in part])
        relative = (found[0] + 3 * (found[1] == "minor")) % 12
        if named := self.row["key"]:
            return found if tuple(named) == found else None
        sharps = self.row["sharps"]
        return found if sharps is not None and sharps * 7 % 12 == relative else None


def analysed_key(notes: list[list[int]]) -> tuple[int, str]:
    """Return the key whose profile correlates best with the durations of the pitch classes.

    This is the algorithm of Krumhansl and Schmuckler (Krumhansl 1990, chapter 4).

    Args:
        notes: onset, duration and pitch of at least one note.
    """
    _, durations, pitches = np.asarray(notes).T
    weight = np.bincount(pitches % 12, durations, 12)
    return _KEYS[int(np.argmax(_ROTATED @ (weight - weight.mean())))]


def key_name(tonic: int, mode: str) -> str:
    """Return the name of a key as in `semisupcon.datasets.keys.KEYS`, such as ``Eb minor``."""
    return f"{PITCH_CLASSES[tonic % 12]} {mode}"


def _titles(row: dict[str, Any]) -> list[str]:
    """Return the identifying title of a piece, if it has one."""
    title = str(row["title"] or "").lower()
    if not row["piece"].split(":")[0].endswith(".abc") or title.startswith("untitled"):
        return []  # titles of the other files are numbers of a catalogue, or those of a genre
    plain = re.sub(r"[^a-z]", "", _WORDS.sub("", title))
    return [f"title {plain}"] if len(plain) >= _FEWEST_LETTERS else []


def _melody(row: dict[str, Any]) -> list[str]:
    """Return the opening of the highest part as intervals in semitones."""
    highest = max(row["parts"], key=lambda part: float(np.mean([pitch for _, _, pitch in part])))
    opening = [pitch for _, _, pitch in highest[: OPENING + 1]]
    return [f"melody {' '.join(map(str, np.diff(opening)))}"]


def _work(row: dict[str, Any]) -> list[str]:
    """Return the folder of a movement."""
    name = str(row["piece"])
    return [f"work {name.rsplit('/', 1)[0]}"] if name.count("/") > 1 else []


def usable(row: dict[str, Any]) -> bool:
    """Return whether a parsed piece is long enough."""
    return max(map(len, row["parts"]), default=0) >= FEWEST_NOTES


def grouped(rows: list[dict[str, Any]]) -> list[Piece]:
    """Group parsed pieces and assign splits.

    Returns:
        The usable pieces, sorted by name. The group is the first name of the pieces in it. The split
        is a function of the group's name.
    """
    rows = sorted(filter(usable, rows), key=lambda row: row["piece"])
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for row in rows:
        for shared in (*_titles(row), *_melody(row), *_work(row)):
            parent[root(shared)] = root(row["piece"])
    first: dict[str, str] = {}
    for row in rows:
        first.setdefault(root(row["piece"]), row["piece"])
    pieces = []
    for row in rows:
        group = first[root(row["piece"])]
        pieces.append(Piece(row, group, split_of(group)))
    return pieces


def split_of(group: str) -> str:
    """Return the split of a group by the hash of its name: 70 % train, 10 % val, 20 % test."""
    share = int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 2**32
    return "train" if share < 0.7 else "val" if share < 0.8 else "test"
