"""Classifiers of few-shot episodes, for many episodes at once, from inner products alone.

The nearest class centroid (Snell et al. 2017), and MT-SLVR's logistic regression: scikit-learn's
``SGDClassifier`` with log loss, one-against-rest, no penalty, adaptive rate 0.1 and at most 20
passes. Its weights are sums of support clips; their coefficients are stored here.
"""

import numpy as np

RATE, PASSES, TOLERANCE, PATIENCE = 0.1, 20, 1e-4, 2


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
