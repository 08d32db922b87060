"""Classifiers for few-shot episodes. Many episodes are fitted at once.

The classifiers are the nearest class centroid (Snell et al. 2017) and the logistic regression of
MT-SLVR: scikit-learn's ``SGDClassifier`` with log loss, one-against-rest, no penalty, adaptive
learning rate 0.1 and at most 20 passes. Both need only the inner products of clips, because the
weights of the logistic regression are linear combinations of the support clips.
"""

import numpy as np

RATE, PASSES, TOLERANCE, PATIENCE = 0.1, 20, 1e-4, 2


def nearest_centroid(inner: np.ndarray, outer: np.ndarray, way: int) -> np.ndarray:
    """Return the scores ``[E, Q, way]`` of a nearest-centroid classifier.

    A score is the negative squared distance of a query to the centroid of a class. The squared norm
    of the query is left out, because it is the same for all classes.

    Args:
        inner: ``[E, S, S]``, inner products of support clips, which are sorted by class. All
            classes have the same number of support clips.
        outer: ``[E, Q, S]``, inner products of queries with support clips.
        way: number of classes.
    """
    e, q, s = outer.shape
    to_centroid = outer.reshape(e, q, way, s // way).mean(axis=3)
    blocks = inner.reshape(e, way, s // way, way, s // way).mean(axis=(2, 4))
    return 2 * to_centroid - np.diagonal(blocks, axis1=1, axis2=2)[:, None]


def logistic_regression(
    inner: np.ndarray, way: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Fit E x way one-against-rest logistic regressions in parallel by stochastic gradient descent.

    Args:
        inner: ``[E, S, S]``, inner products of support clips, which are sorted by class. All
            classes have the same number of support clips.
        way: number of classes.
        generator: random generator for the order of the clips in each pass.

    Returns:
        Coefficients ``[E, way, S]`` of the support clips in the weights, and biases ``[E, way]``.
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
