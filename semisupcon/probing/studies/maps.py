"""2-D maps of embeddings by t-SNE (Maaten and Hinton 2008) or UMAP (McInnes et al. 2018)."""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from semisupcon.digests import has_digest, read_json, with_digest
from semisupcon.errors import ConfigError, first_line
from semisupcon.files import write_text
from semisupcon.probing.embeddings.embedder import Features
from semisupcon.probing.embeddings.encoders import Subject

TITLES = {"tsne": "t-SNE", "umap": "UMAP"}
MOST = 1000
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Map:
    """A 2-D map of n clips.

    Attributes:
        task, checkpoint: names of task and encoder.
        method: "tsne" or "umap".
        label: name of the labels.
        paths: names of the clips.
        labels: label of each clip, text or number.
        points: coordinates of each clip, ``[n][2]``.
        identity: hash of all inputs that affect the map.
    """

    task: str
    checkpoint: str
    method: str
    label: str
    paths: list[str]
    labels: list
    points: list[list[float]]
    identity: str = ""


def project(embeddings: np.ndarray, method: str = "tsne", seed: int = 0) -> np.ndarray:
    """Project embeddings ``[n, D]`` to points ``[n, 2]``, based on cosine distances.

    Raises:
        ConfigError: for an unknown method, fewer than three embeddings, or UMAP without its
            package.
    """
    if method not in TITLES:
        raise ConfigError(
            f"Unknown projection '{method}'. Known projections: {', '.join(TITLES)}, none."
        )
    if len(embeddings) < 3:
        raise ConfigError(f"A map needs at least 3 clips, got {len(embeddings)}.")
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(embeddings) - 1) / 3)
        return TSNE(
            metric="cosine", perplexity=perplexity, init="random", random_state=seed
        ).fit_transform(embeddings)
    try:
        from umap import UMAP
    except ModuleNotFoundError as error:
        raise ConfigError(
            "UMAP needs a package: pip install umap-learn (or semisupcon[umap]), or give "
            "--projection tsne."
        ) from error
    return UMAP(
        metric="cosine", n_neighbors=min(15, len(embeddings) - 1), random_state=seed, n_jobs=1
    ).fit_transform(embeddings)


def make_map(
    subject: Subject,
    features: Features,
    method: str,
    colour_by: str | None = None,
    identity: str = "",
) -> Map:
    """Make a map of at most 1000 test clips of a task, evenly spaced in the table of clips.

    Args:
        subject: encoder.
        features: embeddings of the task.
        method: "tsne" or "umap".
        colour_by: column of the annotations with the labels of the map. None for the class, or for
            the first value of a regression task.
        identity: hash of all inputs that affect the map.

    Raises:
        ConfigError: if the annotations do not have the column.
    """
    task, test = features.task, features.test
    rows = np.unique(np.linspace(0, len(test) - 1, min(MOST, len(test))).astype(int))
    if colour_by is None:
        targets = test.targets[rows]
        labels = (
            targets[:, 0].tolist()
            if task.kind == "regression"
            else [_word(t, task.classes) for t in targets]
        )
        label = task.classes[0] if task.kind == "regression" else task.name
    else:
        columns = task.table.loc[task.rows("test")[rows]]
        if colour_by not in columns:
            raise ConfigError(
                f"The annotations of '{task.name}' have no column '{colour_by}'; they have: "
                f"{', '.join(columns)}."
            )
        labels, label = [str(v) for v in columns[colour_by]], colour_by
    points = project(test.chunks.mean()[rows], method)
    name = (
        subject.name
        if subject.representation == "embedding"
        else f"{subject.name} ({subject.representation})"
    )
    return Map(
        task.name,
        name,
        method,
        label,
        [test.paths[i] for i in rows],
        labels,
        np.round(points.astype(float), 3).tolist(),
        identity,
    )


def save_map(found: Map, file: Path) -> None:
    """Write a map to a JSON file."""
    write_text(file, json.dumps(with_digest(asdict(found))))


def load_map(file: Path) -> Map | None:
    """Read a map written by `save_map`. A damaged file gives None and a warning."""
    try:
        found = Map(**read_json(file))
        if not has_digest(file):
            raise ValueError("its content was changed, or is from version 0.1")
        points, texts = (
            np.array(found.points, dtype=float),
            (found.task, found.checkpoint, found.label),
        )
        if (
            found.method in TITLES
            and points.shape == (len(found.paths), 2) == (len(found.labels), 2)
            and all(map(_is_text, texts))
        ):
            return found
        problem = "its parts are inconsistent"
    except (OSError, ValueError, TypeError, OverflowError) as error:
        problem = first_line(error, 160)
    log.warning(
        "The map %s is skipped: %s. The next probe with a map writes it again.", file, problem
    )
    return None


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _word(targets: np.ndarray, classes: tuple[str, ...]) -> str:
    """Return the label of a clip in words.

    With several classes, this is the class with the largest target, or "none". With one class, it
    is the name of the class, or "not" and the name.
    """
    if len(classes) == 1:
        return classes[0] if targets[0] > 0.5 else f"not {classes[0]}"
    return classes[int(targets.argmax())] if targets.max() > 0.5 else "none"
