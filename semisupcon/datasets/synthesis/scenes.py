"""Scenes: short phrases in which the tonic occurs in every second.

A phrase is a list of notes. Every second note of a melody or an arpeggio is the tonic, and every
chord contains it. The tonic is therefore the most frequent pitch class in any excerpt of a few
seconds.
"""

from dataclasses import dataclass

import numpy as np

TEXTURES = ("melody", "arpeggio", "chords")
MODES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
# Chords I, IV, vi and sus4 in semitones above the tonic, by mode.
CHORDS = {
    "major": ((0, 4, 7), (0, 5, 9), (-3, 0, 4), (0, 5, 7)),
    "minor": ((0, 3, 7), (0, 5, 8), (-4, 0, 3), (0, 5, 7)),
}
CENTRE = 48  # MIDI number in the centre of the range of phrases


@dataclass(frozen=True)
class Note:
    """A note: onset and duration in seconds, pitch above the tonic, and loudness in (0, 1]."""

    onset: float
    duration: float
    semitones: int
    loudness: float


@dataclass(frozen=True)
class Scene:
    """A phrase, with its tonic, rate, mode and texture.

    Attributes:
        notes: notes in order of onset. The first one may begin before the clip.
        tonic: MIDI number of the tonic.
        rate: number of steps per second.
        mode: major or minor.
        texture: one of `TEXTURES`.
    """

    notes: tuple[Note, ...]
    tonic: int
    rate: float
    mode: str
    texture: str


def draw_scene(rng: np.random.Generator, pitch_class: int, seconds: float, chords: bool) -> Scene:
    """Draw a phrase.

    Args:
        pitch_class: pitch class of the tonic, 0 (C) to 11 (B).
        seconds: length of the clip.
        chords: whether the instrument can play several notes at once.
    """
    lowest = int(rng.integers(CENTRE - 8, CENTRE + 6))
    tonic = lowest + (pitch_class - lowest) % 12
    texture = TEXTURES[rng.choice(3, p=(0.45, 0.3, 0.25) if chords else (0.6, 0.4, 0))]
    mode = ("major", "minor")[rng.integers(2)]
    rate = float(np.exp(rng.uniform(np.log(1.3), np.log(7.5))))
    gate = rng.uniform(0.55, 1.0)
    steps = _steps(rng, texture, mode, int(np.ceil(seconds * rate)) + 2)
    start = -rng.uniform(0, 1) / rate
    bar = max(2, round(rng.uniform(0.8, 1.6) * rate))  # number of steps that stay in one octave
    octaves = 12 * rng.integers(0, 2, size=len(steps) // bar + 1)
    notes, step = [], 0
    while step < len(steps):
        held = 2 if step % 2 == 0 and rng.uniform() < 0.25 else 1  # only tonic notes last 2 steps
        onset, duration, octave = start + step / rate, held * gate / rate, int(octaves[step // bar])
        loudness = rng.uniform(0.4, 1.0)
        notes += [
            Note(onset, duration, p + octave, loudness * (1 if p % 12 == 0 else 0.8))
            for p in steps[step]
        ]
        step += held
    return Scene(tuple(notes), tonic, rate, mode, texture)


def _steps(rng: np.random.Generator, texture: str, mode: str, count: int) -> list[tuple[int, ...]]:
    """Draw the notes at each of ``count`` steps, as semitones above the tonic."""
    if texture == "chords":
        length = int(rng.integers(1, 4))  # number of steps per chord
        chosen = [CHORDS[mode][k] for k in rng.integers(0, 4, size=count // length + 1)]
        bass = int(rng.choice((-12, 0)))
        return [tuple(sorted({bass, 12, *chosen[k // length]})) for k in range(count)]
    if texture == "arpeggio":
        third, fifth = MODES[mode][2], MODES[mode][4]
        figure = (
            (0, third, 12, fifth),
            (0, fifth, 12, third),
            (12, fifth, 0, third),
            (0, fifth, 0, 12 + third),
        )[rng.integers(4)]
        return [(figure[k % 4],) for k in range(count)]
    others = [*MODES[mode][1:], MODES[mode][4] - 12, MODES[mode][5] - 12]
    octave = rng.choice((0, 0, 0, 12), size=count)
    return [(int(octave[k]),) if k % 2 == 0 else (int(rng.choice(others)),) for k in range(count)]
