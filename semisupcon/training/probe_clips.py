"""Select and decode the labelled clips on which a run is probed while it trains.

By default, these are the labelled validation clips of ``data.sl_task``. For a task that
``--probe.tasks`` names, they are:

1. the official validation clips of the task, if it has any;
2. otherwise, if the task shares audio with the run: the validation clips of the run that the task
   labels;
3. otherwise: a tenth of the training clips of the task, drawn as in ``semisupcon probe``.

Test clips of the task and training clips of the run are never used.
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

LEAST = 2 * FOLDS  # minimum number of clips of a task
MOST_BYTES = 256 << 20  # maximum size of the decoded audio of all tasks and processes
# Class that cuts segments out of clips, and source of the samples (None: the audio files).
Source = tuple[type[Clips], Samples | None]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Probed:
    """A task with n clips, of which this process has decoded m.

    Attributes:
        name: name of the task.
        kind, metric, classes: label kind, main metric and class names.
        targets: ``[n, C]``, targets of all clips.
        fold: ``[n]``, cross-validation fold of each clip.
        chance: value of the metric for predictions without audio.
        rows: ``[m]``, indices of the decoded clips.
        audio: ``[m, T]`` int16, one segment of each decoded clip.
        peaks: ``[m]`` float32, scale of each segment: the sample that 32767 stands for.
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
        """Return the decoded clips from ``start`` to ``end`` as float32 waveforms ``[N, 1, T]``."""
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
        encoder: encoder with the sample rate and the length of the segments.
        tasks: names or import paths of tasks, or ``name=task``; None for ``data.sl_task``.
        options: for each task, ``root`` and the options of its data set.
        most: maximum number of clips per task.
        place: rank of this process, and number of processes. Each process decodes a part.

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
    """Return the labelled validation clips of the run, with the audio source of the run."""
    rows = drawn.rows("val", source="labelled")
    source = data.clips_type, data.validation_clips.audio
    return drawn, rows[drawn.labelled[rows]], source


def _of_task(
    data: Any, text: str, options: dict[str, dict[str, Any]]
) -> tuple[LabelledClips, np.ndarray, Source]:
    """Return the labelled clips of a named task that the run does not train on."""
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
        # Folds are drawn by name, so that they do not depend on where the folder lies.
        name=at["name"].to_numpy()[rows[good]],
        clip=at["clip"].to_numpy()[rows[good]],
        frames=facts["frames"].to_numpy()[good],
        sample_rate=facts["sample_rate"].to_numpy()[good],
    )
    return full, np.arange(len(full)), (Clips, None)


def _has_validation(text: str, root: Path, options: dict[str, Any]) -> bool:
    """Return whether the data set has official validation clips."""
    listed = load_annotations(named(text)[1], root.resolve(), **options)
    return bool((listed.split[listed.labelled] == "val").any())


def _paths(data: Any, split: str) -> tuple[set[str], set[int]]:
    """Return the paths and the hashes of the clips of a split of the run.

    The set of hashes is empty unless the audio is packed, streamed, or of another source than
    files. Then the paths may differ from those of the same clips in a data set.
    """
    drawn = getattr(data, "drawn", None)
    if drawn is None:
        return set(), set()
    table = drawn.table[drawn.table["split"] == split]
    elsewhere = any(getattr(data, name, None) for name in ("packed", "stream", "outside"))
    return set(table["path"]), set(table["clip"]) if elsewhere else set()


def _drawn(clips: LabelledClips, rows: np.ndarray, most: int) -> np.ndarray:
    """Draw at most ``most`` rows at random, and return them sorted.

    The draw depends on the names of the clips only.
    """
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
    """Decode the clips of this process.

    Args:
        name: name of the task.
        clips: labelled clips of the task.
        rows: rows of the clips to probe on.
        source: class that cuts segments, and source of the samples.
        encoder: encoder with the sample rate and the length of the segments.
        place: rank of this process, and number of processes.

    Raises:
        UserError: if the clips are too few or too alike for a cross-validation.
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
