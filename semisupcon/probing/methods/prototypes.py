"""Nearest class mean: each class is the mean embedding of some training clips; a test clip gets the
nearest class.

As in SemiSupCon's zero-shot evaluation: cosine similarity in projection or embedding space, with 1
% to 100 % of the training clips. Differences: larger shares contain smaller ones (in SemiSupCon
they are independent), and an empty class is never predicted (in SemiSupCon it gives NaN).
"""

import numpy as np

from semisupcon.errors import ConfigError
from semisupcon.probing.embeddings.cache import Chunks
from semisupcon.probing.embeddings.embedder import Features
from semisupcon.probing.methods.base import Case, Method, Outcome, Settings
from semisupcon.probing.methods.knn import similarity
from semisupcon.random import permutation


class Prototypes(Method):
    """Nearest class mean for several shares of the training clips."""

    name = "prototypes"
    depends = ("aggregation", "distance", "shares")
    kinds = ("multiclass", "multilabel", "binary")

    def run(self, case: Case) -> list[Outcome]:
        return prototypes(case.features, case.settings, case.seed)


def prototypes(features: Features, settings: Settings, seed: int = 0) -> list[Outcome]:
    """Predict the test clips for every share of the training clips.

    Args:
        features: embeddings of all splits.
        settings: ``distance``, ``shares``; ``aggregation`` "embedding" compares mean embeddings,
            all others average the similarities of segments.
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
            # A binary task has the prototypes "no" and "yes"; a score above 0.5 means nearer to
            # "yes".
            scores = (1 + scores[:, 1:] - scores[:, :1]) / 2
        detail = f"{len(rows)} clips" + (f", {empty.sum()} classes empty" if empty.any() else "")
        outcomes.append(Outcome(scores, detail=detail, share=share))
    return outcomes


def class_means(embeddings: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Prototypes ``[C, D]`` (mean embedding of each class) and a mask ``[C]`` of classes without
    clips (their rows are zero).
    """
    counts = targets.sum(axis=0)
    return (targets.T @ embeddings) / np.maximum(counts, 1)[:, None], counts == 0


def score(chunks: Chunks, centres: np.ndarray, empty: np.ndarray, settings: Settings) -> np.ndarray:
    """Similarity ``[n, C]`` of clips to prototypes.

    An empty class is below all others, with the same value for every clip.
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
