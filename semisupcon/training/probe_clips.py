"""The clips that a run is probed on while it trains, decoded once: labelled clips that it does not
train on.

For the default, these are the labelled validation clips of ``data.sl_task``. For a task that
``--probe.tasks`` names:

1. its official validation clips, if it has any;
2. otherwise, if it shares audio with the run: its clips that are validation clips of the run;
3. otherwise: a tenth of its training clips, drawn as in `semisupcon probe`.

Test clips and training clips of the run are never among them.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semisupcon.audio.pcm import to_float
from semisupcon.audio.scan import scan, usable
from semisupcon.batch import Batch
from semisupcon.data.clips import Clips, Samples
from semisupcon.data.overlaps import located
from semisupcon.data.sources import is_synthetic
from semisupcon.datasets import find_task, load_annotations
from semisupcon.datasets.base import LabelledClips
from semisupcon.datasets.synthesis import render
from semisupcon.errors import ConfigError, DatasetNotFoundError, UserError
from semisupcon.probing.embeddings.tasks import load_task, named
from semisupcon.probing.methods.readout import FOLDS, by_guessing, cross_validation
from semisupcon.probing.scores.metrics import main_metric
from semisupcon.random import derive

LEAST = 2 * FOLDS  # clips
MOST_BYTES = 256 << 20  # of decoded audio, over all tasks and processes
# Class of the views, and source of their samples (None: the files).
Source = tuple[type[Clips], Samples | None]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Probed:
    """A task with its decoded clips.

    Attributes:
        name: name of the task.
        kind, metric, classes: label kind, main metric and class names.
        targets: ``[n, C]`` of all clips.
        fold: ``[n]``, cross-validation fold of each clip.
        chance: the metric without audio.
        rows: ``[m]``, positions of the clips of this process among the n.
        audio: ``[m, T]`` int16, one segment of each of these clips.
        peaks: ``[m]`` float32, value of a sample of full scale.
    """

    name: str
    kind: str
    metric: str
    classes: tuple[str, ...]
    targets: np.ndarray
    fold: np.ndarray
    chance: float
    rows: np.ndarray
    audio: Tensor
    peaks: Tensor

    def waveforms(self, start: int, end: int, device: torch.device) -> Tensor:
        """Clips ``[start, end)`` of this process as float32 ``[N, 1, T]`` in [-1, 1]."""
        audio = self.audio[start:end].to(device).float() / 32767
        return (audio * self.peaks[start:end, None].to(device))[:, None]


def probed_tasks(
    data: Any,
    encoder: Any,
    tasks: Sequence[str] | None,
    options: dict[str, dict[str, Any]],
    most: int,
    place: tuple[int, int],
) -> list[Probed]:
    """Find and decode the clips of all tasks.

    Args:
        data: an `AudioDataModule` after ``setup``.
        encoder: gives sample rate and length of a segment.
        tasks: names or import paths, or ``name=task``; None for ``data.sl_task``.
        options: ``root`` and options of the data sets, by name.
        most: maximum number of clips of a task.
        place: rank of this process, and number of processes. Each process decodes its share.

    Raises:
        ConfigError: for a named task that is unknown, has no folder, or has too few clips.
    """
    if tasks is None:
        drawn = getattr(data, "drawn", None)
        if drawn is None or drawn.kind is None:
            return []
        found = [(drawn.name, *_of_run(data, drawn))]
    else:
        found = [(named(text)[0], *_of_task(data, text, options)) for text in tasks]
    if found:
        room = MOST_BYTES // (2 * encoder.segment_samples * len(found))
        if room < min(most, max(len(of[2]) for of in found)):
            log.info(
                "probes: %d clips of each task are kept, which take %d MiB.", room, MOST_BYTES >> 20
            )
        most = min(most, room)
    result = []
    for name, clips, rows, source in found:
        try:
            result.append(_decoded(name, clips, _drawn(clips, rows, most), source, encoder, place))
        except UserError as error:
            if tasks is not None:
                raise ConfigError(f"--probe.tasks '{name}': {error}") from error
            log.info("probes: %s is not probed while training: %s", name, error)
    return result


def _of_run(data: Any, drawn: LabelledClips) -> tuple[LabelledClips, np.ndarray, Source]:
    """The labelled validation clips of the run, read as the run reads them."""
    rows = drawn.rows("val", source="labelled")
    source = data.clips_type, data.validation_clips.audio
    return drawn, rows[drawn.labelled[rows]], source


def _of_task(
    data: Any, text: str, options: dict[str, dict[str, Any]]
) -> tuple[LabelledClips, np.ndarray, Source]:
    """The labelled clips of a named task that the run does not train on."""
    name, what = named(text)
    find_task(what)
    given = dict(options.get(name, {}))
    sl_task, _, data_dir, sl_kwargs, _ = getattr(data, "sources", (None,) * 5)
    if what == sl_task and not given:
        given = dict(sl_kwargs or {})
    root = given.pop("root", None)
    if root is None:
        root = render() if is_synthetic(what) else data_dir
    if root is None:
        raise ConfigError(
            f"--probe.tasks '{name}' needs a folder: give --probe.task_kwargs.{name}.root DIR, or "
            "--data.data_dir."
        )
    root = Path(root).expanduser()
    if not root.is_dir():
        remedy = f"Give the folder that holds the data set (--probe.task_kwargs.{name}.root)."
        raise DatasetNotFoundError(f"The folder of '{name}'", str(root), remedy)
    clips = load_task(text, root.resolve(), given, need=())
    at, split = located(clips), clips.split
    trained, held = _paths(data, "train"), _paths(data, "val")
    seen = at["path"].isin(trained[0]) | at["clip"].isin(trained[1])
    own = (at["path"].isin(held[0]) | at["clip"].isin(held[1])) & (split != "test")
    drawn_here = not _has_validation(text, root, given)
    wanted = own if drawn_here and own.any() else split == "val"
    rows, asked = np.flatnonzero(np.asarray(wanted & ~seen, bool)), int(np.sum(wanted))
    if LEAST > len(rows) < asked:
        raise ConfigError(
            f"--probe.tasks '{name}': the run trains on {asked - len(rows)} of its {asked} labelled "
            f"validation clips; {len(rows)} are left, and a probe needs at least {LEAST}."
        )
    files = at["path"].iloc[rows].tolist()
    facts = scan(files)
    good = (facts["problem"] == "").to_numpy() if len(files) else np.zeros(0, bool)
    if not good.all():
        usable([clips.paths[i] for i in rows], facts, 1.0, str(root))
    full = clips.select(rows[good]).assign(
        path=np.array(files, dtype=object)[good],
        clip=at["clip"].to_numpy()[rows[good]],
        frames=facts["frames"].to_numpy()[good],
        sample_rate=facts["sample_rate"].to_numpy()[good],
    )
    return full, np.arange(len(full)), (Clips, None)


def _has_validation(text: str, root: Path, options: dict[str, Any]) -> bool:
    """Whether the data set itself lists validation clips."""
    listed = load_annotations(named(text)[1], root.resolve(), **options)
    return bool((listed.split[listed.labelled] == "val").any())


def _paths(data: Any, split: str) -> tuple[set[str], set[int]]:
    """Paths of the clips of a split of the run; their hashes if the files may lie elsewhere."""
    drawn = getattr(data, "drawn", None)
    if drawn is None:
        return set(), set()
    table = drawn.table[drawn.table["split"] == split]
    elsewhere = getattr(data, "packed", None) or getattr(data, "stream", None)
    return set(table["path"]), set(table["clip"]) if elsewhere else set()


def _drawn(clips: LabelledClips, rows: np.ndarray, most: int) -> np.ndarray:
    """At most ``most`` of the rows, drawn by their names; sorted."""
    if len(rows) <= most:
        return rows
    number = torch.from_numpy(clips.table["clip"].to_numpy(np.int64)[rows])
    return np.sort(rows[np.argsort(derive(number, "probed clips").numpy(), kind="stable")[:most]])


def _decoded(
    name: str,
    clips: LabelledClips,
    rows: np.ndarray,
    source: Source,
    encoder: Any,
    place: tuple[int, int],
) -> Probed:
    """Decode this process's share of the clips.

    Raises:
        UserError: for fewer than 10 clips or groups of clips, or equal labels.
    """
    kind, targets = clips.label_kind, clips.targets[rows]
    if len(rows) < LEAST:
        raise UserError(
            f"it has {len(rows)} labelled clips that the run does not train on, and a probe needs "
            f"at least {LEAST}."
        )
    table = clips.table.iloc[rows]
    names = table.get("name", table["path"])
    group = table["group"].where(table["group"].notna(), names) if "group" in table else names
    fold = cross_validation(targets, group.astype(str).tolist(), kind)
    if len(np.unique(fold)) < 2:
        raise UserError("its clips are of one group, so they cannot be cross-validated.")
    metric = main_metric(kind, clips.classes, clips.metric, name)
    level = by_guessing(kind, metric, clips.classes, targets, fold)
    mine = np.arange(place[0], len(rows), place[1])
    make, audio = source
    cut = make(
        replace(clips, metric=metric),
        encoder.sample_rate,
        encoder.segment_samples,
        views=1,
        policy="independent",
        audio=audio,
    )
    kept = torch.empty(len(mine), encoder.segment_samples, dtype=torch.int16)
    peaks = torch.empty(len(mine))
    numbers = torch.from_numpy(clips.table["clip"].to_numpy(np.int64)[rows[mine]])
    keys = derive(numbers, "probed segment").numpy() & ~np.int64(0xFF)
    for start in range(0, len(mine), 32):
        part = slice(start, start + 32)
        batch: Batch = cut.__getitems__(np.stack([rows[mine[part]], keys[part]], axis=1))
        heard = to_float(batch["audio"][:, 0, 0])
        peaks[part] = heard.abs().amax(dim=1).clamp(min=1.0)
        kept[part] = (heard / peaks[part, None] * 32767).round().to(torch.int16)
    return Probed(name, kind, metric, clips.classes, targets, fold, level, mine, kept, peaks)
