"""Triton kernel for the search of `semisupcon.augmentations.wsola`: one program per row.

A program processes all hops of a row. At each hop, the continuation is compared with all candidates
in parallel, sample by sample. Candidates are adjacent in memory, so one load reads a sample of all
candidates. Sums are in float32, without tensor cores.
"""

import logging
from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor

log = logging.getLogger(__name__)


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
    UNROLL: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    x = mono + row * mono_stride
    candidate = tl.arange(0, CANDIDATES)
    late = tl.load(penalty + row * CANDIDATES + candidate)
    place = tl.load(places + row * hops)
    t = 1
    while t < hops:  # Triton's interpreter with NumPy 2 does not support `range` over arguments
        first = tl.load(starts + row * hops + t) + 1
        searched = x + first + candidate
        wanted = x + place + HOP
        products = tl.zeros((CANDIDATES,), dtype=tl.float32)
        energies = tl.zeros((CANDIDATES,), dtype=tl.float32)
        for j in range(0, HOP, UNROLL):
            for k in tl.static_range(UNROLL):
                sample = tl.load(searched + j + k)
                products += sample * tl.load(wanted + j + k)
                energies += sample * sample
        distance = energies + late - 2 * products
        distance = tl.where(candidate < place - first, float("inf"), distance)
        place = first + tl.argmin(distance, 0)
        tl.store(places + row * hops + t, place)
        t += 1


def walk(mono: Tensor, penalty: Tensor, starts: Tensor, hop: int, reach: int) -> Tensor:
    """Find the start of each piece of the output.

    Args:
        mono: ``[n, L]`` float32.
        penalty: ``[n, 2 * reach]``, penalty of each candidate.
        starts: ``[n, hops]`` int64. The candidates of a hop are the ``2 * reach`` positions after
            its start.
        hop: number of samples of a piece, a multiple of 8.
        reach: half the number of candidates, a power of two.

    Returns:
        Starts ``[n, hops]`` int64; the first one is ``reach``.
    """
    places = torch.full_like(starts, reach)
    mono, penalty, starts = (x.contiguous() for x in (mono, penalty, starts))
    grid, options = (len(mono),), {"HOP": hop, "CANDIDATES": 2 * reach, "UNROLL": 8}
    _walk[grid](mono, mono.stride(0), penalty, starts, places, starts.shape[1], **options)
    return places


@cache
def works(device: torch.device, hop: int, reach: int) -> bool:
    """Return whether the kernel finds the best pieces on a device; log a warning if it does not.

    The kernel is tested once on noise, because Triton can compile wrong code.
    """
    generator, hops = torch.Generator().manual_seed(0), 8
    mono = torch.randn(2, (hops + 4) * hop + 2 * reach, generator=generator)
    starts = (torch.arange(hops) * hop)[None].repeat(2, 1)
    penalty = torch.rand(2, 2 * reach, generator=generator)
    try:
        places = walk(mono.to(device), penalty.to(device), starts.to(device), hop, reach).cpu()
    except Exception as error:
        log.warning(
            "The WSOLA kernel does not run on %s (%s: %s); using slower code.",
            device,
            type(error).__name__,
            error,
        )
        return False
    if best(mono, penalty, starts, places, hop, reach):
        return True
    log.warning(
        "The WSOLA kernel gives wrong results on %s with Triton %s; using slower code.",
        device,
        triton.__version__,
    )
    return False


def best(
    mono: Tensor, penalty: Tensor, starts: Tensor, places: Tensor, hop: int, reach: int
) -> bool:
    """Return whether each of ``places [n, hops]`` has the lowest cost, up to rounding.

    The other arguments are those of `walk`, on the CPU.
    """
    x, first = mono.double(), starts + 1
    if not bool((places[:, 0] == reach).all()):
        return False
    for row in range(len(x)):
        for t in range(1, starts.shape[1]):
            begin, before = int(first[row, t]), int(places[row, t - 1])
            wanted = x[row, before + hop : before + 2 * hop]
            pieces = x[row, begin : begin + 2 * reach + hop - 1].unfold(0, hop, 1)
            cost = pieces.square().sum(1) + penalty[row].double() - 2 * pieces @ wanted
            cost[: max(0, before - begin)] = torch.inf
            chosen = int(places[row, t]) - begin
            scale = wanted.square().sum() + pieces.square().sum(1).mean()
            if not 0 <= chosen < 2 * reach or cost[chosen] > cost.min() + 1e-4 * scale:
                return False
    return True
