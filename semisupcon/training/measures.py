"""Measures of embeddings and predictions during training, and the functions that prepare their
input.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, cast

import pytorch_lightning as L
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from semisupcon.batch import Batch, Scored
from semisupcon.data.packed.on_device import waveforms


@contextmanager
def evaluated(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode without gradients, then restore the mode of every submodule.

    ``torch.inference_mode`` is not used: a module could keep tensors made in it, which cannot be
    used in training.
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def first_views(batch: Batch, views: int) -> Batch:
    """Return a batch with the first ``views`` views of each clip only.

    Validation batches always have two views, also for objectives that use one.
    """
    of_views = ("audio", "length", "key", "applied", "parameters")
    tensors = cast("dict[str, Tensor]", batch)
    return cast("Batch", {k: v[:, :views] if k in of_views else v for k, v in tensors.items()})


def effective_rank(embeddings: Tensor, most: int = 4096) -> Tensor:
    """Return the effective rank of centred embeddings ``[N, D]`` (Roy and Vetterli 2007, def. 1).

    This is the exponential of the entropy of the normalised singular values: 1 to min(N - 1, D),
    and 1 if all rows are equal. RankMe (Garrido et al. 2023) uses the same measure to select runs,
    but does not subtract the mean, which is large for embeddings after a ReLU. Only the first
    ``most`` rows are used. The result is NaN if they are not finite.
    """
    x = embeddings[:most].float()
    if not x.isfinite().all():  # svdvals would raise an error
        return x.new_tensor(math.nan)
    values = torch.linalg.svdvals(x - x.mean(dim=0))
    shares = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
    return torch.special.entr(shares).sum().exp()


def alignment(first: Tensor, second: Tensor) -> Tensor:
    """Return the alignment of two views ``[N, D]`` of each clip (Wang and Isola 2020, alpha = 2).

    This is the mean squared distance of the two embeddings on the unit sphere: 0 to 4, lower is
    better.
    """
    return (normalize(first, dim=-1) - normalize(second, dim=-1)).square().sum(dim=-1).mean()


def uniformity(embeddings: Tensor, most: int = 2048) -> Tensor:
    """Return the uniformity of embeddings ``[N, D]`` (Wang and Isola 2020, t = 2).

    This is the logarithm of the mean Gaussian potential ``exp(-2 d^2)``, where d is the distance of
    two embeddings on the unit sphere: -8 to 0, lower is more uniform. Only the first ``most`` rows
    are used. The result is NaN for fewer than two rows.
    """
    x = normalize(embeddings[:most].float(), dim=-1)
    if len(x) < 2:
        return x.new_tensor(math.nan)
    return (-2 * torch.pdist(x).square()).logsumexp(dim=0) - math.log(len(x) * (len(x) - 1) / 2)


def retrieval_accuracy(queries: Tensor, gallery: Tensor, rows: int = 1024) -> Tensor:
    """Return the share of queries whose nearest gallery row has the same index.

    Args:
        queries: ``[N, D]``.
        gallery: ``[N, D]``, compared with the queries by cosine similarity.
        rows: number of queries that are compared at the same time, to limit memory.

    Returns:
        Share in [0, 1]. The chance level is 1/N.
    """
    gallery, hits = normalize(gallery, dim=-1), []
    for start in range(0, len(queries), rows):
        block = normalize(queries[start : start + rows], dim=-1) @ gallery.T
        hits.append(
            block.argmax(dim=1) == torch.arange(start, start + len(block), device=block.device)
        )
    return torch.cat(hits).float().mean()


def training_waveforms(data: L.LightningDataModule, batches: int = 64) -> Iterator[Tensor]:
    """Yield the audio samples of the first training batches, from which statistics are computed.

    The samples of a batch are one tensor ``[n]``, without augmentation and padding.
    """
    for batch in islice(data.train_dataloader(), batches):
        # Data modules of users may lack the attributes ``clips`` and ``resident``.
        audio = waveforms(batch, getattr(data, "clips", None), getattr(data, "resident", None))[
            "audio"
        ]
        yield audio[
            torch.arange(audio.shape[-1], device=audio.device) < batch["length"][..., None, None]
        ]


def of_all_ranks(module: L.LightningModule, parts: Iterable[Tensor]) -> Tensor:
    """Concatenate tensors ``[n_i, ...]`` and gather the result from all W ranks.

    Returns ``[W, N, ...]`` with N the sum of n_i, or ``[N, ...]`` on one device.
    """
    gathered = module.all_gather(torch.cat(list(parts)))
    assert isinstance(gathered, Tensor)  # all_gather returns the type of its input
    return gathered


def take_scored(losses: dict[str, Any]) -> list[Scored]:
    """Remove the `Scored` values from the losses of a criterion and return them."""
    return [losses.pop(name) for name, value in list(losses.items()) if isinstance(value, Scored)]


def metrics_of_all(
    module: L.LightningModule,
    parts: Sequence[Scored],
    clips: int,
    once: list[int],
) -> dict[str, Tensor]:
    """Compute `metrics` over the batches of all ranks.

    Args:
        module: module that gathers the values.
        parts: scores and targets of each batch of this rank.
        clips: number of clips of all ranks, counting repeated clips.
        once: indices of these clips that include each clip once.
    """
    scores = of_all_ranks(module, (part.scores for part in parts))
    targets = of_all_ranks(module, (part.targets for part in parts))
    scores, targets = (x.reshape(clips, *x.shape[-2:])[once] for x in (scores, targets))
    return metrics(Scored(scores, targets, *parts[0][2:]))


def metrics(scored: Scored) -> dict[str, Tensor]:
    """Compute the metrics of a label kind over all views with known targets.

    Returns:
        ``accuracy`` (multiclass, binary), ``roc_auc`` and ``map`` (binary, multilabel; means over
        the classes with positives and negatives) or ``r2`` (regression; mean over the targets).
        Empty if no target is known or a score is not finite.
    """
    from torchmetrics.functional import r2_score
    from torchmetrics.functional.classification import (
        binary_auroc,
        binary_average_precision,
        multiclass_accuracy,
    )

    scores, targets = scored.scores.flatten(0, 1).float(), scored.targets.flatten(0, 1)
    known = ~targets.isnan().any(dim=1)
    scores, targets = scores[known], targets[known]
    if len(targets) == 0 or not scores.isfinite().all():
        return {}
    columns, found = scores.shape[1], {}
    if scored.kind == "regression":
        found = {"r2": r2_score(scores, targets)} if len(targets) > 1 else {}
    elif scored.kind == "multiclass":
        found = {
            "accuracy": multiclass_accuracy(scores, targets.argmax(dim=1), columns, average="micro")
        }
    else:
        truth = targets.long()
        both = (
            ((truth.min(dim=0).values == 0) & (truth.max(dim=0).values == 1))
            .nonzero()
            .flatten()
            .tolist()
        )
        for name, metric in (
            (("roc_auc", binary_auroc), ("map", binary_average_precision)) if both else ()
        ):
            found[name] = torch.stack(
                [metric(scores[:, k].sigmoid(), truth[:, k]) for k in both]
            ).mean()
        if scored.kind == "binary":
            found["accuracy"] = ((scores > 0) == (truth > 0)).all(dim=1).float().mean()
    return {f"{scored.prefix}{name}": value for name, value in found.items()}
