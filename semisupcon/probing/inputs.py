"""Load the encoders and the tasks of a probing suite from their names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from semisupcon.data.sources import is_synthetic
from semisupcon.datasets.base import LabelledClips
from semisupcon.errors import ConfigError
from semisupcon.probing.embeddings.encoders import RANDOM, load_subject, random_twin
from semisupcon.probing.embeddings.subject import Subject, same_shape
from semisupcon.probing.embeddings.tasks import (
    fold_count,
    fraction_of_training,
    load_task,
    named,
    shuffled_labels,
)


def load_subjects(
    checkpoints: Sequence[str],
    representations: Sequence[str],
    seeds: Sequence[int],
    trust: Sequence[str] = (),
) -> list[Subject]:
    """Load the encoders of a suite, in each representation.

    "random" adds an untrained encoder per architecture of the other checkpoints and per seed.

    Args:
        checkpoints: checkpoint files, run folders, exported folders, class paths, names of
            baselines, or "random"; ``name=checkpoint`` names an encoder.
        representations: names of the representations.
        seeds: seeds of the random encoders.
        trust: modules outside this package whose classes checkpoints may name.

    Raises:
        ConfigError: if only "random" is given, or two checkpoints have the same name.
    """
    texts = [c for c in checkpoints if named(c)[1] != RANDOM]
    trained = [
        load_subject(text, representation, trust)
        for text in texts
        for representation in representations
    ]
    if len(set(names := [(s.name, s.representation) for s in trained])) < len(names):
        raise ConfigError(
            f"Two checkpoints have the same name: {', '.join(n for n, _ in names)}.\nRename one of "
            "them with name=path."
        )
    if len(texts) == len(checkpoints):
        return trained
    if not trained:
        raise ConfigError(
            f"'{RANDOM}' is an untrained encoder with the architecture of another checkpoint: also "
            "give a checkpoint or a class path."
        )
    shapes: list[Subject] = []
    for subject in trained:
        if subject.has_untrained and not any(
            same_shape(subject, s) and subject.representation == s.representation for s in shapes
        ):
            shapes.append(subject)
    if not shapes:
        if all(subject.head is None for subject in trained):
            raise ConfigError(
                f"'{RANDOM}' is an untrained encoder, and there is none for "
                f"{', '.join(s.name for s in trained)}: also give a checkpoint or a class path."
            )
        raise ConfigError(
            f"An untrained encoder has no trained head: '{RANDOM}' cannot be probed on "
            f"{', '.join(representations)}."
        )
    return trained + [
        replace(random_twin(shape, seed), name=name)
        for shape, name in zip(shapes, _untrained_names(shapes), strict=True)
        for seed in seeds
    ]


def _untrained_names(shapes: Sequence[Subject]) -> list[str]:
    """Return a unique name for each untrained encoder.

    The name is "random". If the encoders have several classes, the name of the class is added. If
    several encoders have the same class, the name of the trained encoder is added too.
    """
    kinds = [(shape.class_name, shape.representation) for shape in shapes]
    several = len({name for name, _ in kinds}) > 1
    names = []
    for shape, kind in zip(shapes, kinds, strict=True):
        twice = kinds.count(kind) > 1
        name = f"{RANDOM} {shape.class_name}" if several or twice else RANDOM
        names.append(f"{name} ({shape.name})" if twice else name)
    return names


def root_of(text: str, data_root: Path | None, data_dirs: Mapping[str, str]) -> Path | None:
    """Return the folder of a task.

    Args:
        text: name or import path of the task, or ``name=task``.
        data_root: folder with a subfolder that has the name of the task or of its data set.
        data_dirs: folder of a task, by name; has precedence over ``data_root``.

    Returns:
        The folder, which may not exist. None for a synthetic data set, or if neither argument gives
        a folder.
    """
    name, what = named(text)
    if name in data_dirs:
        return Path(data_dirs[name])
    if data_root is None or is_synthetic(what):
        return None
    for candidate in (name, what, what.rsplit(".", 1)[-1]):
        if (data_root / candidate).is_dir():
            return data_root / candidate
    return data_root / what


def rounds(
    text: str,
    data_root: Path | None,
    data_dirs: Mapping[str, str],
    options: Mapping[str, Any],
    need: Sequence[str] = ("train", "test"),
    train_share: float = 1.0,
    shuffle_seed: int | None = None,
) -> Iterator[LabelledClips]:
    """Yield a task once, or once per fold for a data set with folds.

    Args:
        text: name or import path of a data set, or ``name=task`` to rename it.
        data_root, data_dirs: folders of the data sets, as in `root_of`.
        options: options of the data set.
        need: splits that must have labelled clips.
        train_share: share of the training clips to use, in (0, 1].
        shuffle_seed: seed with which the training labels are shuffled; None to keep them.
    """
    options = dict(options)
    count = fold_count(text, options)
    for fold in [{"fold": i + 1} for i in range(count)] or [{}]:
        task = load_task(text, root_of(text, data_root, data_dirs), options | fold, need=need)
        if train_share != 1:
            task = fraction_of_training(task, train_share, seed=0)
        yield task if shuffle_seed is None else shuffled_labels(task, shuffle_seed)
