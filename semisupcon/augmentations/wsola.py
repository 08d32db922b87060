"""Time-scale modification by overlapping similar pieces of waveform (WSOLA: Verhelst and Roelands 1993), a batch with a rate per row.

The output is built in hops. At each, the piece that follows naturally on what was last copied fades out while a new piece fades in, taken
within a hop of where the rate says the input should be: the one most like the natural continuation, with a slight preference for being on
time. So phases are kept, nothing is out of tune, and the walk jumps where the sound is quiet or repeats itself, not across an attack. All rows
walk together, one FFT a hop; what a hop needs is small enough to stay in the cache.
"""

import torch
from torch import Tensor

from semisupcon.augmentations.fourier import by_rows, irfft, rfft
from semisupcon.augmentations.gather import pieces

PUNCTUALITY = 0.05  # cost of a piece a whole hop off, in mean energies of a piece


def hop_size(sample_rate: int) -> int:
    """About 23 ms, a power of two: long enough to hold a period of 43 Hz."""
    return 1 << max(4, round(sample_rate * 0.0232).bit_length() - 1)


def stretch(audio: Tensor, step: Tensor, samples: int, hop: int) -> Tensor:
    """Walk through every row at its own speed.

    Args:
        audio: ``[n, C, L]``; whatever lies beyond its end is silence.
        step: ``[n]`` input samples per output sample; below 1 makes the sound longer. Pitch is kept.
        samples: length of the output.
        hop: samples between pieces, which overlap by as much.

    Returns:
        ``[n, C, samples]``.
    """
    hops = -(-samples // hop)
    # A piece is played at its own speed, so it is its middle that should be on time. Places count from one hop of silence before the input.
    middles = torch.arange(1, hops + 1, device=audio.device) * hop
    nominal = (middles * step[:, None].double() - hop).round().long().clamp(min=0, max=audio.shape[-1])
    padded = torch.nn.functional.pad(audio, (hop, 4 * hop))
    places = _similar_places(padded[:, 0] if padded.shape[1] == 1 else padded.mean(1), nominal, hop)

    fade = torch.linspace(0, torch.pi / 2, hop + 1, device=audio.device, dtype=audio.dtype)[:-1].sin().square()
    output = pieces(padded, places, hop)
    output[:, :, 1:] *= fade
    output[:, :, 1:] += pieces(padded, places[:, :-1] + hop, hop).mul_(1 - fade)
    return output.flatten(2)[..., :samples]


def _similar_places(mono: Tensor, nominal: Tensor, hop: int) -> Tensor:
    """``[n, hops]``: where in ``mono [n, L]`` each piece starts, within a hop of its nominal place ``[n, hops]`` (both in ``mono``'s samples)."""
    n, size = len(mono), 3 * hop
    row = torch.arange(n, device=mono.device)
    regions, continuations = mono.unfold(-1, size, 1), mono.unfold(-1, hop, 1)
    late = torch.linspace(-1, 1, 2 * hop + 1, device=mono.device, dtype=mono.dtype)[1:].square()
    # Over pieces that are on time, not over the row: how far it is filled up with silence depends on its neighbours.
    energy = torch.linalg.vector_norm(continuations[row[:, None], nominal + hop].flatten(1), dim=-1, keepdim=True).square()
    penalty = PUNCTUALITY / nominal.shape[1] * energy * late

    candidate = torch.arange(2 * hop, device=mono.device)
    both = mono.new_zeros(2, n, size)  # where to search, and what to look for
    place = torch.full_like(row, hop)
    places = [place]
    for start in nominal.unbind(1)[1:]:
        both[0] = regions[row, start]
        both[1, :, :hop] = continuations[row, place + hop]
        region, wanted = rfft(both, size)
        similarity = irfft(by_rows(region) * by_rows(wanted).conj(), size)[:, 1 : 2 * hop + 1]
        # The squared distance of two pieces: their energies (the continuation's is the same for all candidates), minus twice their product.
        total = both[0].square().cumsum(-1)
        distance = (total[:, hop:] - total[:, : 2 * hop] + penalty).sub_(similarity, alpha=2)
        # From nowhere before the last piece: an attack that was heard is not repeated.
        first = start + 1
        place = first + distance.masked_fill_(candidate < (place - first)[:, None], torch.inf).argmin(1)
        places.append(place)
    return torch.stack(places, 1)
