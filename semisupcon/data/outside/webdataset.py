"""Train from WebDataset shards on local disks."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd

from semisupcon.audio.contents import Range
from semisupcon.data.outside.base import Items, OutsideDataModule
from semisupcon.data.outside.contents import ContentAudio, scan_contents
from semisupcon.data.outside.labels import labels_of, no_labels
from semisupcon.data.outside.shards import (
    Member,
    Sample,
    audio_of,
    label_of,
    samples_in,
    shards_at,
)
from semisupcon.errors import UserError


class Members:
    """The places of the audio members of samples.

    Args:
        paths: path of each shard.
        samples: shard and place of the audio of each sample.
    """

    def __init__(self, paths: Sequence[str], samples: Sequence[tuple[int, Member]]):
        self.paths, self.samples = list(paths), list(samples)

    def __call__(self, record: int) -> Range:
        """Return the place of the encoded audio of a sample."""
        shard, member = self.samples[record]
        return member.within(self.paths[shard])


class WebDatasetDataModule(OutsideDataModule):
    """`AudioDataModule` that reads WebDataset shards (uncompressed tar archives).

    Args:
        shards: folder with shards, pattern (``DIR/train-*.tar``), or range
            (``DIR/train-{000..127}.tar``).
        val_shards: shards with validation clips, in the same form. None draws validation clips from
            ``shards`` (``val_split``).
        audio: extension of the audio, such as ``flac``. None takes the only member of a sample with
            an audio suffix.
        label: extension of the member with the label, such as ``cls`` or ``txt``, or with a field
            of JSON, such as ``json.genre``. None trains without labels.
        classes: class names. With them, an integer label is a position. None takes the labels that
            occur.
        options: see `OutsideDataModule`.

    Raises:
        ConfigError: if an option names another source.
    """

    def __init__(
        self,
        shards: str,
        val_shards: str | None = None,
        audio: str | None = None,
        label: str | None = None,
        classes: list[str] | None = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.shards, self.val_shards = shards, val_shards
        self.audio = None if audio is None else audio.lower().lstrip(".")
        self.label, self.classes = label, classes

    def list_items(self) -> Items:
        """Read the headers of all shards, check the audio of all samples, and read their labels.

        Raises the errors of `shards_at` and `samples_in`.
        """
        places = [("train", self.shards, "data.shards")]
        if self.val_shards is not None:
            places.append(("val", self.val_shards, "data.val_shards"))
        split_of = {path: split for split, place, name in places for path in shards_at(place, name)}
        paths = list(split_of)
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            found = list(pool.map(samples_in, paths, range(len(paths))))
        samples = [sample for inside in found for sample in inside]
        extensions = [audio_of(sample, self.audio) for sample in samples]
        with_audio = [(s, e) for s, e in zip(samples, extensions, strict=True) if e is not None]
        where = os.path.commonpath([os.path.dirname(path) for path in paths])
        if not with_audio:
            held = Counter(extension for sample in samples for extension in sample.members)
            what = ", ".join(name for name, _ in held.most_common(8)) or "none"
            wanted = f"'{self.audio}'" if self.audio else "an audio suffix"
            raise UserError(
                f"No member of the {len(paths)} shards has {wanted}. Extensions: {what}.\nIn: "
                f"{where}"
            )
        kept = [sample for sample, _ in with_audio]
        base = [os.path.basename(path) for path in paths]
        if len(set(base)) < len(base):
            base = [os.path.relpath(path, where) for path in paths]
        names = [f"{base[sample.shard]}/{sample.key}.{e}" for sample, e in with_audio]
        states = [os.stat(path) for path in paths]
        members = [sample.members[extension] for sample, extension in with_audio]
        self._stamps = [
            f"{states[s.shard].st_size}-{states[s.shard].st_mtime_ns}-{m.start}-{m.size}"
            for s, m in zip(kept, members, strict=True)
        ]
        shards = [sample.shard for sample in kept]
        self._fetch = Members(paths, list(zip(shards, members, strict=True)))
        return Items(
            names,
            [split_of[paths[sample.shard]] for sample in kept],
            scan_contents(names, self._stamps, f"webdataset {where}", self._fetch),
            self._labels(kept, paths, names, where),
            where,
            self.label or "",
        )

    def _labels(
        self, samples: Sequence[Sample], paths: Sequence[str], names: Sequence[str], where: str
    ) -> Any:
        if self.label is None:
            return no_labels(len(samples))
        values = [label_of(sample, paths[sample.shard], self.label) for sample in samples]
        return labels_of(values, names, self.label, where, self.classes)

    def samples_of(self, table: pd.DataFrame) -> ContentAudio:
        """Return the object that reads the samples of the clips in a table."""
        return ContentAudio(table, self._stamps, self._fetch)


__all__ = ["WebDatasetDataModule"]
