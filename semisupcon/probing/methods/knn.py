"""Probe with k nearest neighbours. k is chosen by cross-validation on the training clips.

The protocol is that of the speaker identification in MFCL: 5 folds, k of 3, 5, 10, 20 or 50, and
cosine distance. There are two differences. MFCL chooses k with cosine distance and tests with Euclidean
distance, while this probe uses the same distance for both. With more than 5,000 training clips, a
seeded sample of 5,000 is predicted to choose k, each from all clips of the other folds. kNN needs
no early stopping, so the validation clips are added to the training clips.
"""

import logging
from collections.abc import Sequence

import numpy as np
import torch

from semisupcon.datasets.parsing.splits import stratified_folds
from semisupcon.errors import UserError
from semisupcon.probing.embeddings.embedder import Features
from semisupcon.probing.methods.base import Case, Method, Outcome, Settings
from semisupcon.probing.scores.metrics import evaluate, lower_is_better
from semisupcon.random import permutation

FOLDS = 5
CHOOSING = 5000  # clips that are predicted to choose k, so that the time is linear in all clips
log = logging.getLogger(__name__)
_QUERIES, _GALLERY = 512, 16_384  # rows that are compared at once


class KNN(Method):
    """Method that predicts from the k nearest neighbours. The seed only affects the folds."""

    name = "knn"
    depends = ("distance", "neighbours")
    one_seed = True
    rerun = True
    probabilities = True

    def run(self, case: Case) -> list[Outcome]:
        return [knn(case.features, case.settings, case.seed)]


def knn(features: Features, settings: Settings, seed: int = 0) -> Outcome:
    """Predict the test clips from the nearest training clips (mean embeddings).

    Args:
        features: embeddings of all splits.
        settings: settings; ``distance`` and ``neighbours`` are used.
        seed: seed of the folds.
    """
    task = features.task
    gallery = np.concatenate([features.train.chunks.mean(), features.val.chunks.mean()])
    targets = np.concatenate([features.train.targets, features.val.targets])
    names = [*features.train.paths, *features.val.paths]
    classes = (
        [tuple(row) for row in targets.tolist()] if task.kind != "regression" else [()] * len(names)
    )
    fold = stratified_folds(names, classes, FOLDS, seed)
    candidates = [k for k in settings.neighbours if k <= (fold != 1).sum()] or [1]
    chosen = np.sort(permutation(len(names), "choice of k", seed).numpy()[:CHOOSING])
    scores = np.zeros((len(candidates), len(chosen), targets.shape[1]))
    for f in range(1, FOLDS + 1):
        inside = fold[chosen] == f
        others = np.flatnonzero(fold != f)
        if inside.any() and len(others):
            queries = gallery[chosen[inside]]
            scores[:, inside] = predict(
                queries, gallery, targets, candidates, settings.distance, others
            )
    detail = ""
    try:
        measured = [evaluate(task.label_kind, targets[chosen], s, task.classes) for s in scores]
        by_k = [float(metrics[task.metric][0]) for metrics in measured]
        k = candidates[int(np.argmin(by_k) if lower_is_better(task.metric) else np.argmax(by_k))]
    except UserError:
        # If all training clips have the same class or value, all k give the same result.
        k, detail = candidates[0], ", all training clips have the same label"
        log.warning(
            "Task '%s': all training clips have the same class or value, so kNN always predicts "
            "it.",
            task.name,
        )
    return Outcome(
        predict(features.test.chunks.mean(), gallery, targets, [k], settings.distance)[0],
        detail=f"k={k}{detail}",
    )


def predict(
    queries: np.ndarray,
    gallery: np.ndarray,
    targets: np.ndarray,
    neighbours: Sequence[int],
    distance: str = "cosine",
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """Return the mean target of the k nearest rows of a gallery, for several k.

    Args:
        queries: ``[m, D]``.
        gallery: ``[n, D]``.
        targets: ``[n, C]``, targets of the gallery rows.
        neighbours: K values of k.
        distance: "cosine" or "euclidean".
        rows: indices of the rows that are used; None for all rows.

    Returns:
        ``[K, m, C]``: shares of votes for classes, means of values for regressions. If two classes
        have equally many votes, the class of the nearest neighbour has the higher score.
    """
    used = np.arange(len(gallery)) if rows is None else rows
    result = np.empty((len(neighbours), len(queries), targets.shape[1]))
    most = min(max(neighbours), len(used))
    votes = _votes(targets[used])
    for start in range(0, len(queries), _QUERIES):
        block = slice(start, start + _QUERIES)
        first = nearest(queries[block], gallery, most, distance, used)
        sums = targets[first].astype(np.float64).cumsum(axis=1)
        for i, k in enumerate(min(k, most) for k in neighbours):
            # 1e-5 more votes for the class of the nearest neighbour decide between equal votes.
            result[i, block] = sums[:, k - 1] / k + (
                1e-5 * (targets[first[:, 0]] > 0) if k > 1 and votes else 0
            )
    return result


def nearest(
    queries: np.ndarray, gallery: np.ndarray, most: int, distance: str, rows: np.ndarray
) -> np.ndarray:
    """Return the indices ``[m, most]`` of the most similar rows of a gallery, the nearest first.

    The gallery is read in blocks, so that little memory is needed besides it. Equally similar rows
    are sorted by index; which of them are left out at the end is arbitrary.

    Args:
        queries: ``[m, D]``.
        gallery: ``[n, D]``.
        most: number of rows for each query.
        distance: "cosine" or "euclidean".
        rows: indices of the rows that are compared, at least ``most``.
    """
    best, found = np.zeros((len(queries), 0)), np.zeros((len(queries), 0), np.int64)
    for start in range(0, len(rows), _GALLERY):
        block = rows[start : start + _GALLERY]
        near = torch.from_numpy(similarity(queries, gallery[block], distance))
        values, places = near.topk(min(most, len(block)), sorted=False)
        best = np.concatenate([best, values.numpy()], axis=1)
        found = np.concatenate([found, block[places.numpy()]], axis=1)
        order = np.lexsort((found, -best), axis=1)[:, :most]
        best = np.take_along_axis(best, order, axis=1)
        found = np.take_along_axis(found, order, axis=1)
    return found


def similarity(a: np.ndarray, b: np.ndarray, distance: str) -> np.ndarray:
    """Return the similarity ``[m, n]`` of rows: cosine, or negative squared Euclidean distance."""
    if distance == "cosine":
        return unit(a) @ unit(b).T
    return 2 * a @ b.T - (a * a).sum(axis=1)[:, None] - (b * b).sum(axis=1)


def unit(x: np.ndarray) -> np.ndarray:
    """Normalise rows to length 1; zero rows stay zero."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _votes(targets: np.ndarray) -> bool:
    return bool(((targets == 0) | (targets == 1)).all())
