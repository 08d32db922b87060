"""Musical keys and pitches as classes, with similarities between them.

`key_similarity` (circle of fifths) and `pitch_class_similarity` (semitones) return matrices for
`semisupcon.targets.ClassSimilarity`.
"""

import re
from collections.abc import Sequence

import numpy as np

PITCH_CLASSES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
KEYS = tuple(f"{tonic} {mode}" for mode in ("major", "minor") for tonic in PITCH_CLASSES)
_NATURAL = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTAL = {"": 0, "b": -1, "♭": -1, "#": 1, "♯": 1}
_PITCH = re.compile(r"(?P<letter>[A-Ga-g])(?P<accidental>[b#♭♯]?)(?P<octave>-?\d+)?")
_FIFTH_STEPS = 6.5  # half the circle of fifths plus the distance between the modes


def pitch_class(name: str) -> int:
    """Convert a note name (``Db``, ``c#``, ``F♯4``) or MIDI number to semitones above C, 0 to 11.

    Raises:
        ValueError: if the text is neither a note name nor a MIDI number.
    """
    if name.isdigit():
        return int(name) % 12
    match = _PITCH.fullmatch(name.strip())
    if not match:
        raise ValueError(f"'{name}' is not a note")
    return (_NATURAL[match["letter"].upper()] + _ACCIDENTAL[match["accidental"]]) % 12


def parse_key(text: str) -> tuple[int, str]:
    """Return the tonic (semitones above C) and mode (major or minor) of a key such as ``F# minor``.

    Raises:
        ValueError: if the text is not a key.
    """
    tonic, _, mode = text.strip().partition(" ")
    if mode.strip().lower() not in ("major", "minor"):
        raise ValueError(f"'{text}' is not a key")
    return pitch_class(tonic), mode.strip().lower()


def canonical_key(text: str) -> str:
    """Return the name of a key in `KEYS`, which has flats: ``A# major`` gives ``Bb major``.

    Raises the errors of `parse_key`.
    """
    tonic, mode = parse_key(text)
    return f"{PITCH_CLASSES[tonic]} {mode}"


def midi_name(midi: int) -> str:
    """Return the name of a MIDI note in scientific pitch notation; 60 gives ``C4``."""
    return f"{PITCH_CLASSES[midi % 12]}{midi // 12 - 1}"


def _round_distance(positions: np.ndarray) -> np.ndarray:
    """Return the distances ``[n, n]`` of positions ``[n]`` on a circle of twelve steps."""
    steps = np.abs(positions[:, None] - positions) % 12
    return np.minimum(steps, 12 - steps).astype(float)


def key_similarity(classes: Sequence[str] = KEYS, reach: float = _FIFTH_STEPS) -> np.ndarray:
    """Return the similarity matrix of keys on the circle of fifths.

    The distance of two keys is their number of steps on the circle of fifths (0 to 6), where a
    minor key has the position of its relative major, plus 0.5 if one key is major and the other
    minor. The similarity falls linearly from 1 at distance 0 to 0 at the distance ``reach``.

    Args:
        classes: C names of keys.
        reach: positive distance at which the similarity is 0. 6.5 is the largest distance of two
            keys. With 2, only closely related keys are similar.

    Returns:
        ``[C, C]`` in [0, 1], symmetric, with ones on the diagonal.
    """
    keys = [parse_key(name) for name in classes]
    is_minor = np.array([mode == "minor" for _, mode in keys])
    # A minor key has the accidentals of the major key three semitones above. A step on the circle
    # of fifths is seven semitones.
    signature = np.array([(tonic + 3 * (mode == "minor")) * 7 % 12 for tonic, mode in keys])
    distance = _round_distance(signature) + 0.5 * (is_minor[:, None] != is_minor)
    return np.clip(1 - distance / reach, 0, 1)


def pitch_class_similarity(
    classes: Sequence[str] = PITCH_CLASSES,
    reach: float = 6.0,
) -> np.ndarray:
    """Return the similarity matrix of pitch classes, regardless of octave.

    The similarity is 1 for equal pitch classes and falls linearly to 0 at a distance of ``reach``
    semitones.

    Args:
        classes: C names of notes, with or without octave, or MIDI numbers.
        reach: positive distance in semitones at which the similarity is 0. 6 is the tritone, the
            largest distance of two pitch classes.

    Returns:
        ``[C, C]`` in [0, 1], symmetric, with ones on the diagonal.
    """
    return np.clip(
        1 - _round_distance(np.array([pitch_class(name) for name in classes])) / reach,
        0,
        1,
    )
