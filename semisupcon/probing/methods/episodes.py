"""Draw few-shot episodes: classes, support clips and query clips, of fixed or varying size.

Easy and hard episodes follow the greedy search of Agarwal et al. 2021 (arXiv 2110.13953, algorithm
1): the support clips are replaced one by one by the candidate that makes the queries easiest or
hardest to classify.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from semisupcon.errors import ConfigError
from semisupcon.probing.methods.base import Settings
from semisupcon.probing.methods.few_shot_classifiers import nearest_centroid

BLOCK = 2000
CANDIDATES = 20  # clips tried for each place in the support set of an easy or hard episode


def drawn_episodes(
    labels: np.ndarray, settings: Settings, generator: np.random.Generator
) -> Iterator[tuple[Settings, np.ndarray]]:
    """Yield blocks of episodes of one size: settings with ``way`` and ``shot`` of the block, and
    clip indices as `episodes` does.

    With ``way_to`` or ``shot_to``, the size of each episode is drawn uniformly.

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
    """Yield blocks ``[E, way, shot + queries]`` of clip indices: classes, and clips within each
    class, without replacement.

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
    """Clips sorted by class, first clip and size of each class, and the classes with enough."""
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
    """Draw ``count`` different integers below each of ``sizes [...]``, in random order: ``[...,
    count]``.

    These are the first steps of a Fisher-Yates shuffle, without storing the list: an element
    differs from its position only if an earlier step moved it there.
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
    """Replace the support clips of average episodes, so that they are easy or hard.

    For every place in turn, the clip there and up to 19 other clips of its class that the episode
    does not use are tried. The one with the highest (easy) or lowest (hard) query accuracy of the
    nearest centroid stays; equal accuracies are ordered by the mean margin. The clips depend on the
    embeddings, so that encoders get different episodes.

    Args:
        clips: ``[E, way, shot + queries]``, as from `episodes`.
        embeddings: ``[n, D]``, one per clip.
        labels: class of each clip, ``[n]``.
        settings: ``hardness`` ("easy" or "hard"), ``way``, ``shot``.
        generator: draws the candidates.
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
    """Query accuracy ``[E]`` of scores ``[E, Q, way]``, with the mean margin as a small addition."""
    rows = np.arange(len(truth))
    right = scores[:, rows, truth]
    others = scores.copy()
    others[:, rows, truth] = -np.inf
    margin = right - others.max(axis=2)
    accuracy, mean = (margin > 0).mean(axis=1), margin.mean(axis=1)
    return accuracy + 1e-6 * mean / max(np.abs(mean).max(), 1e-12)
