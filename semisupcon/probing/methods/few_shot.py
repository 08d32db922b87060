"""Few-shot episodes: n classes, k training clips and some test clips per class, as in MT-SLVR.

All episodes of a block are drawn, fitted and scored at once. Both classifiers use inner products of
embeddings only, so an episode needs few numbers. The classifiers are the nearest class centroid
(Snell et al. 2017) and MT-SLVR's logistic regression: scikit-learn's ``SGDClassifier`` with log
loss, one-against-rest, no penalty, adaptive rate 0.1 and at most 20 passes. Its weights are sums of
support clips; their coefficients are stored here. Intervals: 1.96 standard errors over episodes.
"""

from collections.abc import Iterator

import numpy as np

from semisupcon.errors import ConfigError
from semisupcon.probing.embeddings.embedder import Features
from semisupcon.probing.methods.base import Case, Method, Outcome, Settings

RATE, PASSES, TOLERANCE, PATIENCE = 0.1, 20, 1e-4, 2
_BLOCK = 2000


class FewShot(Method):
    """Few-shot episodes. One seed is enough, as it draws thousands of episodes."""

    name = "few_shot"
    depends = ("way", "shot", "queries", "episodes", "standardise")
    kinds = ("multiclass",)
    one_seed = True

    def run(self, case: Case) -> list[Outcome]:
        return few_shot(case.features, case.settings, case.seed)


def few_shot(features: Features, settings: Settings, seed: int = 0) -> list[Outcome]:
    """Mean accuracy of both classifiers over episodes of the test clips (mean embeddings).

    Args:
        features: embeddings of all splits; episodes are drawn from the test clips and all their
            classes.
        settings: ``way``, ``shot``, ``queries``, ``episodes``, ``standardise``.
        seed: seed of the episodes; the same seed gives the same episodes for every encoder.

    Raises:
        ConfigError: if the task is not multiclass, or too few classes have enough clips.
    """
    if features.task.kind != "multiclass":
        raise ConfigError(
            f"Task '{features.task.name}' is {features.task.kind}: few-shot episodes need one "
            "class per clip."
        )
    embeddings, labels = features.test.chunks.mean(), features.test.targets.argmax(axis=1)
    if settings.standardise:
        # Gradient descent with a fixed rate and number of steps depends on the scale of the
        # embeddings.
        train = features.train.chunks.mean()
        scale = train.std(axis=0)
        embeddings = (embeddings - train.mean(axis=0)) / np.where(
            scale > 1e-6 * scale.max(), scale, np.inf
        )
    accuracies = run_episodes(embeddings, labels, settings, seed)
    name = f"few_shot {settings.way}-way {settings.shot}-shot"
    return [
        Outcome(
            intervals={"accuracy": over_episodes(a)},
            label=f"{name}, {what}",
            n_test=len(a),
            detail=f"{settings.queries} queries per class",
            chance=1 / settings.way,
        )
        for what, a in accuracies.items()
    ]


def over_episodes(accuracy: np.ndarray) -> tuple[float, float, float]:
    """Mean, and bounds 1.96 standard errors below and above it."""
    mean, error = (
        accuracy.mean(),
        accuracy.std(ddof=1) / np.sqrt(len(accuracy)) if len(accuracy) > 1 else np.nan,
    )
    return float(mean), float(mean - 1.96 * error), float(mean + 1.96 * error)


def run_episodes(
    embeddings: np.ndarray, labels: np.ndarray, settings: Settings, seed: int = 0
) -> dict[str, np.ndarray]:
    """Accuracy of every episode, ``[episodes]``, by classifier.

    Args:
        embeddings: ``[n, D]``.
        labels: class of each row, ``[n]``.
        settings, seed: see `few_shot`.
    """
    way, shot = settings.way, settings.shot
    truth = np.repeat(np.arange(way), settings.queries)
    result: dict[str, list[np.ndarray]] = {"logistic regression": [], "nearest centroid": []}
    generator = np.random.default_rng(seed)
    for clips in episodes(labels, settings, generator):
        support = embeddings[clips[:, :, :shot].reshape(len(clips), -1)]
        query = embeddings[clips[:, :, shot:].reshape(len(clips), -1)]
        inner, outer = support @ support.transpose(0, 2, 1), query @ support.transpose(0, 2, 1)
        weights, bias = logistic_regression(inner, way, generator)
        result["logistic regression"].append(
            (outer @ weights.transpose(0, 2, 1) + bias[:, None]).argmax(axis=2) == truth
        )
        result["nearest centroid"].append(
            nearest_centroid(inner, outer, way).argmax(axis=2) == truth
        )
    return {name: np.concatenate(hits).mean(axis=1) for name, hits in result.items()}


def episodes(
    labels: np.ndarray, settings: Settings, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield blocks ``[E, way, shot + queries]`` of clip indices: classes, and clips within each
    class, without replacement.

    Raises:
        ConfigError: if fewer than ``way`` classes have ``shot + queries`` clips.
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
    for start in range(0, settings.episodes, _BLOCK):
        block = min(_BLOCK, settings.episodes - start)
        chosen = usable[
            without_replacement(np.full((block,), len(usable)), settings.way, generator)
        ]
        clips = without_replacement(sizes[chosen], each, generator)
        yield order[starts[chosen][..., None] + clips]


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


def nearest_centroid(inner: np.ndarray, outer: np.ndarray, way: int) -> np.ndarray:
    """Minus the squared distance ``[E, Q, way]`` to class centroids, without the squared norm of
    the query.

    Args:
        inner: inner products of support clips ``[E, S, S]``, grouped by class, equally many per
            class.
        outer: inner products of queries with support clips ``[E, Q, S]``.
        way: number of classes.
    """
    e, q, s = outer.shape
    to_centroid = outer.reshape(e, q, way, s // way).mean(axis=3)
    blocks = inner.reshape(e, way, s // way, way, s // way).mean(axis=(2, 4))
    return 2 * to_centroid - np.diagonal(blocks, axis1=1, axis2=2)[:, None]


def logistic_regression(
    inner: np.ndarray, way: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Stochastic gradient descent on E x way one-against-rest problems in parallel.

    Args:
        inner: inner products of support clips ``[E, S, S]``, grouped by class, equally many per
            class.
        way: number of classes.
        generator: draws a new order of the clips in each pass.

    Returns:
        Coefficients of the support clips ``[E, way, S]``, and biases ``[E, way]``.
    """
    e, s, _ = inner.shape
    sign = np.where(
        np.repeat(np.arange(way), s // way) == np.arange(way)[:, None], 1.0, -1.0
    ).astype(inner.dtype)
    weights, bias = np.zeros((e, way, s), inner.dtype), np.zeros((e, way), inner.dtype)
    rate, best = np.full((e, way), RATE, inner.dtype), np.full((e, way), np.inf, inner.dtype)
    waited, running = np.zeros((e, way), int), np.ones((e, way), bool)
    episode, problem = np.arange(e)[:, None], np.arange(way)
    for _ in range(PASSES):
        order, total = (
            np.argsort(generator.random((e, way, s), dtype=np.float32), axis=2),
            np.zeros((e, way), inner.dtype),
        )
        for step in range(s):
            clip = order[:, :, step]
            y = sign[problem, clip]
            margin = y * ((weights * inner[episode, clip]).sum(axis=2) + bias)
            total += np.logaddexp(0, -margin)
            update = np.where(running, rate * y * (1 - np.tanh(margin / 2)) / 2, 0)
            weights[episode, problem, clip] += update
            bias += update
        waited = np.where(total > best - TOLERANCE * s, waited + 1, 0)
        best = np.minimum(best, total)
        slow = running & (waited >= PATIENCE)
        running &= ~(slow & (rate <= 1e-6))
        rate, waited = np.where(slow, rate / 5, rate), np.where(slow, 0, waited)
        if not running.any():
            break
    return weights, bias
