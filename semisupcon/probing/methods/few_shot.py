"""Probe with few-shot episodes, as in MT-SLVR: some training and test clips of a few classes.

All episodes of a block are drawn, fitted and scored at once. With ``aggregation`` "embedding", a
clip is represented by the mean embedding of its segments. With "vote", as published for clips with
several segments, an episode uses one random segment of each support clip and all segments of each
query, and decides by a majority vote. Intervals are 1.96 standard errors over episodes.
"""

from collections.abc import Iterator

import numpy as np

from semisupcon.errors import ConfigError
from semisupcon.probing.embeddings.cache import Chunks
from semisupcon.probing.embeddings.embedder import Features
from semisupcon.probing.methods.base import Case, Method, Outcome, Settings
from semisupcon.probing.methods.episodes import drawn_episodes, with_hardness
from semisupcon.probing.methods.few_shot_classifiers import logistic_regression, nearest_centroid
from semisupcon.probing.methods.head import without_constant

_VALUES = 1 << 25  # maximum number of values in the query embeddings of a part of a block


class FewShot(Method):
    """Method that scores few-shot episodes. One seed is enough for thousands of episodes."""

    name = "few_shot"
    depends = (
        "way",
        "shot",
        "queries",
        "episodes",
        "standardise",
        "aggregation",
        "way_to",
        "shot_to",
        "hardness",
    )
    kinds = ("multiclass",)
    one_seed = True

    def run(self, case: Case) -> list[Outcome]:
        return few_shot(case.features, case.settings, case.seed)


def few_shot(features: Features, settings: Settings, seed: int = 0) -> list[Outcome]:
    """Return the mean accuracy of both classifiers over episodes drawn from the test clips.

    Args:
        features: embeddings of all splits. Episodes are drawn from the test clips of all classes.
        settings: ``way``, ``way_to``, ``shot``, ``shot_to``, ``queries``, ``episodes``,
            ``hardness``, ``standardise``, and ``aggregation`` over the segments of a query.
        seed: seed of the episodes. Equal seeds give equal episodes for all encoders, except for
            easy and hard episodes.

    Raises:
        ConfigError: if the task is not multiclass, or too few classes have enough clips.
    """
    if features.task.kind != "multiclass":
        raise ConfigError(
            f"Task '{features.task.name}' is {features.task.kind}: few-shot episodes need one "
            "class per clip."
        )
    chunks, labels = features.test.chunks, features.test.targets.argmax(axis=1)
    train = features.train.chunks
    if settings.aggregation == "embedding":
        chunks, train = _means(chunks), _means(train)
    if settings.standardise:
        # The result of gradient descent with a fixed learning rate and number of steps depends on
        # the scale of the embeddings.
        scale = without_constant(train.values.std(axis=0))
        values = (chunks.values - train.values.mean(axis=0)) / scale
        chunks = Chunks(values, chunks.offsets)
    accuracies, by_chance = score_episodes(chunks, labels, settings, seed)
    name = (
        f"few_shot {_span(settings.way, settings.way_to)}-way "
        f"{_span(settings.shot, settings.shot_to)}-shot"
    ) + f" {settings.hardness}" * (settings.hardness != "average")
    return [
        Outcome(
            intervals={"accuracy": over_episodes(a)},
            label=f"{name}, {what}",
            n_test=len(a),
            detail=f"{settings.queries} queries per class",
            chance=by_chance,
        )
        for what, a in accuracies.items()
    ]


def over_episodes(accuracy: np.ndarray) -> tuple[float, float, float]:
    """Return the mean of values, and the bounds of its 95 % interval (1.96 standard errors)."""
    mean, error = (
        accuracy.mean(),
        accuracy.std(ddof=1) / np.sqrt(len(accuracy)) if len(accuracy) > 1 else np.nan,
    )
    return float(mean), float(mean - 1.96 * error), float(mean + 1.96 * error)


def run_episodes(
    embeddings: np.ndarray, labels: np.ndarray, settings: Settings, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return the accuracy of each episode, ``[episodes]``, by classifier.

    Args:
        embeddings: ``[n, D]``, one embedding per clip.
        labels: ``[n]``, class of each clip.
        settings, seed: settings and seed of the episodes, as in `few_shot`.
    """
    return score_episodes(_single(embeddings), labels, settings, seed)[0]


def score_episodes(
    chunks: Chunks, labels: np.ndarray, settings: Settings, seed: int = 0
) -> tuple[dict[str, np.ndarray], float]:
    """Return the accuracy of each episode, ``[episodes]``, by classifier, and the chance level.

    Args:
        chunks: embeddings of the segments of n clips.
        labels: ``[n]``, class of each clip.
        settings, seed: settings and seed of the episodes, as in `few_shot`.
    """
    if settings.aggregation == "embedding":
        chunks = _means(chunks)
    # The order of clips in gradient descent has a separate generator, because the number of its
    # draws depends on the embeddings. All encoders then get the same episodes.
    generator, of_order = np.random.default_rng(seed), np.random.default_rng((seed, 1))
    result: dict[str, list[np.ndarray]] = {"logistic regression": [], "nearest centroid": []}
    by_chance: list[np.ndarray] = []
    means = _means(chunks).values if settings.hardness != "average" else None
    for size, drawn in drawn_episodes(labels, settings, generator):
        clips = drawn
        if means is not None:
            clips = with_hardness(drawn, means, labels, size, generator)
        counts = np.diff(chunks.offsets)
        supports = clips[:, :, : size.shot].reshape(len(clips), -1)
        segment = (generator.random(supports.shape) * counts[supports]).astype(np.int64)
        rows = chunks.offsets[:-1][supports] + segment
        truth = np.repeat(np.arange(size.way), size.queries)
        for part in _parts(clips, chunks, size):
            support = chunks.values[rows[part]]
            queries, valid = _query_rows(clips[part, :, size.shot :], chunks)
            query = chunks.values[queries.reshape(len(queries), -1)]
            inner, outer = support @ support.transpose(0, 2, 1), query @ support.transpose(0, 2, 1)
            weights, bias = logistic_regression(inner, size.way, of_order)
            scores = {
                "logistic regression": outer @ weights.transpose(0, 2, 1) + bias[:, None],
                "nearest centroid": nearest_centroid(inner, outer, size.way),
            }
            for name, values in scores.items():
                answer = _answers(values.reshape(*queries.shape, -1), valid, settings.aggregation)
                result[name].append((answer == truth).mean(axis=1))
        by_chance.append(np.full(len(clips), 1 / size.way))
    return (
        {name: np.concatenate(of) for name, of in result.items()},
        float(np.concatenate(by_chance).mean()),
    )


def _parts(clips: np.ndarray, chunks: Chunks, size: Settings) -> Iterator[slice]:
    """Yield slices of a block of episodes whose query segments fit into memory."""
    longest = int(np.diff(chunks.offsets)[clips[:, :, size.shot :]].max())
    numbers = size.way * size.queries * longest * chunks.values.shape[1]
    step = max(1, _VALUES // max(numbers, 1))
    yield from (slice(i, i + step) for i in range(0, len(clips), step))


def _query_rows(queries: np.ndarray, chunks: Chunks) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of all segments of query clips.

    Args:
        queries: ``[E, way, q]``, indices of the query clips.
        chunks: embeddings of the segments of all clips.

    Returns:
        Rows ``[E, Q, M]`` of the segments, with Q = way * q and M the largest number of segments,
        and a mask of the same shape, which is False for segments that do not exist.
    """
    queries = queries.reshape(len(queries), -1)
    counts = np.diff(chunks.offsets)[queries]
    position = np.arange(counts.max())
    rows = chunks.offsets[:-1][queries][..., None] + np.minimum(position, counts[..., None] - 1)
    return rows, position < counts[..., None]


def _answers(scores: np.ndarray, valid: np.ndarray, aggregation: str) -> np.ndarray:
    """Return the predicted class ``[E, Q]`` of queries from the scores of their segments.

    If two classes have equally many votes, the class with the higher mean score is predicted. The
    published code predicts the class with the lower index.

    Args:
        scores: ``[E, Q, M, way]``, scores of segments.
        valid: ``[E, Q, M]``, whether each segment exists.
        aggregation: quantity that is averaged over the segments of a clip.
    """
    if scores.shape[2] == 1:
        return scores[:, :, 0].argmax(axis=2)
    mask = valid[..., None]
    count = mask.sum(axis=2)
    if aggregation == "vote":
        votes = scores.argmax(axis=3)[..., None] == np.arange(scores.shape[3])
        mean = (scores * mask).sum(axis=2) / count
        low, high = mean.min(axis=2, keepdims=True), mean.max(axis=2, keepdims=True)
        rank = (mean - low) / np.maximum(high - low, 1e-12)
        return ((votes & mask).sum(axis=2) + 0.5 * rank).argmax(axis=2)
    if aggregation == "probability":
        from scipy.special import softmax

        scores = softmax(scores, axis=3)
    return ((scores * mask).sum(axis=2) / count).argmax(axis=2)


def _means(chunks: Chunks) -> Chunks:
    return chunks if len(chunks.values) == len(chunks) else _single(chunks.mean())


def _single(values: np.ndarray) -> Chunks:
    return Chunks(values, np.arange(len(values) + 1))


def _span(low: int, high: int | None) -> str:
    return str(low) if high in (None, low) else f"{low}-to-{high}"
