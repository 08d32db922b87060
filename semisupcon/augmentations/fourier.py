"""Fourier transforms of efficient sizes, and resampling by any ratio with these transforms."""

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
        for n in numbers:  # the list grows during the iteration, which also visits new products
            if n * prime <= limit:
                numbers.append(n * prime)
    return sorted(numbers)


@lru_cache(maxsize=1024)
def fast_size(n: int) -> int:
    """Return the smallest even number that is at least ``n`` and has no prime factors above 7."""
    half = (n + 1) // 2
    sizes = _smooth_numbers(1 << max(4, half.bit_length()))
    return 2 * sizes[bisect_left(sizes, half)]


def rfft(x: Tensor, size: int) -> Tensor:
    """Return the spectra ``[..., size // 2 + 1]`` of ``x``, which is cut or zero-padded to
    ``size``.

    The result of a row is bit-identical for any number of rows.
    """
    return _never_alone(torch.fft.rfft, x, size)


def irfft(x: Tensor, size: int) -> Tensor:
    """Return the signals ``[..., size]`` of spectra.

    Spectra are cut or zero-padded to ``size // 2 + 1`` bins.

    The result of a row is bit-identical for any number of rows.
    """
    return _never_alone(torch.fft.irfft, x, size)


def _never_alone(transform: Callable[..., Tensor], x: Tensor, size: int) -> Tensor:
    # For a single row, the FFT library of the CPU splits the transform over threads, which rounds
    # differently than a batch of several rows. Therefore duplicate a single row.
    if x.numel() == x.shape[-1] and x.device.type == "cpu":
        return transform(x.reshape(1, -1).expand(2, -1), n=size)[:1].reshape(*x.shape[:-1], -1)
    return transform(x, n=size)


def by_rows(spectrum: Tensor) -> Tensor:
    """Remove the last bin of each spectrum, so that all rows are rounded in the same way.

    On the CPU, products of complex numbers round differently in the last few elements of a tensor.
    A tensor with gaps between its rows is processed row by row, which avoids this. The inverse
    transform treats the missing bin as zero.
    """
    return spectrum[..., :-1]


@lru_cache(maxsize=4096)
def resampling_sizes(samples: int, ratio: float) -> tuple[int, int]:
    """Return efficient FFT sizes (n, m) with n >= ``samples`` and n / m close to ``ratio``.

    Resampling from n to m samples multiplies the pitch by n / m. The error of the ratio is below 1
    cent if such sizes exist with n up to ``samples`` * 9 / 8.
    """
    sizes = [
        2 * n
        for n in _smooth_numbers(1 << (int(samples * max(1.2, 1.2 / ratio)) + 16).bit_length())
    ]
    best = (math.inf, 0, 0)
    for n in sizes[bisect_left(sizes, samples) :]:
        if best[1] and n > 1.125 * samples:
            break
        place = bisect_left(sizes, n / ratio)
        for m in sizes[max(0, place - 1) : place + 1]:
            error = abs(n / m / ratio - 1)
            if error < best[0]:
                best = (error, n, m)
        if best[0] < 2e-4:  # a third of a cent; larger sizes cost more time
            break
    return best[1], best[2]


def change_rate(x: Tensor, ratio: float) -> tuple[Tensor, float]:
    """Speed up ``x [n, C, T]`` by the factor ``ratio`` with band-limited resampling.

    Returns the audio ``[n, C, about T / ratio]`` and the actual ratio. The spectrum is cut or
    zero-padded at the new Nyquist frequency. A taper over the last 2 % of the remaining spectrum
    shortens the ringing.
    """
    samples = x.shape[-1]
    n, m = resampling_sizes(samples + min(samples, 64), ratio)
    spectrum = rfft(x, n)
    bins = min(n, m) // 2 + 1
    spectrum = spectrum[..., :bins]
    taper = max(1, bins // 50)
    spectrum[..., -taper:] *= (
        torch.linspace(1, 0, taper, device=x.device, dtype=x.dtype).mul(torch.pi / 2).sin().square()
    )
    return irfft(spectrum, m) * (m / n), n / m
