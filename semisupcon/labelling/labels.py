"""A table that labels some files of a folder, read as the data set ``csv`` reads one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semisupcon.datasets import load_annotations
from semisupcon.datasets.any_table import table_of
from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.parsing.reading import read_table
from semisupcon.errors import ConfigError
from semisupcon.paths import text_of


@dataclass(frozen=True)
class Labels:
    """Labelled files.

    Attributes:
        clips: n labelled clips, sorted by path.
        files: their n files, as paths below the folder of audio.
        groups: their n groups; None without a column of groups.
    """

    clips: LabelledClips
    files: list[str]
    groups: list[str] | None

    def named_as(self, listed: Sequence[str]) -> "Labels":
        """The same files, by their names in a listing of the folder where they are in it."""
        known = {os.path.normpath(file): file for file in listed}
        files = [known.get(os.path.normpath(file), file) for file in self.files]
        return Labels(self.clips, files, self.groups)

    def select(self, rows: Sequence[int]) -> "Labels":
        """Some of the files."""
        groups = self.groups and [self.groups[i] for i in rows]
        return Labels(self.clips.select(rows), [self.files[i] for i in rows], groups)


def read_labels(
    audio: str | Path,
    table: str | Path,
    kind: str = "multiclass",
    path: str = "path",
    label: Sequence[str] = ("label",),
    group: str | None = None,
    separator: str | None = None,
    label_separator: str = ";",
) -> Labels:
    """Read the labelled rows of a table; rows without a label are left out.

    Args:
        audio: folder that the paths are relative to.
        table: the table.
        kind: label kind.
        path, label: columns of paths and labels, as in `semisupcon.datasets.any_table.csv`.
        group: column of groups that stay in one fold; None takes ``group`` if it exists.
        separator, label_separator: as in `semisupcon.datasets.any_table.csv`.

    Raises:
        DatasetNotFoundError, AnnotationError, ConfigError: as for the data set; also without a
            labelled row.
    """
    root, file = Path(audio), Path(table).absolute()
    if not root.is_dir():
        raise ConfigError(f"--audio must be a folder that the table's paths lie in, got {audio}.")
    source, written = table_of(root, str(file), separator)
    if group is None and "group" in read_table(source, [path], written):
        group = "group"
    options: dict[str, Any] = {"file": str(file), "kind": kind, "path": path, "group": group}
    options |= {"label": label[0] if len(label) == 1 else list(label)}
    options |= {"separator": separator, "label_separator": label_separator}
    clips = load_annotations("csv", root, **{k: v for k, v in options.items() if v is not None})
    clips = clips.select(clips.labelled)
    if not len(clips) or not clips.classes:
        raise ConfigError(f"No row of {table} has a label in column '{label[0]}'.")
    order = sorted(range(len(clips)), key=lambda i: clips.paths[i])
    clips = clips.select(order)
    files = [os.path.join(text_of(audio), name) for name in clips.paths]
    groups = None
    if "group" in clips.table:
        named = clips.table["group"].tolist()
        groups = [g or f"/{p}" for g, p in zip(named, clips.paths, strict=True)]
    return Labels(clips, files, groups)
