"""Suggest the clips most worth labelling next: uncertain, unlike the labelled ones and each other.

A clip is rated by its uncertainty times the cosine distance to the nearest labelled or suggested
clip (uncertainty of multiclass labels: Scheffer et al. 2001; distance: Sener and Savarese 2018).
The clip with the highest rate is suggested, then all are rated again. Nothing is drawn.
"""

import heapq
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from semisupcon.labelling.tagger import Tagger

CANDIDATES = 2000  # clips with the highest first rates that are rated again
_BLOCK = 1024


class Suggestion(NamedTuple):
    """A clip worth labelling.

    Attributes:
        file: its name.
        label: the label with the highest probability, or the values.
        probability: of this label; NaN for values.
        uncertainty: 0 to 1.
        distance: cosine distance to the nearest labelled or earlier suggested clip, 0 to 2.
    """

    file: str
    label: str
    probability: float
    uncertainty: float
    distance: float


def uncertainty(kind: str, scores: np.ndarray) -> np.ndarray:
    """Uncertainty ``[n]`` of probabilities ``[n, C]``, 0 to 1.

    Multiclass: 1 minus the margin of the two best. Tags: the mean over tags of 1 - ``|2p - 1|``.
    Values have no probability: 1.
    """
    if kind == "regression":
        return np.ones(len(scores))
    if kind == "multiclass":
        best = np.sort(scores, axis=1)[:, -2:].astype(np.float64)
        return 1 - (best[:, -1] - best[:, 0] if best.shape[1] > 1 else best[:, -1])
    return (1 - np.abs(2 * scores.astype(np.float64) - 1)).mean(axis=1)


def suggest(
    count: int,
    labelled: np.ndarray,
    others: Iterable[tuple[str, np.ndarray, np.ndarray]],
    tagger: Tagger,
) -> list[Suggestion]:
    """The ``count`` clips most worth labelling, the best first.

    Args:
        count: how many.
        labelled: embeddings of the labelled clips ``[n, D]``.
        others: name, embedding ``[D]`` and scores ``[C]`` of every other clip.
        tagger: standardises embeddings and names the classes.
    """
    known = _unit(labelled, tagger)
    candidates: list[tuple[float, int, str, np.ndarray, np.ndarray, float]] = []
    for number, (file, embedding, scores) in enumerate(others):
        row = _unit(embedding[None], tagger)[0]
        doubt = float(uncertainty(tagger.kind, scores[None])[0])
        rate = doubt * float(1 - (known @ row).max())
        # Equal rates keep the earlier clip; the number is unique, so arrays are never compared.
        item = (rate, -number, file, row, scores, doubt)
        if len(candidates) < max(CANDIDATES, count):
            heapq.heappush(candidates, item)
        else:
            heapq.heappushpop(candidates, item)
    candidates.sort(key=lambda item: -item[1])
    rows = np.array([item[3] for item in candidates]).reshape(len(candidates), -1)
    doubts = np.array([item[5] for item in candidates])
    nearest = np.zeros(len(candidates))
    for start in range(0, len(candidates), _BLOCK):
        part = slice(start, start + _BLOCK)
        nearest[part] = 1 - (rows[part] @ known.T).max(axis=1)
    found: list[Suggestion] = []
    left = np.ones(len(candidates), dtype=bool)
    for _ in range(min(count, len(candidates))):
        rates = np.where(left, doubts * nearest, -np.inf)
        best = int(rates.argmax())
        left[best] = False
        _, _, file, row, scores, doubt = candidates[best]
        label, probability = _told(tagger, scores)
        found.append(Suggestion(file, label, probability, doubt, float(nearest[best])))
        nearest = np.minimum(nearest, 1 - rows @ row)
    return found


def _told(tagger: Tagger, scores: np.ndarray) -> tuple[str, float]:
    if tagger.kind == "regression":
        values = zip(tagger.classes, scores.tolist(), strict=True)
        return ", ".join(f"{name} {value:.4g}" for name, value in values), float("nan")
    best = int(scores.argmax())
    return tagger.classes[best], float(scores[best])


def _unit(embeddings: np.ndarray, tagger: Tagger) -> np.ndarray:
    mean, scale = (x.numpy().astype(np.float64) for x in (tagger.head.mean, tagger.head.scale))
    rows = (embeddings.astype(np.float64) - mean) / scale
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
