"""Fourier transforms at lengths they like, and resampling by any ratio through them."""

import math
from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=64)
def _smooth_numbers(limit: int) -> list[int]:
    numbers = [1]
    for prime in (2, 3, 5, 7):
        for n in numbers:  # grows while it is walked: every product with the prime is walked again
            if n * prime <= limit:
                numbers.append(n * prime)
    return sorted(numbers)


@lru_cache(maxsize=1024)
def fast_size(n: int) -> int:
    """The smallest even size of at least ``n`` that has no prime factor above 7."""
    half = (n + 1) // 2
    sizes = _smooth_numbers(1 << max(4, half.bit_length()))
    return 2 * sizes[bisect_left(sizes, half)]


def rfft(x: Tensor, size: int) -> Tensor:
    """Spectra ``[..., size // 2 + 1]`` of ``x`` cut or zero-padded to ``size``, bit for bit the same for any number of rows."""
    return _never_alone(torch.fft.rfft, x, size)


def irfft(x: Tensor, size: int) -> Tensor:
    """Signals ``[..., size]`` of spectra cut or zero-padded to ``size // 2 + 1`` bins, bit for bit the same for any number of rows."""
    return _never_alone(torch.fft.irfft, x, size)


def _never_alone(transform: Callable[..., Tensor], x: Tensor, size: int) -> Tensor:
    # The CPU library splits a lone transform over threads and rounds differently than in company; a twin keeps it company.
    if x.numel() == x.shape[-1] and x.device.type == "cpu":
        return transform(x.reshape(1, -1).expand(2, -1), n=size)[:1].reshape(*x.shape[:-1], -1)
    return transform(x, n=size)


def by_rows(spectrum: Tensor) -> Tensor:
    """A spectrum without its last bin, which the inverse takes for zero.

    On the CPU, products of complex numbers round otherwise in the last few elements of a tensor than before. A tensor with gaps between its rows
    is worked through row by row, so every row is treated alike.
    """
    return spectrum[..., :-1]


@lru_cache(maxsize=4096)
def resampling_sizes(samples: int, ratio: float) -> tuple[int, int]:
    """Fast sizes (n, m) with n >= ``samples`` and n / m within 1 cent of ``ratio`` wherever that is possible with n up to an eighth longer.

    A signal of n samples played as m samples sounds higher by n / m.
    """
    sizes = [2 * n for n in _smooth_numbers(1 << (int(samples * max(1.2, 1.2 / ratio)) + 16).bit_length())]
    best = (math.inf, 0, 0)
    for n in sizes[bisect_left(sizes, samples) :]:
        if best[1] and n > 1.125 * samples:
            break
        place = bisect_left(sizes, n / ratio)
        for m in sizes[max(0, place - 1) : place + 1]:
            error = abs(n / m / ratio - 1)
            if error < best[0]:
                best = (error, n, m)
        if best[0] < 2e-4:  # a third of a cent: no longer size is worth it
            break
    return best[1], best[2]


def change_rate(x: Tensor, ratio: float) -> tuple[Tensor, float]:
    """Play ``x [n, C, T]`` faster by ``ratio``, band-limited: ``[n, C, about T / ratio]``, and the ratio in fact used.

    The spectrum is cut, or continued with zeros, at the new Nyquist frequency; the last 2 % below it are tapered, which keeps the ringing short.
    """
    samples = x.shape[-1]
    n, m = resampling_sizes(samples + min(samples, 64), ratio)
    spectrum = rfft(x, n)
    bins = min(n, m) // 2 + 1
    spectrum = spectrum[..., :bins]
    taper = max(1, bins // 50)
    spectrum[..., -taper:] *= torch.linspace(1, 0, taper, device=x.device, dtype=x.dtype).mul(torch.pi / 2).sin().square()
    return irfft(spectrum, m) * (m / n), n / m
