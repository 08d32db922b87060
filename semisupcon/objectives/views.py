"""Functions that criteria share: encode the views of a batch, and compare all views.

Views are arranged as rows of a matrix. Rows are compared over all ranks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from semisupcon.batch import Batch, labelled
from semisupcon.distributed import Share, share
from semisupcon.encoders.base import Encoder
from semisupcon.losses import Contrast, contrastive_loss
from semisupcon.objectives.base import Criterion, Encode


def encode_views(batch: Batch, encode: Encode, together: bool) -> Tensor:
    """Compute the embeddings ``[B, V, D]`` of all views of a batch.

    Args:
        batch: batch with audio ``[B, V, 1, T]``.
        encode: interface to the encoder.
        together: whether all views are encoded in one batch, with joint batch-norm statistics.
            False encodes each view separately.
    """
    audio, length = batch["audio"], batch["length"]
    if together:
        return encode(audio.flatten(0, 1), length=length.flatten()).unflatten(0, audio.shape[:2])
    passes = [
        encode(x, length=n) for x, n in zip(audio.unbind(dim=1), length.unbind(dim=1), strict=True)
    ]
    return torch.stack(passes, dim=1)


class ViewCriterion(Criterion):
    """Base class of criteria that need only embeddings of views.

    Several such criteria can share embeddings. Subclasses define ``fit`` and ``losses_of``, and set
    ``together`` (whether all views are encoded in one batch).
    """

    together: bool = False

    def connect(self, encoder: Encoder) -> None:
        self.fit(encoder.embedding_dim)

    def fit(self, width: int) -> None:
        """Build heads for embeddings of the given width.

        Raises:
            ConfigError: if a head has been built for another width.
        """

    def losses(self, batch: Batch, encode: Encode) -> dict[str, Any]:
        return self.losses_of(encode_views(batch, encode, self.together), batch)

    def losses_of(self, embeddings: Tensor, batch: Batch) -> dict[str, Any]:
        """Return the losses as `Criterion.losses` does, from embeddings ``[B, V, D]``."""
        raise TypeError(f"{type(self).__name__} defines no losses_of(embeddings, batch)")


@dataclass(frozen=True)
class Items:
    """Views of a batch as rows: row k is view ``k mod V`` of clip ``k div V``.

    Attributes:
        projections: ``[M, P]``, projection of each view.
        labels: ``[M, C]``, labels of each clip; a NaN row is unlabelled.
        clips: ``[M]`` int64, id of each clip.
    """

    projections: Tensor
    labels: Tensor
    clips: Tensor

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def labelled(self) -> Tensor:
        """Mask ``[M]`` (bool) of labelled items."""
        return labelled(self.labels)

    def select(self, rows: Tensor) -> "Items":
        """Return the items that a mask or index tensor selects."""
        return Items(self.projections[rows], self.labels[rows], self.clips[rows])

    def gather(self, where: Share) -> "Items":
        """Return the items of all ranks."""
        return Items(
            where.gather(self.projections), where.gather(self.labels), where.gather(self.clips)
        )


def lay_out(projections: Tensor, batch: Batch) -> Items:
    """Arrange projections ``[B, V, P]``, with the labels and ids of their clips, as `Items`."""
    views = projections.shape[1]
    return Items(
        projections.flatten(0, 1),
        batch["targets"].repeat_interleave(views, dim=0),
        batch["clip"].repeat_interleave(views, dim=0),
    )


def compare(
    items: Items, everyone: Items, where: Share, target: Callable[..., Tensor], temperature: float
) -> Contrast:
    """Compute the contrastive loss of the ``items`` of this rank against ``everyone`` on all ranks.

    The function ``target`` is called for each tile of the matrix.
    """
    return contrastive_loss(
        items.projections,
        everyone.projections,
        lambda rows: target(items.labels[rows], items.clips[rows], everyone.labels, everyone.clips),
        where.columns(items.clips.device),
        temperature,
    )


def each_view(head: nn.Module, x: Tensor, together: bool) -> Tensor:
    """Apply a head to all views ``[B, V, D]``, together or separately; return ``[B, V, P]``.

    The results differ if the head has batch norm.
    """
    if together:
        return head(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    return torch.stack([head(view) for view in x.unbind(dim=1)], dim=1)


def nt_xent(
    projections: Tensor, batch: Batch, temperature: float, gather_negatives: bool, logs: bool = True
) -> dict[str, Tensor]:
    """Compute the NT-Xent loss (Chen et al. 2020, eq. 1) of projections ``[B, V, P]``.

    Positives are the other views of the same clip. Negatives are all views of other clips.

    Returns:
        A dictionary with ``loss``. If ``logs`` is set, it also has ``top1``, the fraction of
        anchors whose nearest view is from the same clip, and ``negatives``, the number of negatives
        per anchor.
    """
    items = lay_out(projections, batch)
    where = share(len(items), items.clips.device, gather_negatives)
    everyone = items.gather(where)
    contrast = compare(
        items,
        everyone,
        where,
        lambda _rows, rows, _columns, columns: rows[:, None] == columns,
        temperature,
    )
    losses = {"loss": contrast.loss * where.weight}
    if logs:
        losses |= {
            "top1": where.mean(contrast.nearest),
            "negatives": len(everyone) - 1 - where.mean(contrast.mass),
        }
    return losses


def spread(projections: Tensor) -> Tensor:
    """Measure whether projections have collapsed (Chen and He 2021, fig. 2).

    The result is the mean standard deviation of unit-norm projections ``[N, P]`` times sqrt(P). It
    is near 1 if projections are uniform on the sphere, and 0 if all are equal.
    """
    return (
        normalize(projections.detach().float(), dim=-1).std(dim=0, correction=0).mean()
        * projections.shape[-1] ** 0.5
    )
