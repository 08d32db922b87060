"""Contrastive loss with any target matrix, in O(N D) memory.

The loss is that of supervised contrastive learning (Khosla et al. 2020, eq. 2, with the sum over
positives outside the logarithm). NT-Xent (Chen et al. 2020) is a special case. Semi-supervised
targets (Guinot et al. 2024) generalise it to weights in [0, 1]. Rows are processed in tiles: each
tile of logits and targets contributes to the loss and to the exact gradient, and is then freed. The
full matrices of logits and targets are never stored.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import normalize

from semisupcon.losses.precision import at_least_float32

TargetRows = Tensor | Callable[[slice], Tensor]

# Number of elements of one tile. On a CPU, 4 MB of float32 fit the cache of a core and are large
# enough for efficient matrix products. On a GPU, larger tiles need fewer kernel launches.
TILE_ELEMENTS = {"cpu": 1 << 20, "cuda": 1 << 25}


class Contrast(NamedTuple):
    """A contrastive loss and statistics of the targets.

    Attributes:
        loss: scalar, the mean over anchors.
        mass: ``[M]``, sum of the target weights of each anchor, without the pair of the anchor with
            itself.
        nearest: ``[M]``, target weight of the candidate nearest to each anchor. For targets of 0
            and 1, the mean of these weights is the top-1 retrieval accuracy.
    """

    loss: Tensor
    mass: Tensor
    nearest: Tensor


def contrastive_loss(
    anchors: Tensor,
    candidates: Tensor,
    targets: TargetRows,
    self_column: Tensor | None,
    temperature: float = 0.1,
) -> Contrast:
    """Compute the mean over anchors of the target-weighted cross-entropy of cosine similarities.

    Args:
        anchors: projections ``[M, D]`` of any norm.
        candidates: projections ``[N, D]`` that are compared with every anchor. They may include the
            anchors.
        targets: ``[M, N]`` in [0, 1], or bool; 1 is a positive, 0 a negative. A function that maps
            a slice of rows to these rows of the matrix is also accepted.
        self_column: ``[M]`` int64, the column of each anchor among the candidates. It counts
            neither as a positive nor as a negative. None if the anchors are not candidates.
        temperature: positive; 0.1 in SemiSupCon, 0.5 in CLMR, 0.07 in MT-SLVR.

    Returns:
        The loss in float32 under any autocast (float64 for float64 input). Anchors without
        positives contribute zero to the mean.

    Raises:
        ValueError: if the temperature is not positive.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    with torch.autocast(anchors.device.type, enabled=False):
        anchors, candidates = (
            normalize(at_least_float32(x), dim=-1) for x in (anchors, candidates)
        )
        return cross_entropy_of_products(anchors / temperature, candidates, targets, self_column)


def cross_entropy_of_products(
    queries: Tensor, keys: Tensor, targets: TargetRows, self_column: Tensor | None = None
) -> Contrast:
    """Compute `contrastive_loss` from inner products instead of cosine similarities.

    The logits are the inner products of ``queries [M, D]`` and ``keys [N, D]``, as in the bilinear
    similarity of COLA. If each query has exactly one positive of weight 1 and is not itself a key,
    ``targets`` may be the column of the positive, ``[M]`` int64. This avoids the weight matrix and
    halves the memory traffic. Loss and gradients are the same.
    """
    with torch.autocast(queries.device.type, enabled=False):
        queries, keys = at_least_float32(queries), at_least_float32(keys)
        if isinstance(targets, Tensor) and targets.dim() == 1:
            return Contrast(*_TiledSoftmax.apply(queries, keys, targets, torch.is_grad_enabled()))
        rows_of = targets if callable(targets) else targets.__getitem__
        return Contrast(
            *_TiledCrossEntropy.apply(queries, keys, rows_of, self_column, torch.is_grad_enabled())
        )


def _tiles(queries: Tensor, columns: int) -> Iterator[slice]:
    """Return row slices of queries ``[M, D]``, such that the logits of a slice form one tile.

    ``columns`` is the number of columns of the logits.
    """
    rows = max(1, TILE_ELEMENTS.get(queries.device.type, 1 << 25) // max(columns, 1))
    return (slice(start, min(start + rows, len(queries))) for start in range(0, len(queries), rows))


def _gradients(ctx: Any, queries: Tensor, keys: Tensor, differentiate: bool) -> list[Tensor | None]:
    """Return zero tensors for the gradients of queries and keys; None if a gradient is not
    needed.
    """
    return [
        torch.zeros_like(x) if flag and differentiate else None
        for x, flag in zip((queries, keys), ctx.needs_input_grad[:2], strict=True)
    ]


def _add(
    gradients: list[Tensor | None], slope: Tensor, queries: Tensor, keys: Tensor, tile: slice
) -> None:
    """Add the gradients of a tile. ``slope`` is the derivative of the loss with respect to its
    logits.
    """
    of_queries, of_keys = gradients
    if of_queries is not None:
        torch.mm(slope, keys, out=of_queries[tile])
    if of_keys is not None:
        of_keys.addmm_(slope.T, queries[tile])


class _TiledCrossEntropy(torch.autograd.Function):
    """Weighted cross-entropy of softmax(QK'), computed in tiles of rows.

    The gradient is computed in the forward pass, while each tile of probabilities is in memory.
    """

    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        keys: Tensor,
        rows_of: Callable[[slice], Tensor],
        self_column: Tensor | None,
        differentiate: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        (m, _), n = queries.shape, len(keys)
        gradients = _gradients(ctx, queries, keys, differentiate)
        losses, masses, nearest = (queries.new_empty(m) for _ in range(3))
        for tile in _tiles(queries, n):
            logits = queries[tile] @ keys.T
            given = rows_of(tile)
            weights = given.to(logits.dtype)
            if self_column is not None:
                own = self_column[tile, None]
                # Write in place only into a converted copy, so that the targets of the caller are
                # not modified.
                weights = (
                    weights.scatter(1, own, 0.0)
                    if weights is given
                    else weights.scatter_(1, own, 0.0)
                )
            mass = weights.sum(dim=1)
            inverse_mass = mass.clamp(min=torch.finfo(mass.dtype).tiny).reciprocal() * (mass > 0)
            attraction = torch.bmm(weights[:, None], logits[:, :, None])[:, 0, 0] * inverse_mass
            if self_column is not None:
                # Mask the anchor itself after the weighted sum. The mask value is finite, because
                # an anchor may have no other candidate.
                logits.scatter_(1, own, torch.finfo(logits.dtype).min)
            top, where = logits.max(dim=1)
            nearest[tile] = weights.gather(1, where[:, None])[:, 0]
            total = logits.sub_(top[:, None]).exp_().sum(dim=1)
            active = (mass > 0).to(logits.dtype)
            losses[tile] = (total.log() + top) * active - attraction
            masses[tile] = mass
            if any(gradient is not None for gradient in gradients):
                slope = logits.mul_((active / total / m)[:, None]).addcmul_(
                    weights, inverse_mass[:, None], value=-1 / m
                )
                _add(gradients, slope, queries, keys, tile)
        ctx.save_for_backward(*gradients)
        ctx.mark_non_differentiable(masses, nearest)
        return losses.sum() / max(m, 1), masses, nearest

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,
        grad_loss: Tensor,
        _grad_masses: Tensor,
        _grad_nearest: Tensor,
    ) -> tuple[Tensor | None, ...]:
        return (
            *(None if grad is None else grad_loss * grad for grad in ctx.saved_tensors),
            None,
            None,
            None,
        )


class _TiledSoftmax(torch.autograd.Function):
    """`_TiledCrossEntropy` for exactly one positive per row, with fewer passes over each tile."""

    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, keys: Tensor, answers: Tensor, differentiate: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        m = len(queries)
        gradients = _gradients(ctx, queries, keys, differentiate)
        attraction, top, total = (queries.new_empty(m) for _ in range(3))
        found, once = torch.empty_like(answers), queries.new_full((m, 1), -1 / max(m, 1))
        for tile in _tiles(queries, len(keys)):
            # Writing results in place keeps the number of kernel launches per tile at about a
            # dozen.
            logits, answer = queries[tile] @ keys.T, answers[tile, None]
            torch.gather(logits, 1, answer, out=attraction[tile, None])
            torch.max(logits, dim=1, out=(top[tile], found[tile]))
            torch.sum(logits.sub_(top[tile, None]).exp_(), dim=1, out=total[tile])
            if any(gradient is not None for gradient in gradients):
                slope = logits.mul_((1 / total[tile] / m)[:, None])
                slope.scatter_add_(1, answer, once[tile])
                _add(gradients, slope, queries, keys, tile)
        ctx.save_for_backward(*gradients)
        masses, nearest = queries.new_ones(m), (found == answers).to(queries.dtype)
        ctx.mark_non_differentiable(masses, nearest)
        return (total.log() + top - attraction).sum() / max(m, 1), masses, nearest

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_loss: Tensor, _grad_masses: Tensor, _grad_nearest: Tensor
    ) -> tuple[Tensor | None, ...]:
        return (
            *(None if grad is None else grad_loss * grad for grad in ctx.saved_tensors),
            None,
            None,
        )
