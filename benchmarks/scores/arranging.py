"""Draw a clip: piece, key, tempo, instruments and dynamics, as events for a synthesizer.

A clip is a function of the seed and of its number: every draw uses a generator that is seeded with
both. It does not depend on the number of clips or on the soundfonts.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from benchmarks.scores.parsing import TICKS
from benchmarks.scores.pieces import PROFILES, Piece, analysed_key, key_name
from semisupcon.datasets.scores import GENRES

SECONDS = 10
# Instrument families: General MIDI programs (from 0), and the lowest and highest MIDI pitch of the
# median note of a part.
PROGRAMS = {
    "piano": ((0, 1, 3), 40, 84),
    "electric piano": ((4, 5), 44, 80),
    "harpsichord": ((6, 7), 44, 80),
    "mallets": ((9, 11, 12, 13), 55, 90),
    "organ": ((16, 17, 19, 20), 40, 84),
    "accordion": ((21, 22, 23), 50, 80),
    "guitar": ((24, 25, 26), 44, 74),
    "overdriven": ((29, 30), 42, 72),
    "bowed": ((40, 41, 42), 46, 86),
    "plucked": ((46, 104, 105, 107), 46, 80),
    "ensemble": ((48, 49, 50), 42, 84),
    "choir": ((52, 53), 48, 76),
    "brass": ((56, 57, 60, 61), 44, 76),
    "reed": ((65, 66, 68, 71), 50, 80),
    "flute": ((73, 74, 75, 79), 64, 92),
    "lead": ((80, 81), 46, 82),
}
DRUMS = "drums"
DRUM_CHANNEL = 15  # parts have the channels below `MOST_PARTS`
DRUM_SHARE = 0.3
KICK, SNARE, HAT = 36, 38, 42
MOST_PARTS = 8
FEWEST_STRUCK = 4  # notes of a family in the clip, for its tag
OCTAVES_OF_ONSETS = (0.5, 3.0)  # log2 of onsets per second: 1.4 to 8
LAST_ONSET = SECONDS - 0.2
# Streams of random numbers: the order of the pieces, the clip, the sound of the clip.
ORDER, CLIP, SOUND = 0, 1, 2


class Event(NamedTuple):
    """A note that begins or ends.

    Attributes:
        second: time in the clip.
        on: 1 for the begin, 0 for the end.
        channel, pitch, velocity: MIDI values; the velocity of an end is 0.
    """

    second: float
    on: int
    channel: int
    pitch: int
    velocity: int


@dataclass
class Arrangement:
    """A clip before it is rendered.

    Attributes:
        events: sorted by time.
        programs: channel -> General MIDI program; drums have the channel `DRUM_CHANNEL`.
        labels: values of the columns of ``labels.csv``, without path and soundfont.
    """

    events: list[Event]
    programs: dict[int, int]
    labels: dict[str, Any]


@dataclass
class _Draw:
    """Notes of a clip while they are drawn."""

    rng: np.random.Generator
    start: int
    speed: float  # seconds of a tick
    events: list[Event] = field(default_factory=list)
    struck: dict[str, int] = field(default_factory=dict)

    def strike(
        self, family: str, channel: int, onset: int, seconds: float, pitch: int, velocity: float
    ) -> bool:
        """Add a note if it begins within the clip; return whether it does."""
        begin = (onset - self.start) * self.speed + abs(self.rng.normal(0, 0.006))
        if onset < self.start or begin >= LAST_ONSET:
            return False
        loud = int(np.clip(velocity, 30, 120))
        self.events.append(Event(begin, 1, channel, pitch, loud))
        self.events.append(Event(begin + seconds, 0, channel, pitch, 0))
        self.struck[family] = self.struck.get(family, 0) + 1
        return True


def generator(seed: int, stream: int, number: int) -> np.random.Generator:
    """Return the random generator of a clip, or of the order of a stratum."""
    return np.random.default_rng((seed, stream, number))


class Programme:
    """The pieces of all clips.

    A third of the clips has the genres of `GENRES` in turn, a third major pieces, and a third minor
    pieces. The pieces of each stratum come in turn, in an order drawn by the seed.

    Args:
        pieces: all usable pieces.
        seed: seed of the data set.
    """

    def __init__(self, pieces: list[Piece], seed: int):
        keyed = {m: [p for p in pieces if p.key is not None and p.key[1] == m] for m in PROFILES}
        by_genre = [[p for p in pieces if p.genre == genre] for genre in GENRES]
        self.genres = [found for found in by_genre if found] or [list(pieces)]
        self.modes = [found or list(pieces) for found in keyed.values()]
        for number, stratum in enumerate([*self.genres, *self.modes]):
            generator(seed, ORDER, number).shuffle(stratum)

    def piece(self, number: int) -> Piece:
        """Return the piece of a clip."""
        turn, third = divmod(number, 3)
        if third:
            stratum = self.modes[third - 1]
        else:
            turn, genre = divmod(turn, len(self.genres))
            stratum = self.genres[genre]
        return stratum[turn % len(stratum)]


def arrange(piece: Piece, seed: int, number: int) -> Arrangement:
    """Draw ten seconds of a piece in a random key, tempo and instrumentation.

    Args:
        piece: the piece of the clip.
        seed: seed of the data set.
        number: number of the clip.
    """
    rng = generator(seed, CLIP, number)
    tonic, mode = piece.key or (0, "")
    # Transpose by -6 to 5 semitones to a tonic that is uniform over the pitch classes.
    shift = (int(rng.integers(12)) - tonic + 6) % 12 - 6
    # A single melody is perhaps doubled, in octaves and by other instruments.
    alone = len(piece.parts) == 1
    parts = piece.parts * int(rng.integers(1, 4)) if alone else piece.parts[:MOST_PARTS]
    length = max(onset + duration for part in parts for onset, duration, _ in part)
    onsets_per_tick = len({onset for part in parts for onset, _, _ in part}) / length
    speed = onsets_per_tick / 2 ** rng.uniform(*OCTAVES_OF_ONSETS)
    bars = piece.row["bars"]
    start = int(rng.choice([b for b in bars if b + SECONDS / speed <= length] or [0]))
    laps = range(int((start + SECONDS / speed) // length) + 1)  # a short piece starts again
    families = rng.choice(list(PROGRAMS), min(len(parts), int(rng.integers(1, 5))), replace=False)
    draw, programs, heard = _Draw(rng, start, speed), {}, []
    for channel, part in enumerate(parts):
        family = str(families[channel % len(families)])
        choices, low, high = PROGRAMS[family]
        programs[channel] = int(rng.choice(choices))
        move = shift + (12 * int(rng.integers(-1, 2)) if alone else 0)
        median = float(np.median([pitch for _, _, pitch in part])) + move
        octaves = np.ceil(max(low - median, 0) / 12) - np.ceil(max(median - high, 0) / 12)
        move += 12 * int(octaves)
        touch, loud = rng.uniform(0.6, 1), rng.uniform(60, 100)
        for onset, duration, pitch in _repeated(part, laps, length, move):
            velocity = loud + 14 * (onset % length in bars) + rng.normal(0, 6)
            seconds = max(duration * speed * touch, 0.05)
            if draw.strike(family, channel, onset, seconds, pitch, velocity):
                heard.append([onset, duration, pitch])
    if rng.random() < DRUM_SHARE and piece.row["meter"]:
        _add_drums(draw, piece, laps, length)
    known = bool(mode) and bool(heard) and analysed_key(heard) == ((tonic + shift) % 12, mode)
    density = max(len({onset for onset, _, _ in heard}), 1) / SECONDS
    labels = {
        "split": piece.split,
        "group": piece.group,
        "tags": ";".join(sorted(f for f, n in draw.struck.items() if n >= FEWEST_STRUCK)),
        "key": key_name(tonic + shift, mode) if known else "",
        "density": f"{np.log2(density):.4f}",
        "genre": piece.genre,
        "piece": piece.name,
        "title": " ".join(str(piece.row["title"] or "").split()),
        "collection": piece.row["collection"],
        "meter": piece.row["meter"] or "",
        "tempo": f"{60 / (TICKS * speed):.1f}",
        "parts": len(parts),
        "programs": ";".join(str(program) for program in programs.values()),
    }
    return Arrangement(sorted(draw.events), programs, labels)


def _repeated(part: list, laps: range, length: int, move: int) -> list[tuple[int, int, int]]:
    """Return the notes of a part in all laps, transposed; pitches outside MIDI are left out."""
    return [
        (onset + lap * length, duration, pitch + move)
        for lap in laps
        for onset, duration, pitch in part
        if 0 <= pitch + move < 128
    ]


def _add_drums(draw: _Draw, piece: Piece, laps: range, length: int) -> None:
    """Add a kick on the first beat of each bar, then hi-hat and snare in turn on its beats."""
    beats, unit = map(int, piece.row["meter"].split("/"))
    for lap in laps:
        for bar in piece.row["bars"][1:]:
            for beat in range(beats):
                onset = bar + lap * length + beat * 4 * TICKS // unit
                pitch = KICK if beat == 0 else SNARE if beat % 2 else HAT
                draw.strike(DRUMS, DRUM_CHANNEL, onset, 0.1, pitch, draw.rng.uniform(60, 95))
