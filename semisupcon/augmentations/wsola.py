"""Time-scale modification by overlapping similar pieces of waveform (WSOLA: Verhelst and Roelands 1993), a batch with a rate per row.

The output is built in hops. At each, the piece that follows naturally on what was last copied fades out while a new piece fades in, taken
near where the rate says the input should be: the one most like the natural continuation, with a slight preference for being on time. So phases
are kept, nothing is out of tune, and the walk jumps where the sound is quiet or repeats itself, not across an attack. All rows walk together.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from semisupcon.augmentations.fourier import by_rows, rfft
from semisupcon.augmentations.gather import pieces

PUNCTUALITY = 0.05  # cost of a piece a whole hop off, in mean energies of a piece
WINDOWS = 256  # are transformed at once: few enough to stay in the cache


def hop_size(sample_rate: int) -> int:
    """About 23 ms, a power of two: long enough to hold a period of 43 Hz."""
    return 1 << max(4, round(sample_rate * 0.0232).bit_length() - 1)


def stretch(audio: Tensor, step: Tensor, samples: int, hop: int, reach: int | None = None) -> Tensor:
    """Walk through every row at its own speed.

    Args:
        audio: ``[n, C, L]``; whatever lies beyond its end is silence.
        step: ``[n]`` input samples per output sample; below 1 makes the sound longer. Pitch is kept.
        samples: length of the output.
        hop: samples between pieces, which overlap by as much.
        reach: how far a piece may lie from its time, at most ``hop``, the default. It must exceed ``hop * abs(step - 1)``, what one hop drifts.

    Returns:
        ``[n, C, samples]``.
    """
    hops, reach = -(-samples // hop), reach or hop
    # A piece is played at its own speed, so it is its middle that should be on time. Places count from `reach` samples before the input.
    middles = torch.arange(1, hops + 1, device=audio.device) * hop
    nominal = (middles * step[:, None].double() - hop).round().long().clamp(min=0, max=audio.shape[-1])
    padded = torch.nn.functional.pad(audio, (reach, 6 * hop))
    places = _similar_places(padded[:, 0] if padded.shape[1] == 1 else padded.mean(1), nominal, hop, reach)

    fade = torch.linspace(0, torch.pi / 2, hop + 1, device=audio.device, dtype=audio.dtype)[:-1].sin().square()
    output = pieces(padded, places, hop)
    output[:, :, 1:] *= fade
    output[:, :, 1:] += pieces(padded, places[:, :-1] + hop, hop).mul_(1 - fade)
    return output.flatten(2)[..., :samples]


def _similar_places(mono: Tensor, nominal: Tensor, hop: int, reach: int) -> Tensor:
    """``[n, hops]``: where in ``mono [n, L]`` each piece starts, at most ``reach`` before or after ``nominal + reach``."""
    if len(mono) == 1:  # in company, as lone transforms are rounded otherwise
        return _similar_places(mono.expand(2, -1), nominal.expand(2, -1), hop, reach)[:1]
    n, size = len(mono), hop + 2 * reach
    row = torch.arange(n, device=mono.device)
    regions, continuations = mono.unfold(-1, size, 1), mono.unfold(-1, hop, 1)
    late = torch.linspace(-1, 1, 2 * reach + 1, device=mono.device, dtype=mono.dtype)[1:].square() * (reach / hop) ** 2
    # Over pieces that are on time, not over the row: how far it is filled up with silence depends on its neighbours.
    typical = torch.linalg.vector_norm(continuations[row[:, None], nominal + reach].flatten(1), dim=-1, keepdim=True).square()
    penalty = PUNCTUALITY / nominal.shape[1] * typical * late
    if (kernel := _kernel(mono.device, hop, reach)) is not None:
        return kernel(mono.float(), penalty.float(), nominal, hop, reach)

    places = [torch.full_like(row, reach)]
    # Where to search is known beforehand, several hops at once; what to look for, the continuation of the last piece, only when that is chosen.
    on_cpu = mono.device.type == "cpu"
    at_once = max(1, WINDOWS // n) if on_cpu else nominal.shape[1]
    for i in range(1, nominal.shape[1], at_once):
        starts = nominal[:, i : i + at_once]
        searched = regions[row[:, None], starts]
        spectra = by_rows(rfft(searched, size))
        # The squared distance of two pieces: their energies (the continuation's is the same for all candidates), minus twice their product.
        if on_cpu:
            total = searched.square_().cumsum(-1)
            energies = (total[..., hop:] - total[..., : 2 * reach]).add_(penalty[:, None])
        else:
            energies = _energies(searched, hop)[..., 1:] + penalty[:, None]
        places += _walk(continuations, spectra, energies, starts, places[-1], hop, reach)
    return torch.stack(places, 1)


def _energies(x: Tensor, hop: int) -> Tensor:
    """``[..., L - hop + 1]``: energies of all pieces of ``hop`` samples, a power of two; by doubling, as sums in parallel are not repeatable."""
    sums, width = x.square(), 1
    while width < hop:
        sums = sums[..., :-width] + sums[..., width:]
        width *= 2
    return sums


def _kernel(device: torch.device, hop: int, reach: int) -> Callable[..., Tensor] | None:
    """The walk as one kernel, on a GPU for which Triton makes a right one; else None."""
    if device.type != "cuda":
        return None
    try:
        from semisupcon.augmentations import wsola_kernel
    except ImportError:
        return None
    return wsola_kernel.walk if wsola_kernel.works(device, hop, reach) else None


# A hop is a dozen operations on a few kilobytes: as a script they cost half as much, and threads do not wait for each other's interpreter.
@torch.jit.script
def _walk(continuations: Tensor, spectra: Tensor, energies: Tensor, starts: Tensor, place: Tensor, hop: int, reach: int) -> list[Tensor]:
    size = hop + 2 * reach
    row = torch.arange(len(place), device=place.device)
    candidate = torch.arange(2 * reach, device=place.device)
    places: list[Tensor] = []
    for t in range(starts.shape[1]):
        # Without the last bin, as `by_rows`.
        wanted = torch.fft.rfft(continuations[row, place + hop], size)[:, :-1]
        similarity = torch.fft.irfft(spectra[:, t] * wanted.conj(), size)[:, 1 : 2 * reach + 1]
        distance = torch.sub(energies[:, t], similarity, alpha=2)
        # From nowhere before the last piece: an attack that was heard is not repeated.
        first = starts[:, t] + 1
        place = first + distance.masked_fill_(candidate < (place - first)[:, None], float("inf")).argmin(1)
        places.append(place)
    return places
