"""Base class of mel front ends, with framing, Fourier transform and mel filters."""

import math
import warnings
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad

from semisupcon.errors import ConfigError
from semisupcon.frontends.base import Count, Frontend
from semisupcon.frontends.planes import Planes, fourier_transform


def mel_filters(bins: int, f_min: float, f_max: float, n_mels: int, sample_rate: int) -> Tensor:
    """Return triangular filters ``[bins, n_mels]`` on the HTK mel scale, 2595 log10(1 + Hz / 700).

    Filters are not normalised by area. They are bit-identical to those of
    ``torchaudio.functional.melscale_fbanks``. torchaudio is not used, because each of its wheels
    works with only one build of torch, and inference should not depend on it.

    Args:
        bins: number of bins of the spectrum, from 0 Hz to half the sample rate.
        f_min, f_max: lower edge of the lowest filter and upper edge of the highest filter in Hz.
        n_mels: number of filters. Each filter extends from the centre of the next lower filter to
            the centre of the next higher one.
        sample_rate: sample rate in Hz.
    """
    lowest, highest = (2595.0 * math.log10(1.0 + f / 700.0) for f in (f_min, f_max))
    corners = 700.0 * (10.0 ** (torch.linspace(lowest, highest, n_mels + 2) / 2595.0) - 1.0)
    distance = corners[None, :] - torch.linspace(0, sample_rate // 2, bins)[:, None]
    width = corners.diff()
    rising, falling = -distance[:, :-2] / width[:-1], distance[:, 2:] / width[1:]
    return torch.minimum(rising, falling).clamp(min=0.0)


class MelFrontend(Frontend):
    """Base class of mel front ends, with framing, Fourier transform and mel filters.

    The waveform is reflected by ``padding`` samples at both ends. Frames have ``win_length``
    samples, begin every ``hop_length`` samples, and are zero-padded to ``n_fft``. Filters are
    triangles in Hz with HTK spacing, without area normalisation. Subclasses register the buffer
    ``window`` and define ``spectrogram(x)``.

    Spectrograms are computed in float32 (float64 if the module was cast to float64), regardless of
    autocast and other casts. The output has the dtype to which the module was cast.

    Args:
        sample_rate: sample rate in Hz.
        n_fft: number of points of the Fourier transform.
        win_length: number of samples of a frame; None is ``n_fft``.
        hop_length: number of samples between the starts of frames.
        padding: number of reflected samples at each end. None is half a window, which centres
            frames; 0 is no padding.
        n_mels: number of bands.
        f_min: lowest frequency in Hz.
        f_max: highest frequency in Hz; None is half the sample rate.

    Attributes:
        as_convolution: whether the Fourier transform is a convolution and spectra are `Planes`, for
            exported graphs.
    """

    as_convolution = False
    window: Tensor
    filters: Tensor
    cast: Tensor

    def __init__(
        self,
        sample_rate: int,
        n_fft: int,
        win_length: int | None,
        hop_length: int,
        padding: int | None,
        n_mels: int,
        f_min: float,
        f_max: float | None,
    ):
        super().__init__()
        win_length, f_max = win_length or n_fft, f_max or sample_rate / 2
        if not (
            0 < win_length <= n_fft and hop_length > 0 and 0 <= f_min < f_max <= sample_rate / 2
        ):
            raise ConfigError(
                f"{type(self).__name__} needs 0 < win_length <= n_fft, hop_length > 0 and 0 <= "
                "f_min < f_max <= sample_rate / 2; "
                f"got win_length {win_length}, n_fft {n_fft}, hop_length {hop_length}, f_min "
                f"{f_min}, f_max {f_max} at {sample_rate} Hz."
            )
        self.sample_rate, self.bands = sample_rate, n_mels
        self.n_fft, self.win_length, self.hop_length = n_fft, win_length, hop_length
        self.padding = win_length // 2 if padding is None else padding
        self.min_samples = max(self.padding + 1, self.samples_for(1))
        with torch.device("cpu"):  # compute the filters even for a model on the meta device
            self.register_buffer(
                "filters",
                mel_filters(n_fft // 2 + 1, f_min, f_max, n_mels, sample_rate),
                persistent=False,
            )
            empty = int((self.filters.amax(dim=0) == 0).sum())
            if empty:
                warnings.warn(
                    f"{type(self).__name__}: {empty} of {n_mels} mel bands hold no bin of the "
                    "Fourier transform and are always empty. "
                    f"Give a larger n_fft ({n_fft}) or fewer n_mels.",
                    stacklevel=2,
                )
            self.register_buffer(
                "cast", torch.zeros(()), persistent=False
            )  # this buffer has the dtype to which the module was cast

    def forward(self, x: Tensor) -> Tensor:
        if self.as_convolution:  # exported graphs have no autocast
            return self.spectrogram(x)
        with torch.autocast(x.device.type, enabled=False):
            return self.spectrogram(x).to(self.cast.dtype)

    def spectrogram(self, x: Tensor) -> Tensor:
        """Compute spectrograms ``[N, channels, n_mels, frames]`` of waveforms ``[N, 1, T]``."""
        raise TypeError(f"{type(self).__name__} defines no spectrogram(x)")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Apply ``to``, ``half`` etc., but keep constants at least in float32."""
        exact = {name: constant for name, constant in self._buffers.items() if name != "cast"}
        super()._apply(fn, recurse)
        for name, constant in exact.items():
            moved = self._buffers[name]
            if constant is not None and moved is not None and torch.finfo(moved.dtype).bits < 32:
                self._buffers[name] = constant.to(moved.device)
        return self

    def frame_count(self, samples: Count) -> Count:
        return 1 + (samples + 2 * self.padding - self.win_length) // self.hop_length

    def samples_for(self, frames: int) -> int:
        """Return the length in samples of the shortest waveform that gives ``frames`` frames."""
        return max(1, (frames - 1) * self.hop_length + self.win_length - 2 * self.padding)

    def stft(self, x: Tensor, window: Tensor) -> Tensor | Planes:
        """Compute complex spectra ``[N, n_fft / 2 + 1, frames]`` of waveforms ``[N, 1, T]``."""
        x = x[:, 0].float()
        if self.padding:
            x = pad(x, (self.padding, self.padding), mode="reflect")
        if self.as_convolution:
            return fourier_transform(x, window, self.n_fft, self.hop_length)
        # torch.stft centres the window in n_fft points, so pad with zeros to keep the positions of
        # frames.
        x = pad(x, ((self.n_fft - self.win_length) // 2, (self.n_fft - self.win_length + 1) // 2))
        return torch.stft(
            x,
            self.n_fft,
            self.hop_length,
            self.win_length,
            window,
            center=False,
            return_complex=True,
        )

    def to_mel(self, spectrum: Tensor) -> Tensor:
        """Apply mel filters: ``[N, n_fft / 2 + 1, frames]`` to ``[N, n_mels, frames]``."""
        if self.as_convolution:  # matrix products depend on whether the batch has one waveform
            return conv1d(spectrum, self.filters.T[:, :, None])
        return (spectrum.transpose(1, 2) @ self.filters).transpose(1, 2)

    def to_complex_mel(self, spectrum: Tensor | Planes) -> Tensor | Planes:
        """Apply mel filters to the real and to the imaginary parts of spectra."""
        parts = self.to_mel(spectrum.real), self.to_mel(spectrum.imag)
        return Planes(*parts) if isinstance(spectrum, Planes) else torch.complex(*parts)
