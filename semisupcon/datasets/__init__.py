"""Data sets and their tasks, which are found by name. Each file defines one data set."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from semisupcon.datasets.base import Annotations, Kind, LabelledClips
from semisupcon.datasets.parsing.finding import MAX_MISSING, find_by_stem, resolve, unlisted
from semisupcon.datasets.parsing.labels import multi_hot, numbers, one_hot
from semisupcon.datasets.parsing.options import typed_options
from semisupcon.datasets.parsing.reading import find_file, read_lines, read_table
from semisupcon.datasets.parsing.returned import checked
from semisupcon.datasets.parsing.splits import group_split, stratified_folds, stratified_split
from semisupcon.errors import ConfigError, import_failure, nearest

# Tasks of each module. A task is a function that takes the root folder of the data set and returns
# LabelledClips. A module is imported when one of its tasks is requested.
MODULES: dict[str, tuple[str, ...]] = {
    "any_table": ("csv",),
    "audiomnist": ("audiomnist_digit", "audiomnist_speaker"),
    "audioset": ("audioset_balanced",),
    "class_folders": ("class_folders",),
    "crema_d": ("crema_d",),
    "emomusic": ("emomusic",),
    "esc": ("esc10", "esc50"),
    "events": ("events",),
    "fma": ("fma",),
    "fsd50k": ("fsd50k",),
    "fsdd": ("fsdd_digit", "fsdd_speaker"),
    "fsdkaggle2018": ("fsdkaggle2018",),
    "giantsteps": ("giantsteps",),
    "gtzan": ("gtzan",),
    "librispeech": ("librispeech_speaker",),
    "magnatagatune": ("mtat_all", "mtat_top50"),
    "medleydb": ("medleydb", "medleydb_raw"),
    "msd": ("msd_top50",),
    "mtg_jamendo": ("mtg_genre", "mtg_instr", "mtg_mood", "mtg_top50"),
    "nsynth": ("nsynth_instr", "nsynth_instr_family", "nsynth_pitch", "nsynth_qualities"),
    "scores": ("scores_density", "scores_genre", "scores_key", "scores_tags"),
    "speech_commands": ("speech_commands",),
    "synthetic": (
        "synthetic_affect",
        "synthetic_instrument",
        "synthetic_pitch",
        "synthetic_polyphony",
        "synthetic_tags",
    ),
    "vocalset": ("vocalset_singer", "vocalset_technique"),
    "voxceleb": ("voxceleb1",),
}
TASKS: dict[str, str] = {
    task: f"{__name__}.{module}.{task}" for module, tasks in MODULES.items() for task in tasks
}


def find_task(task: str) -> Callable[..., LabelledClips]:
    """Return the function of a task by its name or import path (``my.module.function``).

    Raises:
        ConfigError: if the name is unknown or the path cannot be imported. The message suggests the
            most similar name.
    """
    path = TASKS.get(task, task)
    module, _, function = path.rpartition(".")
    if not module:
        raise ConfigError(
            f"Unknown task '{task}'.{nearest(task, TASKS)}\nKnown tasks: semisupcon data list",
        )
    try:
        found = getattr(importlib.import_module(module), function)
    except (ModuleNotFoundError, AttributeError) as error:
        if task in TASKS:  # a package that the module needs is missing
            raise
        raise ConfigError(
            f"Task '{task}' names no function that can be imported: {import_failure(error)}",
        ) from error
    if not callable(found):
        raise ConfigError(
            f"Task '{task}' is {type(found).__name__}, not a function from a folder to "
            "LabelledClips.",
        )
    return found


def read_annotations(task: str, root: str | Path | None, **options: Any) -> LabelledClips:
    """Read the annotations of a task without searching for its audio files.

    Arguments and errors are those of `load_annotations`, except that missing clips are accepted.
    """
    function = find_task(task)
    options = typed_options(task, function, options)
    root = Path(root).expanduser() if root is not None else None
    try:
        returned = function(root, **options)
    except ConfigError as error:
        if task in TASKS or str(error).startswith("Task "):
            raise
        raise ConfigError(f"Task '{task}': {error}") from error
    return checked(task, returned, root)


def load_annotations(
    task: str,
    root: str | Path | None,
    max_missing: float = MAX_MISSING,
    **options: Any,
) -> LabelledClips:
    """Read the annotations of a task and find its audio files.

    Args:
        task: name of the task, or import path of a function.
        root: folder of the data set; None for synthetic tasks, which are rendered.
        max_missing: maximum share of listed clips whose files are missing. These clips are dropped
            with a warning.
        options: options of the task, for example its split.

    Returns:
        The clips whose audio file was found under ``root``; ``path`` is the found file.

    Raises:
        ConfigError: if the task or an option is unknown.
        DatasetNotFoundError: if the root folder, an annotation file or too many clips are missing.
        AnnotationError: if an annotation file cannot be read.
    """
    clips = replace(read_annotations(task, root, **options), name=task)
    return clips if root is None else resolve(clips, Path(root).expanduser(), max_missing)


__all__ = [
    "TASKS",
    "Annotations",
    "Kind",
    "LabelledClips",
    "find_by_stem",
    "find_file",
    "find_task",
    "group_split",
    "load_annotations",
    "multi_hot",
    "numbers",
    "one_hot",
    "read_annotations",
    "read_lines",
    "read_table",
    "resolve",
    "stratified_folds",
    "stratified_split",
    "unlisted",
]
