"""User-defined data set of events with times, such as onsets, beats, sound events or pitch tracks.

The data set is a table with one row per event: ``path``, ``start`` and ``end`` (seconds),
``label``, and optionally ``split``. An event without ``end`` is a point in time, such as an onset
or a beat. For pitch tracks, the label is a frequency in Hz. A row with an empty ``start`` lists a
clip without events. The probe methods ``onsets``, ``beats``, ``sound_events`` and ``pitch_track``
use the times (docs/probing.md). All other methods predict which labels occur in a clip.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from semisupcon.datasets.any_table import read_splits, refuse_empty, table_of
from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.card import card
from semisupcon.datasets.parsing.labels import multi_hot, numbers
from semisupcon.datasets.parsing.names import below, composed, portable
from semisupcon.datasets.parsing.reading import column, place, read_table
from semisupcon.datasets.parsing.splits import FRACTIONS, seeded_split
from semisupcon.errors import AnnotationError, ConfigError

NAME = "events"  # column of the table of clips with a list of (start, end, label)
ANY = "event"  # label of events that have none


@card(
    kind="multilabel",
    classes=None,
    split="a column, or seeded",
    metric="by kind",
    licence="yours",
)
def events(
    root: Path,
    file: str | None = None,
    path: str = "path",
    start: str = "start",
    end: str = "end",
    label: str = "label",
    split: str | None = None,
    separator: str | None = None,
    classes: Sequence[str] | None = None,
    pitch: bool = False,
    fractions: dict[str, float] = FRACTIONS,
    seed: int = 0,
) -> LabelledClips:
    """Read a data set from a table of events.

    Args:
        root: folder to which the paths are relative.
        file: path of the table, relative to ``root`` or absolute; None takes the only .csv or .tsv
            file in ``root``.
        path, start, end, label: names of the columns. The columns ``end`` and ``label`` may be
            missing.
        split: name of the column with the split, which must be equal in all rows of a clip. None
            takes the column ``split`` if it exists. Otherwise a split of the clips is drawn.
        separator: separator of fields. None means tabs in a .tsv file and commas in other files.
        classes: names of the labels in order. None sorts the labels in the table.
        pitch: whether labels are frequencies in Hz.
        fractions: share of each split, if there is no split column.
        seed: seed of a drawn split.

    Returns:
        Clips with the column ``events``, which has a sorted list of (start, end, label) for each
        clip. For points in time, end is equal to start.

    Raises:
        DatasetNotFoundError: if the table is not found.
        AnnotationError: if the content cannot be read. The message has file and line.
    """
    source, separator = table_of(root, file, separator)
    rows = read_table(source, [path, start], separator)
    refuse_empty(rows[path])
    starts = numbers(rows[start], 0, None)
    ends = numbers(rows[end], 0, None) if end in rows else np.full(len(rows), np.nan)
    ends = np.where(np.isnan(ends), starts, ends)
    if len(wrong := np.flatnonzero(ends < starts)):
        line = place(rows[end], wrong[0])
        raise AnnotationError(*line, "The event ends before it starts.", "Correct the times.")
    labels = rows[label].map(composed) if label in rows else pd.Series([""] * len(rows))
    if pitch:
        if label not in rows:
            raise ConfigError(f"pitch needs the column '{label}' with frequencies in Hz.")
        frequencies = numbers(rows[label], 0, None)
        silent = ~np.isnan(starts) & ~(frequencies > 0)
        if len(wrong := np.flatnonzero(silent)):
            line = place(rows[label], wrong[0])
            raise AnnotationError(*line, "The frequency is not positive.", "Give Hz above 0.")
    names = labels.map(lambda text: text or ANY).tolist()
    clips, index = np.unique(
        np.array(below(root, rows[path].tolist()), dtype=object), return_inverse=True
    )
    of_clip: list[list[tuple[float, float, str]]] = [[] for _ in clips]
    for i, clip in enumerate(index):
        if not np.isnan(starts[i]):
            of_clip[clip].append((float(starts[i]), float(ends[i]), names[i]))
    table = pd.DataFrame({"path": clips, NAME: [sorted(found) for found in of_clip]})
    occurring = [sorted({name for *_, name in found}) for found in of_clip]
    if pitch:
        occurring = [["pitched"] * bool(found) for found in of_clip]
    known = {name for found in occurring for name in found}
    if not known:
        raise AnnotationError(source, None, "No row has a start.", "Give the times of the events.")
    order = tuple(classes) if classes is not None else tuple(sorted(known))
    if unknown := sorted(known - set(order)):
        raise ConfigError(f"classes leaves out labels of the table: {', '.join(unknown[:5])}.")
    split = split or ("split" if "split" in rows else None)
    if split is not None:
        table["split"] = _split_of_clips(
            read_splits(column(rows, split)), index, clips, rows[split]
        )
    else:
        strata = [found[0] if found else "" for found in occurring]
        drawn_from = portable(table["path"].tolist())
        table["split"] = seeded_split(drawn_from, strata, None, None, 1, fractions, seed)
    return LabelledClips(table, multi_hot(occurring, order), order, kind="multilabel")


def _split_of_clips(
    splits: list[str], index: np.ndarray, clips: np.ndarray, column: pd.Series
) -> list[str]:
    """Return the split of each clip, after checking that all its rows have the same split."""
    found: list[str] = [""] * len(clips)
    for row, clip in enumerate(index):
        if found[clip] not in ("", splits[row]):
            raise AnnotationError(
                *place(column, row),
                f"'{clips[clip]}' is in two splits: {found[clip]} and {splits[row]}.",
                "Give all rows of a clip the same split.",
            )
        found[clip] = splits[row]
    return found
