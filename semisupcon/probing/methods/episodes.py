"""Draw few-shot episodes, each with classes, support (training) clips and query (test) clips.

Easy and hard episodes follow the greedy search of Agarwal et al. 2021 (arXiv 2110.13953, algorithm
1): each support clip is replaced by the candidate with which the queries are easiest or hardest to
classify.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from semisupcon.errors import ConfigError
from semisupcon.probing.methods.base import Settings
from semisupcon.probing.methods.few_shot_classifiers import nearest_centroid

BLOCK = 2000
CANDIDATES = 20  # number of candidates for each support clip of an easy or hard episode


def drawn_episodes(
    labels: np.ndarray, settings: Settings, generator: np.random.Generator
) -> Iterator[tuple[Settings, np.ndarray]]:
    """Yield blocks of episodes, each with episodes of equal size.

    With ``way_to`` or ``shot_to``, the size of each episode is drawn uniformly.

    Args:
        labels: ``[n]``, class of each clip.
        settings: sizes and number of episodes.
        generator: random generator.

    Yields:
        Settings with the ``way`` and ``shot`` of the block, and clip indices
        ``[E, way, shot + queries]``.

    Raises:
        ConfigError: if too few classes have enough clips for the largest episode.
    """
    if settings.way_to is None and settings.shot_to is None:
        yield from ((settings, clips) for clips in episodes(labels, settings, generator))
        return
    most_way, most_shot = settings.way_to or settings.way, settings.shot_to or settings.shot
    _check_size(labels, replace(settings, way=most_way, shot=most_shot))
    ways = generator.integers(settings.way, most_way + 1, settings.episodes)
    shots = generator.integers(settings.shot, most_shot + 1, settings.episodes)
    sizes, counts = np.unique(np.stack([ways, shots], axis=1), axis=0, return_counts=True)
    for (way, shot), count in zip(sizes.tolist(), counts.tolist(), strict=True):
        size = replace(settings, way=way, shot=shot, episodes=count)
        yield from ((size, clips) for clips in episodes(labels, size, generator))


def episodes(
    labels: np.ndarray, settings: Settings, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield blocks of episodes of fixed size, as clip indices ``[E, way, shot + queries]``.

    In an episode, classes and clips are drawn without replacement.

    Args:
        labels: ``[n]``, class of each clip.
        settings: size and number of episodes.
        generator: random generator.

    Raises:
        ConfigError: if fewer than ``way`` classes have ``shot + queries`` clips.
    """
    each = settings.shot + settings.queries
    order, starts, sizes, usable = _check_size(labels, settings)
    for start in range(0, settings.episodes, BLOCK):
        block = min(BLOCK, settings.episodes - start)
        chosen = usable[
            without_replacement(np.full((block,), len(usable)), settings.way, generator)
        ]
        clips = without_replacement(sizes[chosen], each, generator)
        yield order[starts[chosen][..., None] + clips]


def _check_size(
    labels: np.ndarray, settings: Settings
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Check that enough classes have enough clips for an episode.

    Returns:
        Clip indices sorted by class, position of the first clip of each class, size of each class,
        and the classes with enough clips.

    Raises:
        ConfigError: if too few classes have enough clips.
    """
    each = settings.shot + settings.queries
    order = np.argsort(labels, kind="stable")
    names, starts, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    usable = np.flatnonzero(sizes >= each)
    if len(usable) < settings.way:
        raise ConfigError(
            f"Only {len(usable)} of {len(names)} classes have the {each} test clips that a "
            f"{settings.shot}-shot episode needs; "
            f"{settings.way} are needed.\nLower --way, --shot or --queries."
        )
    return order, starts, sizes, usable


def without_replacement(
    sizes: np.ndarray, count: int, generator: np.random.Generator
) -> np.ndarray:
    """Draw ``count`` different integers from 0 to s - 1, for each s in an array of sizes.

    The method is the first ``count`` steps of a Fisher-Yates shuffle. The shuffled list is not
    stored, because an element differs from its position only if an earlier step has moved it.

    Args:
        sizes: ``[...]``, upper bounds s.
        count: number of integers per bound.
        generator: random generator.

    Returns:
        ``[..., count]``, in random order.
    """
    drawn = np.empty((*sizes.shape, count), dtype=np.int64)
    moved_to, moved = np.empty_like(drawn), np.empty_like(drawn)

    def at(position: np.ndarray, steps: int) -> np.ndarray:
        value = position.copy()
        for s in range(steps):
            value = np.where(moved_to[..., s] == position, moved[..., s], value)
        return value

    for step in range(count):
        position = step + (generator.random(sizes.shape) * (sizes - step)).astype(np.int64)
        drawn[..., step] = at(position, step)
        moved[..., step] = at(np.full_like(position, step), step)
        moved_to[..., step] = position
    return drawn


def with_hardness(
    clips: np.ndarray,
    embeddings: np.ndarray,
    labels: np.ndarray,
    settings: Settings,
    generator: np.random.Generator,
) -> np.ndarray:
    """Replace the support clips of random episodes so that the episodes are easy or hard.

    The support clips are replaced one after the other. Candidates are the clip itself and up to 19
    unused clips of its class. The candidate with the highest (easy) or lowest (hard) query accuracy
    of the nearest-centroid classifier is chosen; equal accuracies are ordered by the mean margin.
    The result depends on the embeddings, so encoders get different episodes.

    Args:
        clips: ``[E, way, shot + queries]``, clip indices of random episodes.
        embeddings: ``[n, D]``, one per clip.
        labels: class of each clip, ``[n]``.
        settings: ``hardness`` ("easy" or "hard"), ``way``, ``shot``.
        generator: random generator for the candidates.
    """
    shot, sign = settings.shot, 1 if settings.hardness == "easy" else -1
    of_class = {label: np.flatnonzero(labels == label) for label in np.unique(labels)}
    result = clips.copy()
    for episode in result:
        queries = embeddings[episode[:, shot:].reshape(-1)]
        truth = np.repeat(np.arange(len(episode)), episode.shape[1] - shot)
        for c, k in np.ndindex(len(episode), shot):
            free = np.setdiff1d(of_class[labels[episode[c, k]]], episode[c])
            tried = [episode[c, k], *generator.permutation(free)[: CANDIDATES - 1]]
            supports = np.repeat(episode[None, :, :shot], len(tried), axis=0)
            supports[:, c, k] = tried
            x = embeddings[supports.reshape(len(tried), -1)]
            inner, outer = x @ x.transpose(0, 2, 1), queries @ x.transpose(0, 2, 1)
            value = _ease(nearest_centroid(inner, outer, len(episode)), truth)
            episode[c, k] = tried[int(np.argmax(sign * value))]
    return result


def _ease(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the query accuracy ``[E]`` of scores ``[E, Q, way]``, plus a tiny multiple of the mean
    margin, which orders equal accuracies.
    """
    rows = np.arange(len(truth))
    right = scores[:, rows, truth]
    others = scores.copy()
    others[:, rows, truth] = -np.inf
    margin = right - others.max(axis=2)
    accuracy, mean = (margin > 0).mean(axis=1), margin.mean(axis=1)
    return accuracy + 1e-6 * mean / max(np.abs(mean).max(), 1e-12)
