"""Fourier transforms of another size in every row, all rows at once (chirp z-transform: Bluestein 1970).

On an accelerator `change_rate` for every row by itself would be dozens of small kernels a row. Here the
discrete Fourier transform of size n is a convolution with a chirp, exp(i pi t^2 / n), whose phase is
reduced modulo a turn in integers. The result is that of `change_rate` but for rounding.
"""

import torch
from torch import Tensor

from semisupcon.augmentations.fourier import fast_size

ELEMENTS = 1 << 27  # complex numbers that one block of rows may take


def chirp(t: Tensor, size: Tensor) -> Tensor:
    """``exp(-i pi t^2 / size)``, complex64 ``[n, *t]``, for integers ``t [...]`` and ``size [n]``."""
    turns = (t * t) % (2 * size.view(-1, *[1] * t.ndim))
    angle = turns.to(torch.float32) * (-torch.pi / size.to(torch.float32)).view(-1, *[1] * t.ndim)
    return torch.polar(torch.ones_like(angle), angle)


def _convolved(x: Tensor, size: Tensor, which: Tensor, outputs: int) -> Tensor:
    """``y[j] = sum over k of x[k] / chirp(j - k)`` for j below ``outputs``; ``x [R, C, K]`` complex."""
    length = fast_size(x.shape[-1] + outputs)
    t = torch.arange(length, device=x.device)
    kernel = torch.fft.fft(chirp(torch.where(t < outputs, t, length - t), size).conj())
    product = torch.fft.fft(x, length).mul_(kernel[which, None])
    return torch.fft.ifft(product)[..., :outputs]


def transformed(x: Tensor, size: Tensor, which: Tensor, bins: int) -> Tensor:
    """The first ``bins`` of the discrete Fourier transform of ``x [R, C, T]``, zero-padded to ``size[which] [R]``."""
    wave = chirp(torch.arange(max(x.shape[-1], bins), device=x.device), size)[which, None]
    return _convolved(x * wave[..., : x.shape[-1]], size, which, bins).mul_(wave[..., :bins])


def restored(spectrum: Tensor, size: Tensor, which: Tensor, samples: int) -> Tensor:
    """``Re(sum over k of spectrum[k] exp(2 pi i j k / size[which]))`` for j below ``samples``; ``spectrum [R, C, K]``."""
    wave = chirp(torch.arange(max(spectrum.shape[-1], samples), device=spectrum.device), size)[which, None]
    # The conjugate of the forward transform of the conjugate, of which the real part is the same.
    rotated = _convolved(spectrum.conj() * wave[..., : spectrum.shape[-1]], size, which, samples)
    return rotated.mul_(wave[..., :samples]).real


def change_rates(x: Tensor, n: Tensor, m: Tensor, which: Tensor, longest: int, bins: int) -> Tensor:
    """`change_rate` of rows ``x [R, C, T]`` that are each played as m samples of n.

    Args:
        x: real signals.
        n: ``[S]`` int64, sizes of the forward transform, at least T.
        m: ``[S]`` int64, sizes of the inverse transform, the samples of the result.
        which: ``[R]`` int64, the pair of sizes of each row.
        longest: largest m.
        bins: largest ``min(n, m) // 2 + 1``.

    Returns:
        ``[R, C, longest]``, zero after m.
    """
    rows = max(1, ELEMENTS // (x.shape[1] * fast_size(x.shape[-1] + longest)))
    if len(x) > rows:
        parts = zip(x.split(rows), which.split(rows), strict=True)
        return torch.cat([change_rates(part, n, m, own, longest, bins) for part, own in parts])
    kept = torch.minimum(n, m)[:, None] // 2 + 1
    k = torch.arange(bins, device=x.device)
    taper = (kept // 50).clamp(min=1)
    # 1 up to the taper, then from 1 to 0 in `taper` bins.
    place = (kept - 1 - k) / (taper - 1).clamp(min=1)
    weight = (place.clamp(0, 1) * (torch.pi / 2)).sin().square()
    weight = torch.where(taper > 1, weight, 1.0) * (k < kept)
    # A bin stands for itself and for its mirror image, but for the first one and that at the new Nyquist frequency.
    weight = weight * torch.where((k == 0) | (2 * k == m[:, None]), 1.0, 2.0) / n[:, None]
    y = restored(transformed(x, n, which, bins).mul_(weight[which, None]), m, which, longest)
    return y * (torch.arange(longest, device=x.device) < m[:, None])[which, None]
