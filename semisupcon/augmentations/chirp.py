"""Batched Fourier transforms whose size differs between rows (chirp z-transform, Bluestein 1970).

On an accelerator, calling `change_rate` for each row would launch dozens of small kernels per row.
This module instead computes the discrete Fourier transform of size n as a convolution with a chirp,
exp(i pi t^2 / n). The phase is reduced modulo 2 pi in integer arithmetic. Results equal those of
`change_rate` up to rounding.
"""

import torch
from torch import Tensor

from semisupcon.augmentations.fourier import fast_size

ELEMENTS = 1 << 27  # maximum number of complex numbers in a block of rows


def chirp(t: Tensor, size: Tensor) -> Tensor:
    """Return chirps ``exp(-i pi t^2 / size)`` for integers ``t [...]`` and ``size [n]``.

    The result is complex64 ``[n, ...]``.
    """
    turns = (t * t) % (2 * size.view(-1, *[1] * t.ndim))
    angle = turns.to(torch.float32) * (-torch.pi / size.to(torch.float32)).view(-1, *[1] * t.ndim)
    return torch.polar(torch.ones_like(angle), angle)


def _convolved(x: Tensor, size: Tensor, which: Tensor, outputs: int) -> Tensor:
    """Return ``y[j] = sum over k of x[k] / chirp(j - k)``, complex ``[R, C, outputs]``.

    ``x [R, C, K]`` is complex. The chirp of a row has the size ``size[which]``.
    """
    length = fast_size(x.shape[-1] + outputs)
    t = torch.arange(length, device=x.device)
    kernel = torch.fft.fft(chirp(torch.where(t < outputs, t, length - t), size).conj())
    product = torch.fft.fft(x, length).mul_(kernel[which, None])
    return torch.fft.ifft(product)[..., :outputs]


def transformed(x: Tensor, size: Tensor, which: Tensor, bins: int) -> Tensor:
    """Return the first ``bins`` of the DFT of ``x [R, C, T]``, zero-padded to ``size[which]``."""
    wave = chirp(torch.arange(max(x.shape[-1], bins), device=x.device), size)[which, None]
    return _convolved(x * wave[..., : x.shape[-1]], size, which, bins).mul_(wave[..., :bins])


def restored(spectrum: Tensor, size: Tensor, which: Tensor, samples: int) -> Tensor:
    """Return an inverse transform of ``spectrum [R, C, K]``, real ``[R, C, samples]``.

    Sample j is ``Re(sum over k of spectrum[k] exp(2 pi i j k / size[which]))``.
    """
    wave = chirp(torch.arange(max(spectrum.shape[-1], samples), device=spectrum.device), size)[
        which, None
    ]
    # The inverse transform is the conjugate of the forward transform of the conjugate. Conjugation
    # does not change the real part.
    rotated = _convolved(spectrum.conj() * wave[..., : spectrum.shape[-1]], size, which, samples)
    return rotated.mul_(wave[..., :samples]).real


def change_rates(x: Tensor, n: Tensor, m: Tensor, which: Tensor, longest: int, bins: int) -> Tensor:
    """Resample rows ``x [R, C, T]`` from n to m samples, with n and m for each row.

    Args:
        x: real signals ``[R, C, T]``.
        n: ``[S]`` int64, the sizes of the forward transform, at least T.
        m: ``[S]`` int64, the sizes of the inverse transform, which are the lengths of the results.
        which: ``[R]`` int64, the index in ``n`` and ``m`` of the sizes of each row.
        longest: the largest m.
        bins: the largest ``min(n, m) // 2 + 1``.

    Returns:
        ``[R, C, longest]``, zero after the m samples of each row.
    """
    rows = max(1, ELEMENTS // (x.shape[1] * fast_size(x.shape[-1] + longest)))
    if len(x) > rows:
        parts = zip(x.split(rows), which.split(rows), strict=True)
        return torch.cat([change_rates(part, n, m, own, longest, bins) for part, own in parts])
    kept = torch.minimum(n, m)[:, None] // 2 + 1
    k = torch.arange(bins, device=x.device)
    taper = (kept // 50).clamp(min=1)
    # The gain is 1 up to the taper, and falls from 1 to 0 over `taper` bins.
    place = (kept - 1 - k) / (taper - 1).clamp(min=1)
    weight = (place.clamp(0, 1) * (torch.pi / 2)).sin().square()
    weight = torch.where(taper > 1, weight, 1.0) * (k < kept)
    # Each bin counts twice because of its mirror image, except those at 0 Hz and at the new Nyquist
    # frequency.
    weight = weight * torch.where((k == 0) | (2 * k == m[:, None]), 1.0, 2.0) / n[:, None]
    y = restored(transformed(x, n, which, bins).mul_(weight[which, None]), m, which, longest)
    return y * (torch.arange(longest, device=x.device) < m[:, None])[which, None]
