"""Fourier transforms as convolutions: complex spectra as two real tensors.

Interchange formats such as ONNX have no complex tensors. A convolution whose kernels are windowed
cosines and sines computes the same transform (`MelFrontend.as_convolution`).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv1d


class Planes(NamedTuple):
    """A complex tensor as its real and imaginary parts.

    It has the attributes and methods of a complex tensor that front ends use.
    """

    real: Tensor
    imag: Tensor

    def abs(self) -> Tensor:
        """Return the magnitude."""
        return (self.real.square() + self.imag.square()).sqrt()


def phase(real: Tensor, imag: Tensor) -> Tensor:
    """Return the phase in radians, as `torch.atan2`, with operators that all formats have.

    The ``atan2`` that PyTorch's exporter writes to ONNX gives 0 instead of pi for negative real
    numbers.
    """
    zero = real == 0
    half = (imag / torch.where(zero, torch.ones_like(real), real)).atan()
    side = torch.where(imag >= 0, torch.full_like(real, math.pi), torch.full_like(real, -math.pi))
    turned = torch.where(real < 0, half + side, half)
    return torch.where(zero, imag.sign() * (math.pi / 2), turned)


def fourier_kernels(window: Tensor, n_fft: int) -> Tensor:
    """Return windowed cosines and sines ``[2 (n_fft / 2 + 1), 1, win_length]``, cosines first.

    Args:
        window: ``[win_length]``; it is centred in ``n_fft`` points, as in `torch.stft`.
        n_fft: number of points of the Fourier transform.
    """
    first = (n_fft - len(window)) // 2
    places = first + torch.arange(len(window), device=window.device)
    bins = torch.arange(n_fft // 2 + 1, device=window.device)
    # The product of whole numbers is reduced before it is rounded, so that angles are exact.
    angles = (bins[:, None] * places % n_fft).double() * (2 * math.pi / n_fft)
    kernels = torch.cat([angles.cos(), -angles.sin()]) * window.double()
    return kernels.to(window.dtype)[:, None]


def fourier_transform(x: Tensor, window: Tensor, n_fft: int, hop_length: int) -> Planes:
    """Compute the spectra ``[N, n_fft / 2 + 1, frames]`` of waveforms ``[N, T]``.

    Up to rounding, they are those of `torch.stft` of waveforms that are padded with zeros by half
    of ``n_fft - win_length`` at both ends.
    """
    kernels = fourier_kernels(window, n_fft)
    spectrum = conv1d(x[:, None], kernels, stride=hop_length)
    return Planes(*spectrum.chunk(2, dim=1))
