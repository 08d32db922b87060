"""NSynth: 305,979 notes of 1,006 instruments, 4 s at 16 kHz (Engel et al. 2017).

Where: https://magenta.tensorflow.org/datasets/nsynth. Licence: CC BY 4.0. Files:
``nsynth-{train,valid,test}/examples.json`` and ``.../audio``. Split: the three folders (289,205 /
12,678 / 4,096 notes). Training instruments do not occur in validation and test, but these two
splits share instruments, so no groups are declared. Since test instruments do not occur in
training, ``nsynth_instr`` can only be used for pretraining and few-shot episodes. Classes: pitches
in the order of their MIDI numbers 9 to 120 (60 is named C4); families, qualities and instruments in
the order of their numbers.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.keys import midi_name
from semisupcon.datasets.parsing.labels import one_hot
from semisupcon.datasets.parsing.reading import find_file, located, read_text
from semisupcon.errors import AnnotationError, UserError, first_line

URL = "https://magenta.tensorflow.org/datasets/nsynth"
PARTS = {"train": "train", "val": "valid", "test": "test"}
PITCHES = range(9, 121)
PITCH_NAMES = tuple(midi_name(pitch) for pitch in PITCHES)
FAMILIES = (
    "bass",
    "brass",
    "flute",
    "guitar",
    "keyboard",
    "mallet",
    "organ",
    "reed",
    "string",
    "synth_lead",
    "vocal",
)
QUALITIES = (
    "bright", "dark", "distortion", "fast_decay", "long_release", "multiphonic", "nonlinear_env", "percussive", "reverb", "tempo-synced",
)  # fmt: skip
_ABOUT = {"split": "official folders", "licence": "CC BY 4.0", "source": URL}


def _notes(root: Path, *fields: str) -> pd.DataFrame:
    """Return path, split and the given fields of every note, sorted by name within a split."""
    parts = []
    for split, part in PARTS.items():
        file = find_file(root, f"*-{part}/examples.json", f"{part}/examples.json", source=URL)
        try:
            notes = json.loads(read_text(file))
        except json.JSONDecodeError as error:
            raise AnnotationError(
                file,
                error.lineno,
                f"Not JSON: {error.msg}.",
                f"Download it again from {URL}.",
            ) from None
        # Numbers with thousands of digits and thousands of nested brackets raise these errors.
        except (ValueError, RecursionError) as error:
            if isinstance(error, UserError):
                raise
            raise AnnotationError(
                file,
                None,
                f"Not JSON: {first_line(error, 160)}.",
                f"Download it again from {URL}.",
            ) from None
        if not isinstance(notes, dict) or not notes:
            raise AnnotationError(
                file,
                None,
                "It holds no notes.",
                f"Download it again from {URL}.",
            )
        for name, note in notes.items():
            if lacking := [
                field for field in fields if not isinstance(note, dict) or field not in note
            ]:
                raise AnnotationError(
                    file,
                    None,
                    f"The note '{name}' has no '{lacking[0]}'.",
                    f"Download it again from {URL}.",
                )
        names = sorted(notes)
        rows = pd.DataFrame(
            {"path": [f"{file.parent.name}/audio/{name}.wav" for name in names], "split": split},
        )
        parts.append(
            located(
                rows.assign(**{field: [notes[name][field] for name in names] for field in fields}),
                file,
            )
        )
    return pd.concat(parts)


@card(kind="multiclass", classes=112, metric="accuracy", **_ABOUT)
def nsynth_pitch(root: Path) -> LabelledClips:
    """Load NSynth with the pitch as the class.

    Args:
        root: folder that contains ``nsynth-train``, ``nsynth-valid`` and ``nsynth-test``.

    Raises:
        DatasetNotFoundError: if an ``examples.json`` is missing.
        AnnotationError: if a file is not JSON or lacks a field, or if a pitch is outside 9..120.
    """
    table = _notes(root, "pitch")
    names = table["pitch"].map(lambda pitch: midi_name(pitch) if pitch in PITCHES else str(pitch))
    return LabelledClips(
        table[["path", "split"]],
        one_hot(names, PITCH_NAMES),
        PITCH_NAMES,
        kind="multiclass",
        metric="accuracy",
    )


@card(kind="multiclass", classes=11, metric="accuracy", **_ABOUT)
def nsynth_instr_family(root: Path) -> LabelledClips:
    """Load NSynth with the instrument family as the class; arguments as in `nsynth_pitch`."""
    table = _notes(root, "instrument_family")
    names = table["instrument_family"].map(
        lambda i: FAMILIES[i] if i in range(len(FAMILIES)) else str(i),
    )
    return LabelledClips(
        table[["path", "split"]],
        one_hot(names, FAMILIES),
        FAMILIES,
        kind="multiclass",
        metric="accuracy",
    )


@card(kind="multiclass", classes=1006, metric="accuracy", **_ABOUT)
def nsynth_instr(root: Path) -> LabelledClips:
    """Load NSynth with the instrument as the class, only for pretraining and few-shot episodes.

    Arguments and errors are those of `nsynth_pitch`.
    """
    table = _notes(root, "instrument", "instrument_str")
    for (file, _), number, name in zip(
        table.index,
        table["instrument"],
        table["instrument_str"],
        strict=True,
    ):
        if not isinstance(number, int) or not isinstance(name, str):
            raise AnnotationError(
                file,
                None,
                f"The instrument {number!r} ({name!r}) is not a number with a name."[:300],
                f"Download it again from {URL}.",
            )
    name_of = dict(sorted(zip(table["instrument"], table["instrument_str"], strict=True)))
    classes = tuple(name_of.values())
    return LabelledClips(
        table[["path", "split"]],
        one_hot(table["instrument_str"], classes),
        classes,
        kind="multiclass",
        metric="accuracy",
    )


@card(kind="multilabel", classes=10, metric="mAP", **_ABOUT)
def nsynth_qualities(root: Path) -> LabelledClips:
    """Load NSynth with ten sound qualities as labels; arguments as in `nsynth_pitch`."""
    table = _notes(root, "qualities")
    targets = np.zeros((len(table), len(QUALITIES)), np.float32)
    for row, values in enumerate(table["qualities"]):
        if (
            not isinstance(values, list)
            or len(values) != len(QUALITIES)
            or any(value not in (0, 1) for value in values)
        ):
            file, path = table.index[row][0], table["path"].iloc[row]
            raise AnnotationError(
                file,
                None,
                f"The qualities of '{path}' are not a list of ten zeros and ones.",
                f"Download it again from {URL}.",
            )
        targets[row] = values
    return LabelledClips(
        table[["path", "split"]],
        targets,
        QUALITIES,
        kind="multilabel",
        metric="mAP",
    )
