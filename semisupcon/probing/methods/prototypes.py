"""Probe with prototypes: a test clip gets the class with the nearest mean embedding.

The protocol is that of the zero-shot evaluation in SemiSupCon: cosine similarity of projections or
embeddings, and 1 % to 100 % of the training clips. There are two differences. Larger subsets of the
training clips contain the smaller ones; in SemiSupCon they are drawn independently. A class without
clips is never predicted; in SemiSupCon its scores are NaN.
"""

import numpy as np

from semisupcon.errors import ConfigError
from semisupcon.probing.embeddings.cache import Chunks
from semisupcon.probing.embeddings.embedder import Features
from semisupcon.probing.methods.base import Case, Method, Outcome, Settings
from semisupcon.probing.methods.knn import similarity
from semisupcon.random import permutation


class Prototypes(Method):
    """Method that predicts the nearest class mean, for several shares of the training clips."""

    name = "prototypes"
    depends = ("aggregation", "distance", "shares")
    kinds = ("multiclass", "multilabel", "binary")

    def run(self, case: Case) -> list[Outcome]:
        return prototypes(case.features, case.settings, case.seed)


def prototypes(features: Features, settings: Settings, seed: int = 0) -> list[Outcome]:
    """Predict the test clips, with one outcome per share of the training clips.

    Args:
        features: embeddings of all splits.
        settings: settings; ``distance``, ``shares`` and ``aggregation`` are used. The aggregation
            "embedding" compares mean embeddings of clips. The others average the similarities of
            segments.
        seed: seed of the order of the training clips.

    Raises:
        ConfigError: for a regression task, which has no classes.
    """
    if features.task.kind == "regression":
        raise ConfigError(f"Task '{features.task.name}' is a regression: prototypes need classes.")
    order = permutation(len(features.train), "prototypes", seed).numpy()
    embeddings, targets = features.train.chunks.mean(), features.train.targets
    outcomes = []
    for share in settings.shares:
        rows = order[: max(1, int(np.ceil(share * len(order))))]
        centres, empty = class_means(embeddings[rows], _sides(targets[rows]))
        scores = score(features.test.chunks, centres, empty, settings)
        if targets.shape[1] == 1:
            # A binary task has two prototypes, negative and positive. A score above 0.5 means that
            # the positive prototype is nearer.
            scores = (1 + scores[:, 1:] - scores[:, :1]) / 2
        detail = f"{len(rows)} clips" + (f", {empty.sum()} classes empty" if empty.any() else "")
        outcomes.append(Outcome(scores, detail=detail, share=share))
    return outcomes


def class_means(embeddings: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean embedding of each class, ``[C, D]``, and a mask ``[C]`` of empty classes.

    The mean of a class without clips is zero.

    Args:
        embeddings: ``[n, D]``.
        targets: ``[n, C]``, 0 or 1.
    """
    counts = targets.sum(axis=0)
    return (targets.T @ embeddings) / np.maximum(counts, 1)[:, None], counts == 0


def score(chunks: Chunks, centres: np.ndarray, empty: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the similarity ``[n, C]`` of clips to the means of classes.

    Classes without clips get a value below the similarities of all other classes, which is the same
    for all clips.

    Args:
        chunks: embeddings of the segments of n clips.
        centres: ``[C, D]``, mean embeddings of the classes.
        empty: ``[C]``, whether each class has no clips.
        settings: settings; ``distance`` and ``aggregation`` are used.
    """
    if settings.aggregation == "embedding":
        scores = similarity(chunks.mean(), centres, settings.distance)
    else:
        scores = Chunks(
            similarity(chunks.values, centres, settings.distance).astype(np.float32), chunks.offsets
        ).mean()
    scores[:, empty] = (scores[:, ~empty].min() if (~empty).any() else 0) - 1
    return scores


def _sides(targets: np.ndarray) -> np.ndarray:
    return np.concatenate([1 - targets, targets], axis=1) if targets.shape[1] == 1 else targets
