"""Batches distributed over ranks: gather with gradient, and means over the whole batch.

This is the only module that uses ``torch.distributed``. Each rank compares its rows with the
columns of all ranks, so the matrix of logits is M x N, not N x N. The gradient of a gathered column
is the sum of the gradients on all ranks (a reduce-scatter in the backward pass). Distributed data
parallel then averages the gradients of the parameters. If the loss is computed with `Share.mean`,
this average equals the gradient that a single process would compute on the whole batch, for any
distribution of the rows over the ranks.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable


def world_size() -> int:
    """Return the number of ranks; 1 without distributed training."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@dataclass(frozen=True)
class Share:
    """Distribution of the rows of a batch over the ranks.

    Attributes:
        sizes: number of rows on each rank.
        rank: rank of this process.
    """

    sizes: tuple[int, ...]
    rank: int = 0

    @property
    def total(self) -> int:
        """Number of rows on all ranks."""
        return sum(self.sizes)

    @property
    def offset(self) -> int:
        """Index of this rank's first row among the gathered rows."""
        return sum(self.sizes[: self.rank])

    @property
    def weight(self) -> float:
        """Weight of this rank in a mean over all ranks.

        1 if all ranks have the same number of rows, 0 for a rank without rows.
        """
        return len(self.sizes) * self.sizes[self.rank] / max(self.total, 1)

    def gather(self, x: Tensor) -> Tensor:
        """Gather rows ``[n, ...]`` of all ranks in rank order, ``[total, ...]``; differentiable."""
        if len(self.sizes) == 1:
            return x
        if x.dtype == torch.bool:
            return self.gather(x.byte()).bool()
        return _Gather.apply(x, self)

    def select(self, chosen: Tensor) -> "Share":
        """Return the share of a subset of rows; ``chosen [total]`` (bool) is a mask over the
        gathered rows.
        """
        return Share(tuple(int(part.sum()) for part in chosen.split(self.sizes)), self.rank)

    def columns(self, device: torch.device) -> Tensor:
        """Return the indices ``[n]`` (int64) of this rank's rows among the gathered rows."""
        return torch.arange(self.offset, self.offset + self.sizes[self.rank], device=device)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of ``values [n]``, weighted for distributed data parallel.

        The average of the results of all ranks equals the mean over the whole batch. The same holds
        for the gradients.
        """
        return values.sum() / max(len(values), 1) * self.weight

    def mean_of(self, values: Tensor, chosen: Tensor) -> Tensor:
        """Return the mean of the elements of ``values`` (any shape) in a mask; 0 if there are none.

        The mean is weighted for distributed data parallel, as in `mean`. ``chosen`` is bool and has
        the shape of ``values``. The other elements must be finite; they get no gradient. Unlike
        indexing with a mask, this method does not synchronise with the device. Every rank must call
        this function.
        """
        total, count = torch.where(chosen, values, 0.0).sum(), chosen.sum()
        if len(self.sizes) == 1:
            return total / count.clamp(min=1)
        dist.all_reduce(count)
        return total * len(self.sizes) / count.clamp(min=1)


def share(rows: int, device: torch.device, over_ranks: bool = True) -> Share:
    """Exchange the number of rows with the other ranks. Every rank must call this function.

    Args:
        rows: number of rows on this rank. Ranks may have different numbers, for example in the last
            batch of an epoch, or of labelled clips.
        device: a device that the process group supports.
        over_ranks: False to use only the rows of this rank as negatives and in means.
    """
    if not over_ranks or world_size() == 1:
        return Share((rows,))
    sizes = torch.empty(world_size(), dtype=torch.int64, device=device)
    dist.all_gather_into_tensor(sizes, torch.tensor([rows], device=device))
    return Share(tuple(sizes.tolist()), dist.get_rank())


def gathered(x: Tensor) -> Tensor:
    """Gather a tensor of equal shape from each of W ranks, ``[W, ...]``, without gradient.

    Every rank must call this function.
    """
    if world_size() == 1:
        return x.detach()[None]
    parts = x.new_empty(world_size(), *x.shape)
    dist.all_gather_into_tensor(parts, x.detach().contiguous()[None])
    return parts


def gathered_in_turn(own: Tensor, rows: int) -> Tensor:
    """Gather rows that were distributed to W ranks in turn; return ``[rows, ...]`` in order.

    Every rank must call this function.

    Args:
        own: rows of this rank: r, r + W, r + 2 W, ... on rank r.
        rows: total number of rows.
    """
    world = world_size()
    order = torch.cat([torch.arange(min(rank, rows), rows, world) for rank in range(world)])
    parts = share(len(own), own.device).gather(own.detach())
    return parts[order.argsort().to(own.device)]


class _Gather(torch.autograd.Function):
    """All-gather in the forward pass, reduce-scatter in the backward pass.

    Ranks with fewer rows are padded.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, where: Share) -> Tensor:
        ctx.where = where
        ranks, most = len(where.sizes), max(where.sizes)
        padded = x.new_zeros(most, *x.shape[1:])
        padded[: len(x)] = x
        gathered = x.new_empty(ranks * most, *x.shape[1:])
        dist.all_gather_into_tensor(gathered, padded)
        if where.total == len(gathered):
            return gathered
        return torch.cat(
            [part[:size] for part, size in zip(gathered.chunk(ranks), where.sizes, strict=True)]
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        where, most = ctx.where, max(ctx.where.sizes)
        padded = grad.new_zeros(len(where.sizes), most, *grad.shape[1:])
        for slot, part in zip(padded, grad.split(where.sizes), strict=True):
            slot[: len(part)] = part
        summed = grad.new_empty(most, *grad.shape[1:])
        dist.reduce_scatter_tensor(summed, padded.flatten(0, 1))
        return summed[: where.sizes[where.rank]], None
