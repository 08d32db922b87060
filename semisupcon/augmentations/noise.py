"""Coloured noise at a given signal-to-noise ratio, like AddColoredNoise of torch-audiomentations.

The amplitude spectrum at frequency f is (1 + (sqrt(sr/2) - 1) f / (sr/2)) ** -decay, where sr is
the sample rate. A decay of 0 gives white noise. Otherwise the spectrum is flat below about 100 Hz,
and falls above by 20 dB per decade times the decay (0.5 is pink, 1 brown, -0.5 blue, -1 violet).

torch-audiomentations repeats one second of noise; this noise is as long as the clip. One inverse
FFT computes it from independent spectral coefficients. Each sample is a sum of tens of thousands of
coefficients, so samples are normally distributed. The coefficients come from an integer hash, so
CPU and GPU generate the same noise.
"""

from typing import Any

import torch
from torch import Tensor

from semisupcon.augmentations.fourier import fast_size, irfft
from semisupcon.augmentations.level import check_range
from semisupcon.augmentations.transform import Transform
from semisupcon.random import derive, uniform_between


def hashed_noise(key: Tensor, n: int, seed: Tensor | None = None) -> Tensor:
    """Return white uniform noise ``[N, n]`` float32 in [-1, 1) with a resolution of 16 bits.

    Each 32-bit hash (xor-shift-multiply) of key and position gives two values. ``seed [N]`` is the
    result of `noise_seed` for the keys, if known.
    """
    seed = noise_seed(key) if seed is None else seed
    # The two halves of the seed are used in different steps, so that no row is a shifted copy of
    # another row.
    low, high = seed.to(torch.int32)[:, None], (seed >> 32).to(torch.int32)[:, None]
    x = (
        torch.arange(-(-n // 2), dtype=torch.int32, device=key.device) * -1640531527 + low
    )  # 2^32 / golden ratio, as a signed integer
    shifted = torch.empty_like(x)

    def fold(bits: int) -> None:
        x.bitwise_xor_(
            torch.bitwise_right_shift(x, bits, out=shifted).bitwise_and_((1 << (32 - bits)) - 1)
        )

    fold(15)
    x.mul_(0x7FEB352D).bitwise_xor_(high)
    fold(16)
    x.mul_(-2073254261)
    fold(16)
    return x.view(torch.int16)[:, :n].float().mul_(2.0**-15)


def noise_seed(key: Tensor) -> Tensor:
    """Return the seeds ``[N]`` (int64) of `hashed_noise` for keys ``[N]``."""
    return derive(key, "noise")


def colored_noise(
    key: Tensor, samples: int, sample_rate: int, decay: Tensor, seed: Tensor | None = None
) -> Tensor:
    """Return noise ``[N, samples]`` with an RMS of 1 and spectral decay exponents ``decay [N]``.

    ``seed [N]`` is the result of `noise_seed` for the keys, if known.
    """
    size = fast_size(samples)
    bins = size // 2 + 1
    spectrum = torch.view_as_complex(hashed_noise(key, 2 * bins, seed).view(len(key), bins, 2))
    nyquist = sample_rate / 2
    ramp = torch.linspace(1, nyquist**0.5, bins, device=key.device).log()
    shape = torch.exp(ramp * -decay[:, None])
    shape[:, 0] = 0  # no DC offset
    noise = irfft(spectrum.mul_(shape), size)[:, :samples]
    return noise.div_(rms(noise).clamp(min=torch.finfo(noise.dtype).tiny))


def rms(audio: Tensor) -> Tensor:
    """Return the root mean square along the last axis, which is kept with size 1."""
    return torch.linalg.vector_norm(audio, dim=-1, keepdim=True) / audio.shape[-1] ** 0.5


class AddColoredNoise(Transform):
    """Add noise with a random signal-to-noise ratio and spectral slope.

    The ratio is that of the root mean squares of the whole row, at this stage of the chain, and of
    the noise. Silent rows remain silent. All channels get the same noise, scaled to the level of
    the channel.

    Args:
        sample_rate: sample rate in Hz.
        min_snr_db: lowest signal-to-noise ratio (loudest noise).
        max_snr_db: highest signal-to-noise ratio (softest noise).
        min_decay: lowest spectral exponent, see the docstring of the module. Noise with -2 rises by
            40 dB per decade.
        max_decay: highest spectral exponent.
        p: probability that the transform is applied to a row.
    """

    parameter_names = ("snr_db", "decay")

    def __init__(
        self,
        sample_rate: int,
        min_snr_db: float = 3.0,
        max_snr_db: float = 30.0,
        min_decay: float = -2.0,
        max_decay: float = 2.0,
        p: float = 1.0,
        name: str = "add_colored_noise",
    ):
        super().__init__(p)
        check_range(self, "the signal-to-noise ratio", min_snr_db, max_snr_db)
        check_range(self, "the spectral decay", min_decay, max_decay)
        self.sample_rate, self.name = sample_rate, name
        self.snr, self.decay = (min_snr_db, max_snr_db), (min_decay, max_decay)

    def draw(self, key: Tensor, samples: int) -> Tensor:
        return torch.stack(
            [uniform_between(key, "snr", *self.snr), uniform_between(key, "decay", *self.decay)], 1
        )

    def prepare(self, parameters: Tensor, key: Tensor, samples: int) -> dict[str, Any]:
        return {"seed": noise_seed(key)}

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor, seed: Tensor) -> Tensor:
        snr, decay = parameters.unbind(1)
        noise = colored_noise(key, audio.shape[-1], self.sample_rate, decay, seed)[:, None]
        return torch.addcmul(
            audio, noise.to(audio.dtype), rms(audio) * 10 ** (-snr[:, None, None] / 20)
        )


class AddNoise(Transform):
    """Add white noise whose standard deviation is a random fraction of that of the row (CLMR).

    This is Noise of torchaudio-augmentations, except that the ratio is drawn for each row, not once
    for a batch.

    Args:
        min_ratio: ratio of the softest noise; 0.0001 is 80 dB below the signal.
        max_ratio: ratio of the loudest noise; 0.01 is 40 dB below the signal.
        p: probability that the transform is applied to a row.
    """

    parameter_names = ("ratio",)

    def __init__(self, min_ratio: float = 0.0001, max_ratio: float = 0.01, p: float = 1.0):
        super().__init__(p)
        check_range(self, "the ratio", min_ratio, max_ratio)
        self.ratio = (min_ratio, max_ratio)

    def draw(self, key: Tensor, samples: int) -> Tensor:
        return uniform_between(key, "ratio", *self.ratio)[:, None]

    def prepare(self, parameters: Tensor, key: Tensor, samples: int) -> dict[str, Any]:
        return {"seed": noise_seed(key)}

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor, seed: Tensor) -> Tensor:
        noise = colored_noise(
            key, audio.shape[-1], 2, torch.zeros(len(key), device=key.device), seed
        )[:, None].to(audio.dtype)
        deviation = rms(audio - audio.mean(-1, keepdim=True))
        return torch.addcmul(audio, noise, deviation * parameters[:, :, None])
