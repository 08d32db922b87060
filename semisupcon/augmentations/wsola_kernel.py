"""The walk of `semisupcon.augmentations.wsola` as one kernel: a program a row, all hops in it (Triton).

At each hop the piece to continue, w (``HOP`` samples), is compared with all candidates of the input.
Their products ``sum over j of w[j] x[c + j]``, with ``c = K a + b``, are one matrix product: rows a hold
the input from K a on, columns b hold w delayed by b.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _walk(  # type: ignore[no-untyped-def]  # arguments of a kernel are pointers and numbers
    mono,
    mono_stride,
    penalty,
    starts,
    places,
    hops,
    HOP: tl.constexpr,
    CANDIDATES: tl.constexpr,
    K: tl.constexpr,
    DEPTH: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    x = mono + row * mono_stride
    a = tl.arange(0, CANDIDATES // K)[:, None] * K
    b = tl.arange(0, K)[None, :]
    candidate = a + b
    late = tl.load(penalty + row * CANDIDATES + candidate)
    place = tl.load(places + row * hops)
    t = 1
    while t < hops:  # Triton's interpreter has no ranges over arguments with NumPy 2
        first = tl.load(starts + row * hops + t) + 1
        products = tl.zeros((CANDIDATES // K, K), dtype=tl.float32)
        energies = tl.zeros((CANDIDATES // K, K), dtype=tl.float32)
        for begin in range(0, HOP + K, DEPTH):
            u = begin + tl.arange(0, DEPTH)
            searched = tl.load(x + first + a + u[None, :])
            lag = u[:, None] - b
            inside = (lag >= 0) & (lag < HOP)
            wanted = tl.load(x + place + HOP + lag, mask=inside, other=0.0)
            products += tl.dot(searched, wanted, input_precision="tf32x3")
            energies += tl.dot(searched * searched, inside.to(tl.float32), input_precision="tf32x3")
        distance = energies + late - 2 * products
        distance = tl.where(candidate < place - first, float("inf"), distance)
        place = first + tl.argmin(tl.reshape(distance, (CANDIDATES,)), 0)
        tl.store(places + row * hops + t, place)
        t += 1


def walk(mono: Tensor, penalty: Tensor, starts: Tensor, hop: int, reach: int, tile: int = 32, depth: int = 64, warps: int = 4) -> Tensor:
    """Where each piece starts.

    Args:
        mono: ``[n, L]`` float32.
        penalty: ``[n, 2 * reach]``, cost of each candidate.
        starts: ``[n, hops]`` int64; the candidates of a hop are the ``2 * reach`` places after its start.
        hop: samples of a piece, a power of two and at least 32.
        reach: ``hop`` or ``hop / 2``.
        tile: K, columns of the products; halved for few candidates.
        depth: samples that one step of a product sums over.
        warps: of a program.

    Returns:
        ``[n, hops]`` int64; the first is ``reach``.
    """
    places = torch.full_like(starts, reach)
    mono, penalty, starts = (x.contiguous() for x in (mono, penalty, starts))
    candidates = 2 * reach
    _walk[(len(mono),)](
        mono,
        mono.stride(0),
        penalty,
        starts,
        places,
        starts.shape[1],
        HOP=hop,
        CANDIDATES=candidates,
        K=tile if candidates >= 16 * tile else candidates // 16,
        DEPTH=depth,
        num_warps=warps,
    )
    return places
