"""Contrastive loss with any target matrix, in O(N D) memory.

Supervised contrastive learning (Khosla et al. 2020, eq. 2, positives outside the logarithm).
NT-Xent (Chen et al. 2020) is a special case; semi-supervised targets (Guinot et al. 2024)
generalise it to weights in [0, 1]. Rows are processed in tiles: a tile of logits and targets gives
its part of the loss and of the exact gradient, and is freed. The full matrices of logits and
targets never exist.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import normalize

from semisupcon.losses.precision import at_least_float32

TargetRows = Tensor | Callable[[slice], Tensor]

# Elements of one tile. 4 MB of float32 fit the cache of a core and are large enough for efficient
# matrix products. On a GPU, larger tiles need fewer kernel launches.
TILE_ELEMENTS = {"cpu": 1 << 20, "cuda": 1 << 25}


class Contrast(NamedTuple):
    """A contrastive loss and statistics of the targets.

    Attributes:
        loss: scalar, the mean over anchors.
        mass: ``[M]``, sum of the target weights of each anchor, without itself.
        nearest: ``[M]``, target weight of the candidate nearest to each anchor. For targets of 0
            and 1, its mean is the top-1 retrieval accuracy.
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
    """Mean over anchors of the target-weighted cross-entropy of cosine similarities.

    Args:
        anchors: projections ``[M, D]`` of any norm.
        candidates: projections ``[N, D]`` compared with every anchor, including the anchors.
        targets: ``[M, N]`` in [0, 1], or bool: 1 is a positive, 0 a negative. Or a function that
            returns the rows of a slice.
        self_column: ``[M]`` int64, column of each anchor itself, neither positive nor negative;
            None if anchors are not candidates.
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
    """`contrastive_loss` with inner products of ``queries [M, D]`` and ``keys [N, D]`` as logits.

    Used for the bilinear similarity of COLA. If each query has one positive, of weight 1, and is
    not a candidate itself, ``targets`` may be the column of the positive, ``[M]`` int64. No weight
    matrix is made then, which halves memory traffic; loss and gradients are the same.
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
    """Row slices of queries ``[M, D]``; logits of a slice with ``columns`` columns are one tile."""
    rows = max(1, TILE_ELEMENTS.get(queries.device.type, 1 << 25) // max(columns, 1))
    return (slice(start, min(start + rows, len(queries))) for start in range(0, len(queries), rows))


def _gradients(ctx: Any, queries: Tensor, keys: Tensor, differentiate: bool) -> list[Tensor | None]:
    """Zeros for the gradients of queries and keys; None where none is needed."""
    return [
        torch.zeros_like(x) if flag and differentiate else None
        for x, flag in zip((queries, keys), ctx.needs_input_grad[:2], strict=True)
    ]


def _add(
    gradients: list[Tensor | None], slope: Tensor, queries: Tensor, keys: Tensor, tile: slice
) -> None:
    """Add the gradients of a tile with ``slope``, the derivative of the loss by its logits."""
    of_queries, of_keys = gradients
    if of_queries is not None:
        torch.mm(slope, keys, out=of_queries[tile])
    if of_keys is not None:
        of_keys.addmm_(slope.T, queries[tile])


class _TiledCrossEntropy(torch.autograd.Function):
    """Cross-entropy of softmax(QK') with weights, by row tiles.

    The gradient is computed in the forward pass, where each tile of probabilities exists anyway.
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
                # In place only on a converted copy: the targets of the caller are not modified.
                weights = (
                    weights.scatter(1, own, 0.0)
                    if weights is given
                    else weights.scatter_(1, own, 0.0)
                )
            mass = weights.sum(dim=1)
            inverse_mass = mass.clamp(min=torch.finfo(mass.dtype).tiny).reciprocal() * (mass > 0)
            attraction = torch.bmm(weights[:, None], logits[:, :, None])[:, 0, 0] * inverse_mass
            if self_column is not None:
                # Masked after the weighted sum, by a finite value: an anchor may be alone.
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
    """`_TiledCrossEntropy` for one positive per row: same results, fewer passes over each tile."""

    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, keys: Tensor, answers: Tensor, differentiate: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        m = len(queries)
        gradients = _gradients(ctx, queries, keys, differentiate)
        attraction, top, total = (queries.new_empty(m) for _ in range(3))
        found, once = torch.empty_like(answers), queries.new_full((m, 1), -1 / max(m, 1))
        for tile in _tiles(queries, len(keys)):
            # Write values per row in place: a tile needs only a dozen kernel launches.
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
