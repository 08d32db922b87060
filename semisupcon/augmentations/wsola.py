"""Batched time-scale modification by WSOLA (Verhelst and Roelands 1993) with a rate for each row.

The output is built hop by hop. At each hop, the continuation of the last copied piece is
cross-faded with a new piece of the input. The new piece is the one near the nominal input position
that is most similar to the continuation, with a small penalty for its distance from the nominal
position. This preserves phases and pitch. Discontinuities fall into quiet or periodic parts and not
into attacks.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from semisupcon.augmentations.fourier import by_rows, rfft
from semisupcon.augmentations.gather import pieces

PUNCTUALITY = 0.05  # penalty for a distance of one hop, relative to the mean energy of a piece
WINDOWS = 256  # number of windows per FFT call, small enough for the cache


def hop_size(sample_rate: int) -> int:
    """Return the hop size in samples: a power of two, about 23 ms (one period of 43 Hz)."""
    return 1 << max(4, round(sample_rate * 0.0232).bit_length() - 1)


def stretch(
    audio: Tensor, step: Tensor, samples: int, hop: int, reach: int | None = None
) -> Tensor:
    """Change the speed of each row by a separate rate; the pitch is kept.

    Args:
        audio: ``[n, C, L]``, padded with silence.
        step: ``[n]``, number of input samples per output sample. Values below 1 make the sound
            longer.
        samples: length of the output in samples.
        hop: number of samples between the starts of pieces. Pieces overlap by one hop.
        reach: largest distance of a piece from its nominal position in samples; at most ``hop``,
            the default. It must exceed the drift per hop, ``hop * abs(step - 1)``.

    Returns:
        ``[n, C, samples]``.
    """
    hops, reach = -(-samples // hop), reach or hop
    # A piece keeps its speed, so its middle is aligned with the nominal position. Positions are
    # counted from `reach` samples before the input.
    middles = torch.arange(1, hops + 1, device=audio.device) * hop
    nominal = (
        (middles * step[:, None].double() - hop).round().long().clamp(min=0, max=audio.shape[-1])
    )
    padded = torch.nn.functional.pad(audio, (reach, 6 * hop))
    places = _similar_places(
        padded[:, 0] if padded.shape[1] == 1 else padded.mean(1), nominal, hop, reach
    )

    fade = (
        torch.linspace(0, torch.pi / 2, hop + 1, device=audio.device, dtype=audio.dtype)[:-1]
        .sin()
        .square()
    )
    output = pieces(padded, places, hop)
    output[:, :, 1:] *= fade
    output[:, :, 1:] += pieces(padded, places[:, :-1] + hop, hop).mul_(1 - fade)
    return output.flatten(2)[..., :samples]


def _similar_places(mono: Tensor, nominal: Tensor, hop: int, reach: int) -> Tensor:
    """Return the start of each piece in ``mono [n, L]``, ``[n, hops]`` int64.

    A start is at most ``reach`` samples from ``nominal + reach``.
    """
    if len(mono) == 1:  # duplicate a single row, whose FFT would round differently
        return _similar_places(mono.expand(2, -1), nominal.expand(2, -1), hop, reach)[:1]
    n, size = len(mono), hop + 2 * reach
    row = torch.arange(n, device=mono.device)
    regions, continuations = mono.unfold(-1, size, 1), mono.unfold(-1, hop, 1)
    late = (
        torch.linspace(-1, 1, 2 * reach + 1, device=mono.device, dtype=mono.dtype)[1:].square()
        * (reach / hop) ** 2
    )
    # Mean energy of the pieces at nominal positions. The mean over the whole row would depend on
    # its zero padding, and thus on other rows.
    typical = torch.linalg.vector_norm(
        continuations[row[:, None], nominal + reach].flatten(1), dim=-1, keepdim=True
    ).square()
    penalty = PUNCTUALITY / nominal.shape[1] * typical * late
    if (kernel := _kernel(mono.device, hop, reach)) is not None:
        return kernel(mono.float(), penalty.float(), nominal, hop, reach)

    places = [torch.full_like(row, reach)]
    # Search regions are known in advance, so they are transformed for several hops at once. The
    # continuation of a piece is known only after the piece has been chosen.
    on_cpu = mono.device.type == "cpu"
    at_once = max(1, WINDOWS // n) if on_cpu else nominal.shape[1]
    for i in range(1, nominal.shape[1], at_once):
        starts = nominal[:, i : i + at_once]
        searched = regions[row[:, None], starts]
        spectra = by_rows(rfft(searched, size))
        # The squared distance is the sum of the energies of both pieces minus twice their product.
        # The energy of the continuation is left out, because it is the same for all candidates.
        if on_cpu:
            total = searched.square_().cumsum(-1)
            energies = (total[..., hop:] - total[..., : 2 * reach]).add_(penalty[:, None])
        else:
            energies = _energies(searched, hop)[..., 1:] + penalty[:, None]
        places += _walk(continuations, spectra, energies, starts, places[-1], hop, reach)
    return torch.stack(places, 1)


def _energies(x: Tensor, hop: int) -> Tensor:
    """Return the energies ``[..., L - hop + 1]`` of all pieces of ``hop`` samples (a power of two).

    The width of the sums is doubled step by step, because parallel cumulative sums are not
    reproducible.
    """
    sums, width = x.square(), 1
    while width < hop:
        sums = sums[..., :-width] + sums[..., width:]
        width *= 2
    return sums


def _kernel(device: torch.device, hop: int, reach: int) -> Callable[..., Tensor] | None:
    """Return `wsola_kernel.walk` for GPUs on which its results are correct, else None."""
    if device.type != "cuda":
        return None
    try:
        from semisupcon.augmentations import wsola_kernel
    except ImportError:
        return None
    return wsola_kernel.walk if wsola_kernel.works(device, hop, reach) else None


def _scripted(function: Callable[..., list[Tensor]]) -> Callable[..., list[Tensor]]:
    """Compile a function with TorchScript, whose newer versions warn that it is deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(function)


# A hop consists of a dozen operations on a few kilobytes. TorchScript halves their time and runs
# without the GIL.
@_scripted
def _walk(
    continuations: Tensor,
    spectra: Tensor,
    energies: Tensor,
    starts: Tensor,
    place: Tensor,
    hop: int,
    reach: int,
) -> list[Tensor]:
    size = hop + 2 * reach
    row = torch.arange(len(place), device=place.device)
    candidate = torch.arange(2 * reach, device=place.device)
    places: list[Tensor] = []
    for t in range(starts.shape[1]):
        # The last bin is removed, as in `by_rows`.
        wanted = torch.fft.rfft(continuations[row, place + hop], size)[:, :-1]
        similarity = torch.fft.irfft(spectra[:, t] * wanted.conj(), size)[:, 1 : 2 * reach + 1]
        distance = torch.sub(energies[:, t], similarity, alpha=2)
        # Only positions after the last piece are allowed, so that an attack is not repeated.
        first = starts[:, t] + 1
        place = first + distance.masked_fill_(
            candidate < (place - first)[:, None], float("inf")
        ).argmin(1)
        places.append(place)
    return places
