"""Train from a folder that ``save_to_disk`` of the Hugging Face library ``datasets`` has written.

The library reads the columns. The encoded audio of a row is decoded by this package, not by the
library, so odd files are treated as everywhere. No loading script runs and nothing is downloaded.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semisupcon.data.outside.base import Items, OutsideDataModule
from semisupcon.data.outside.contents import ContentAudio, scan_contents
from semisupcon.data.outside.labels import Labels, labels_of, no_labels
from semisupcon.datasets.parsing.split_words import WORDS, meaning
from semisupcon.errors import AudioError, ConfigError, DatasetNotFoundError, UserError, nearest
from semisupcon.random import stable_hash


class Rows:
    """Reads the encoded audio of rows of several splits.

    Args:
        folder: folder of the data set. Files that rows name must lie in it, or in ``files_in``.
        splits: each split as a `datasets.Dataset`, whose column ``audio`` is not decoded.
        audio: name of the column.
        files_in: another folder of audio files, or None.
    """

    def __init__(self, folder: str, splits: Sequence[Any], audio: str, files_in: str | None):
        self.splits, self.audio = [split.select_columns([audio]) for split in splits], audio
        self.ends = np.cumsum([len(split) for split in splits])
        self.folders = [folder] if files_in is None else [files_in, folder]

    def __call__(self, record: int) -> bytes | str:
        """Return the encoded audio of a row, or the path of its file; b"" for an empty row.

        Raises:
            AudioError: if the row names a file outside the folders.
        """
        number = int(np.searchsorted(self.ends, record, side="right"))
        row = record - (int(self.ends[number - 1]) if number else 0)
        value = self.splits[number][row][self.audio] or {}
        if content := value.get("bytes"):
            return bytes(content)
        if not (named := value.get("path")):
            return b""
        for folder in self.folders:
            path = os.path.realpath(os.path.join(folder, named))
            if path.startswith(folder + os.sep) and os.path.exists(path):
                return path
        reason = f"its row names the file {named!r}, which is not in {' or '.join(self.folders)}"
        raise AudioError(f"The audio of row {row} cannot be read: {reason}.", reason)


class HuggingFaceDataModule(OutsideDataModule):
    """`AudioDataModule` that reads a folder written by ``datasets.Dataset.save_to_disk``.

    Of a ``DatasetDict``, the split ``train`` is trained on, and ``validation`` gives the validation
    clips. Test splits are not used.

    Args:
        folder: the folder.
        audio: name of the column with audio. None takes the only column of type ``Audio``.
        label: name of the column with labels: ``ClassLabel``, text, number, or lists of them. None
            trains without labels.
        classes: class names in the order of the targets. None takes those of the ``ClassLabel``, or
            the labels that occur.
        group: name of a column with groups, such as artists. Drawn validation clips are whole
            groups.
        files_in: folder of the audio files, if the rows have paths instead of audio.
        options: see `OutsideDataModule`.

    Raises:
        ConfigError: if an option names another source.
    """

    def __init__(
        self,
        folder: str,
        audio: str | None = None,
        label: str | None = None,
        classes: list[str] | None = None,
        group: str | None = None,
        files_in: str | None = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.folder, self.audio, self.label, self.classes = folder, audio, label, classes
        self.group, self.files_in = group, files_in

    def list_items(self) -> Items:
        """Open the folder, check the audio of all rows, and read their labels.

        Raises:
            DatasetNotFoundError: if the folder is missing or has no data set.
            UserError: if the folder is damaged, or has no audio.
            ConfigError: if a column is unknown.
        """
        where = os.path.realpath(os.path.expanduser(self.folder))
        sets = _training_splits(where, _opened(where))
        first = sets[0][2]
        audio = _audio_column(first, self.audio, where)
        for option in ("label", "group"):
            _check_column(first, getattr(self, option), f"data.{option}", where)
        for _, word, rows in sets[1:]:
            if rows.features != first.features:
                raise UserError(
                    f"The split '{word}' has other columns than '{sets[0][1]}'.\nIn: {where}"
                )
        stamp = _stamp(where)
        names = [f"{word}/{row:08d}" for _, word, rows in sets for row in range(len(rows))]
        files_in = None
        if self.files_in is not None:
            files_in = os.path.realpath(os.path.expanduser(self.files_in))
        self._fetch = Rows(where, [_undecoded(rows, audio) for _, _, rows in sets], audio, files_in)
        self._stamps = [stamp] * len(names)
        if not isinstance(self._fetch(0) if names else b"", bytes):
            self._stamps = [_with_file(stamp, self._fetch, i) for i in range(len(names))]
        labels, groups = no_labels(len(names)), None
        if self.label is not None:
            labels = _labels([rows for _, _, rows in sets], names, self.label, where, self.classes)
        if self.group is not None:
            groups = [value for _, _, rows in sets for value in rows[self.group]]
        return Items(
            names,
            [split for split, _, rows in sets for _ in range(len(rows))],
            scan_contents(names, self._stamps, f"huggingface {where} {audio}", self._fetch),
            labels,
            where,
            self.label or "",
            groups,
        )

    def samples_of(self, table: pd.DataFrame) -> ContentAudio:
        """Return the object that reads the samples of the clips in a table."""
        return ContentAudio(table, self._stamps, self._fetch)


def _opened(where: str) -> Any:
    import datasets

    if not os.path.isdir(where):
        raise DatasetNotFoundError(
            "The folder of the data set", where, "Give a folder written by save_to_disk."
        )
    if not any(Path(where, name).is_file() for name in ("state.json", "dataset_dict.json")):
        raise DatasetNotFoundError(
            "A data set of Hugging Face",
            where,
            "The folder has no state.json or dataset_dict.json; write it with save_to_disk.",
        )
    if next(Path(where).rglob("*.arrow"), None) is None:
        raise UserError(f"The data set has no rows to train on.\nIn: {where}")
    try:
        return datasets.load_from_disk(where)
    except Exception as error:  # A damaged folder raises many types of errors.
        said = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(
            f"The data set cannot be read ({said}).\nIn: {where}\nWrite or download it again."
        ) from error


def _training_splits(where: str, opened: Any) -> list[tuple[str, str, Any]]:
    """Return split (train or val), its name in the folder, and its rows; train comes first."""
    if not isinstance(opened, dict):
        return [("train", "train", opened)]
    words = [word for word in opened if word.lower() in WORDS]
    if others := [word for word in opened if word not in words]:
        raise ConfigError(
            f"The data set has the split '{others[0]}'; splits are train, validation and test.\n"
            f"In: {where}\nGive the folder of one split, such as {Path(where, others[0])}."
        )
    found = meaning(words)
    used = [(found[word], word, opened[word]) for word in words if found[word] != "test"]
    if not any(split == "train" for split, _, _ in used):
        raise UserError(f"The data set has no split 'train', only {', '.join(words)}.\nIn: {where}")
    return sorted(used, key=lambda part: part[0])


def _audio_column(rows: Any, name: str | None, where: str) -> str:
    import datasets

    found = [c for c, feature in rows.features.items() if isinstance(feature, datasets.Audio)]
    have = ", ".join(f"{c} ({type(f).__name__})" for c, f in rows.features.items()) or "none"
    if name is None and len(found) == 1:
        return found[0]
    if name in found:
        return str(name)
    if name is not None:
        raise ConfigError(
            f"data.audio '{name}' is no column of type Audio.{nearest(name, found)}\nColumns: "
            f"{have}\nIn: {where}"
        )
    remedy = "Choose one with data.audio." if found else "Cast one to datasets.Audio and save it."
    raise UserError(
        f"The data set has {len(found) or 'no'} columns of type Audio. {remedy}\nColumns: {have}\n"
        f"In: {where}"
    )


def _check_column(rows: Any, name: str | None, option: str, where: str) -> None:
    if name is not None and name not in rows.features:
        raise ConfigError(
            f"{option} '{name}' is no column.{nearest(name, rows.features)}\nColumns: "
            f"{', '.join(rows.features)}\nIn: {where}"
        )


def _undecoded(rows: Any, audio: str) -> Any:
    import datasets

    return rows.with_format(None).cast_column(audio, datasets.Audio(decode=False))


def _labels(
    parts: Sequence[Any],
    names: Sequence[str],
    label: str,
    where: str,
    classes: Sequence[str] | None,
) -> Labels:
    import datasets

    values = [value for rows in parts for value in rows.with_format(None)[label]]
    feature = parts[0].features[label]
    inner = getattr(feature, "feature", feature[0] if isinstance(feature, list) else feature)
    if classes is None and isinstance(inner, datasets.ClassLabel):
        values = [[n for n in v if n >= 0] if isinstance(v, list) else v for v in values]
        values = [None if isinstance(v, int) and v < 0 else v for v in values]
        classes = inner.names
    return labels_of(values, names, label, where, classes)


def _stamp(where: str) -> str:
    """Return a text that changes if a file of the data set changes."""
    files = sorted(p for p in Path(where).rglob("*") if p.suffix in (".arrow", ".json"))
    states = [(os.path.relpath(p, where), p.stat()) for p in files]
    told = " ".join(f"{name}:{s.st_size}-{s.st_mtime_ns}" for name, s in states)
    return f"{stable_hash(told):016x}"


def _with_file(stamp: str, fetch: Rows, record: int) -> str:
    """Return a stamp that also changes if the file of a row changes."""
    try:
        path = fetch(record)
        state = os.stat(path) if isinstance(path, str) else None
    except (AudioError, OSError):
        return stamp
    return stamp if state is None else f"{stamp}-{state.st_size}-{state.st_mtime_ns}"


__all__ = ["HuggingFaceDataModule"]
