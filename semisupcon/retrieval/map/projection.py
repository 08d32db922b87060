"""Points of a map, and clusters.

UMAP (McInnes et al. 2018), t-SNE (van der Maaten, Hinton 2008) or PCA, after a reduction to 50
dimensions by PCA. On vectors of unit length, Euclidean distances order pairs as cosine similarity
does.
"""

import warnings
from importlib.util import find_spec

import numpy as np

from semisupcon.errors import UserError

METHODS = ("umap", "tsne", "pca")
TITLES = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}
DIMENSIONS = 50
TSNE_MOST = 5000  # clips that t-SNE maps in about a minute
UMAP_LEAST, TSNE_LEAST = 16, 5


def default_method(count: int) -> tuple[str, str]:
    """The best method that is installed and feasible, and a sentence on a better one, or ""."""
    if find_spec("umap") is not None and count >= UMAP_LEAST:
        return "umap", ""
    if TSNE_LEAST <= count <= TSNE_MOST:
        return "tsne", ""
    if count < TSNE_LEAST:
        return "pca", ""
    return "pca", (
        f"The map is by PCA: t-SNE of {count} clips takes long (--method tsne), and umap-learn is "
        "not installed."
    )


def project(vectors: np.ndarray, method: str, seed: int = 0) -> np.ndarray:
    """Map vectors of unit length to points.

    Args:
        vectors: ``[n, D]``.
        method: "umap", "tsne" or "pca".
        seed: of UMAP and t-SNE.

    Returns:
        ``[n, 2]`` float64, reproducible on one machine.

    Raises:
        UserError: for too few vectors, or UMAP without its package.
    """
    reduced = principal(vectors, DIMENSIONS)
    least = {"umap": UMAP_LEAST, "tsne": TSNE_LEAST, "pca": 1}[method]
    if len(vectors) < least:
        raise UserError(
            f"--method {method} needs at least {least} clips, got {len(vectors)}. Give --method pca."
        )
    if method == "pca" or not reduced.any():
        return np.pad(reduced, ((0, 0), (0, 2)))[:, :2]
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(vectors) - 1) / 3)
        tsne = TSNE(perplexity=perplexity, init=_start(reduced), random_state=seed)
        return tsne.fit_transform(reduced.astype(np.float32)).astype(float)
    try:
        from umap import UMAP
    except ModuleNotFoundError as error:
        raise UserError(
            "UMAP needs a package: pip install umap-learn (or semisupcon[umap]), or give --method "
            "tsne or pca."
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one thread: with a seed, more have no effect
        found = UMAP(
            n_neighbors=min(15, len(vectors) - 1),
            init=_start(reduced) * 1e5,
            random_state=seed,
            n_jobs=1,
        ).fit_transform(reduced.astype(np.float32))
    return np.asarray(found, float)


def principal(vectors: np.ndarray, dimensions: int) -> np.ndarray:
    """The first principal components ``[n, min(D, dimensions)]`` of vectors ``[n, D]``.

    The largest coefficient of each direction is positive.
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((vectors.shape[1],) * 2)
    for start in range(0, len(vectors), 1 << 14):
        centred = vectors[start : start + (1 << 14)] - mean
        covariance += centred.T @ centred
    _, directions = np.linalg.eigh(covariance)
    directions = directions[:, ::-1][:, :dimensions]
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(directions.shape[1])])
    return np.concatenate(
        [(vectors[i : i + (1 << 14)] - mean) @ directions for i in range(0, len(vectors), 1 << 14)]
    )


def clusters(vectors: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Numbers of k-means clusters ``[n]``, from 0 by falling size; see scikit-learn's
    MiniBatchKMeans.

    Raises:
        UserError: for more clusters than vectors.
    """
    from sklearn.cluster import MiniBatchKMeans

    if count > len(vectors):
        raise UserError(f"--clusters {count} is more than the number of clips, {len(vectors)}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct vectors than clusters
        found = MiniBatchKMeans(count, random_state=seed, n_init=5).fit_predict(
            principal(vectors, DIMENSIONS).astype(np.float32)
        )
    order = np.argsort(-np.bincount(found, minlength=count), kind="stable")
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    return rank[found]


def _start(reduced: np.ndarray) -> np.ndarray:
    """First two components at a small scale, from which t-SNE and UMAP start."""
    start = np.pad(reduced, ((0, 0), (0, 2)))[:, :2]
    return (start / max(float(start[:, 0].std()), 1e-12) * 1e-4).astype(np.float32)
