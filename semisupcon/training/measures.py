"""Functions of batches and embeddings for training: waveforms for statistics, first views,
label-free measures, metrics.
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
    """Run a module in eval mode without gradients, then restore the mode of every submodule.

    Not in inference mode, whose tensors a module that is trained afterwards must not keep.
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
    """The batch with its first ``views`` views only; validation always loads two."""
    of_views = ("audio", "length", "key", "applied", "parameters")
    tensors = cast("dict[str, Tensor]", batch)
    return cast("Batch", {k: v[:, :views] if k in of_views else v for k, v in tensors.items()})


def effective_rank(embeddings: Tensor, most: int = 4096) -> Tensor:
    """Effective rank of embeddings ``[N, D]`` minus their mean (Roy and Vetterli 2007, definition
    1).

    This is the exponential of the entropy of the normalised singular values: 1 to min(N - 1, D),
    and 1 if all rows are equal. RankMe (Garrido et al. 2023) selects runs by it, without
    subtracting the mean, which is large for embeddings after a ReLU. Only the first ``most`` rows
    are used. NaN if they are not finite.
    """
    x = embeddings[:most].float()
    if not x.isfinite().all():  # svdvals would raise an error
        return x.new_tensor(math.nan)
    values = torch.linalg.svdvals(x - x.mean(dim=0))
    shares = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
    return torch.special.entr(shares).sum().exp()


def alignment(first: Tensor, second: Tensor) -> Tensor:
    """Mean squared distance of two views ``[N, D]`` of each clip on the unit sphere (Wang and Isola
    2020, alpha 2): 0 to 4, lower is better.
    """
    return (normalize(first, dim=-1) - normalize(second, dim=-1)).square().sum(dim=-1).mean()


def uniformity(embeddings: Tensor, most: int = 2048) -> Tensor:
    """Logarithm of the mean Gaussian potential ``exp(-2 d^2)`` of all pairs of embeddings ``[N,
    D]`` on the unit sphere (Wang and Isola 2020, t 2): -8 to 0, lower is more uniform.

    Only the first ``most`` rows are used. NaN for fewer than two rows.
    """
    x = normalize(embeddings[:most].float(), dim=-1)
    if len(x) < 2:
        return x.new_tensor(math.nan)
    return (-2 * torch.pdist(x).square()).logsumexp(dim=0) - math.log(len(x) * (len(x) - 1) / 2)


def retrieval_accuracy(queries: Tensor, gallery: Tensor, rows: int = 1024) -> Tensor:
    """Share of queries ``[N, D]`` whose nearest gallery row ``[N, D]`` (cosine) has the same index;
    chance is 1/N.
    """
    gallery, hits = normalize(gallery, dim=-1), []
    for start in range(0, len(queries), rows):
        block = normalize(queries[start : start + rows], dim=-1) @ gallery.T
        hits.append(
            block.argmax(dim=1) == torch.arange(start, start + len(block), device=block.device)
        )
    return torch.cat(hits).float().mean()


def training_waveforms(data: L.LightningDataModule, batches: int = 64) -> Iterator[Tensor]:
    """Yield the samples of the first training batches, without augmentation and padding, for
    statistics of the data.
    """
    for batch in islice(data.train_dataloader(), batches):
        # Other data modules have no resident samples.
        audio = waveforms(batch, getattr(data, "clips", None), getattr(data, "resident", None))[
            "audio"
        ]
        yield audio[
            torch.arange(audio.shape[-1], device=audio.device) < batch["length"][..., None, None]
        ]


def of_all_ranks(module: L.LightningModule, parts: Iterable[Tensor]) -> Tensor:
    """Concatenate parts ``[n_i, ...]`` and gather them from all W ranks: ``[W, N, ...]``, or ``[N,
    ...]`` on one device.
    """
    gathered = module.all_gather(torch.cat(list(parts)))
    assert isinstance(gathered, Tensor)  # same type as the input
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
    """`metrics` over the batches of all ranks; ``once`` has one index per clip."""
    scores = of_all_ranks(module, (part.scores for part in parts))
    targets = of_all_ranks(module, (part.targets for part in parts))
    scores, targets = (x.reshape(clips, *x.shape[-2:])[once] for x in (scores, targets))
    return metrics(Scored(scores, targets, *parts[0][2:]))


def metrics(scored: Scored) -> dict[str, Tensor]:
    """Metrics (torchmetrics) over all views with known targets; empty if there are none or scores
    are not finite.

    Returns:
        ``accuracy`` (multiclass, binary), ``roc_auc`` and ``map`` (binary, multilabel; means over
        the columns with positives and negatives) or ``r2`` (regression; mean over the columns).
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
