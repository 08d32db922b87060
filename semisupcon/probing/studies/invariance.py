"""Measure how much an augmentation changes the embedding of each head of an encoder.

The evaluation follows MT-SLVR (Heggan et al. 2023): the embeddings of contrastive heads should
change little, and those of predictive heads should change more. MT-SLVR reports Mahalanobis
distances without code. In this implementation, the covariance is that of the embeddings of the
original clips, with the shrinkage of Ledoit and Wolf (2004), so that it is invertible with fewer
clips than dimensions D. Two unrelated clips have a distance of about sqrt(2 D).

In addition, the weight of each head in a linear probe is computed. The probe uses standardised
embeddings, so that the scale of a dimension has no effect.

Filters leave less energy in some bands than any recording has. A log-mel front end with a low floor
turns this into large negative values, and the distance would exceed that of two unrelated clips.
Faint noise added to both signals keeps the levels in the range of recordings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from semisupcon.augmentations.chains import build_chain
from semisupcon.augmentations.names import current_name
from semisupcon.encoders.base import Encoder
from semisupcon.probing.methods.head import ProbeHead
from semisupcon.random import clip_key, derive, normal, stable_hash


@dataclass(frozen=True)
class Moved:
    """Mean distances between the embeddings of clips and of their augmented versions.

    Attributes:
        head: name of a task of the encoder, "all" for all tasks, or "embedding" for an encoder
            without tasks.
        operator: name of the augmentation, which is applied to every clip with severity 2 (as in
            SemiSupCon).
        mahalanobis, cosine: mean distances; the cosine distance is 1 minus the cosine similarity.
        unrelated_mahalanobis, unrelated_cosine: mean distances between different clips, as a
            reference.
        clips: number of clips.
    """

    head: str
    operator: str
    mahalanobis: float
    cosine: float
    unrelated_mahalanobis: float
    unrelated_cosine: float
    clips: int


def invariance(
    encoder: Encoder,
    segments: Tensor,
    names: Sequence[str],
    operators: Sequence[str],
    batch_size: int = 32,
    seed: int = 0,
    noise_db: float | None = None,
) -> list[Moved]:
    """Measure the distances for each head and operator.

    Args:
        encoder: frozen encoder.
        segments: ``[n, T]``, one segment per clip.
        names: names of the n clips. The random parameters of an operator depend on the name.
        operators: names of augmentations.
        batch_size: segments per forward pass.
        seed: seed of the random parameters.
        noise_db: level (root mean square) of white noise in dB relative to full scale. The same
            noise is added to a clip and to its augmented version. None for no noise.
    """
    clips = torch.tensor([stable_hash(name) for name in names])
    noise = _noise(clips, segments.shape[1], noise_db)
    original = _embed(encoder, segments + noise, batch_size)
    heads = _slices(encoder)
    whiteners = {name: whitener(original[:, columns]) for name, columns in heads.items()}
    order = np.roll(np.arange(len(names)), 1)
    found = []
    for operator in map(current_name, operators):
        chain = build_chain([operator], 2.0, encoder.sample_rate, p=1.0)
        assert chain is not None  # a chain with an operator is never None
        chain.transforms[0].p = 1.0
        keys = clip_key(derive(clips, "invariance", seed))
        changed = torch.cat(
            [
                chain(x[:, None], k)[0][:, 0]
                for x, k in zip(segments.split(batch_size), keys.split(batch_size), strict=True)
            ]
        )
        augmented = _embed(encoder, changed + noise, batch_size)
        for name, columns in heads.items():
            a, b, white = original[:, columns], augmented[:, columns], whiteners[name]
            distances = (
                _mahalanobis(a, b, white),
                _cosine(a, b),
                _mahalanobis(a, a[order], white),
                _cosine(a, a[order]),
            )
            found.append(Moved(name, operator, *distances, len(names)))
    return found


def whitener(embeddings: np.ndarray) -> np.ndarray:
    """Return a whitening matrix W ``[D, D]`` for embeddings ``[n, D]``.

    W W^T is the inverse of the shrunk covariance. The Mahalanobis distance of x and y is the
    Euclidean distance of x W and y W.
    """
    from sklearn.covariance import LedoitWolf

    values, vectors = np.linalg.eigh(LedoitWolf().fit(embeddings.astype(np.float64)).covariance_)
    return vectors / np.sqrt(np.maximum(values, 1e-12 * values.max()))


def weight_share(head: ProbeHead, encoder: Encoder) -> dict[str, float]:
    """Return the share of each task of an encoder in the weights of a linear probe.

    The share is the mean absolute weight of the dimensions of a task, divided by the sum over
    tasks. Empty for an encoder without tasks.
    """
    if not encoder.tasks or head.net.in_dim != encoder.embedding_dim:
        return {}
    weight = next(head.net.parameters()).detach().abs().mean(dim=0)
    means = {
        task: float(part.mean())
        for task, part in zip(
            encoder.tasks, weight.split(list(encoder.task_dims.values())), strict=True
        )
    }
    return {task: mean / sum(means.values()) for task, mean in means.items()}


def _slices(encoder: Encoder) -> dict[str, slice]:
    if not encoder.tasks:
        return {"embedding": slice(None)}
    ends = np.cumsum(list(encoder.task_dims.values()))
    return {
        t: slice(int(e) - d, int(e))
        for (t, d), e in zip(encoder.task_dims.items(), ends, strict=True)
    } | {"all": slice(None)}


def _noise(clips: Tensor, samples: int, level: float | None) -> Tensor:
    """Draw white noise ``[n, samples]``; a scalar zero if the level is None."""
    return (
        torch.zeros(())
        if level is None
        else 10 ** (level / 20) * normal(derive(clips, "invariance noise"), "samples", samples)
    )


@torch.inference_mode()
def _embed(encoder: Encoder, segments: Tensor, batch_size: int) -> np.ndarray:
    device = next((p.device for p in encoder.parameters()), "cpu")
    return (
        torch.cat([encoder(x[:, None].to(device)).cpu() for x in segments.split(batch_size)])
        .numpy()
        .astype(np.float64)
    )


def _mahalanobis(a: np.ndarray, b: np.ndarray, white: np.ndarray) -> float:
    return float(np.linalg.norm((a - b) @ white, axis=1).mean())


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    norms = np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12)
    return float(1 - ((a * b).sum(axis=1) / norms).mean())
