"""Noise of any colour at a given signal-to-noise ratio, as in torch-audiomentations' AddColoredNoise, but never tiled.

The amplitude spectrum is (1 + (sqrt(sr/2) - 1) f / (sr/2)) ** -decay: decay 0 is white; elsewhere the spectrum is flat below about 100 Hz and
falls by 20 dB a decade for each unit of decay above (so 0.5 is pink, 1 brown, -0.5 blue, -1 violet). The reference makes one second of it and
repeats that; ours is as long as the clip. Noise is made where it is shaped: independent spectral coefficients and one inverse FFT, whose sums
over tens of thousands of them are normal. The coefficients come from an integer hash, so CPU and GPU make the same noise.
"""

from typing import Any

import torch
from torch import Tensor

from semisupcon.augmentations.base import Transform
from semisupcon.augmentations.fourier import fast_size, irfft
from semisupcon.augmentations.level import check_range
from semisupcon.random import derive, uniform_between


def hashed_noise(key: Tensor, n: int, seed: Tensor | None = None) -> Tensor:
    """White, uniform draws ``[N, n]`` float32 in [-1, 1), 16 bits each, two from a 32-bit hash of key and position (xor-shift-multiply).

    ``seed [N]`` is `noise_seed` of the keys, where it is known.
    """
    seed = noise_seed(key) if seed is None else seed
    # The two halves of the key enter at different places, so no row is another one from a later position.
    low, high = seed.to(torch.int32)[:, None], (seed >> 32).to(torch.int32)[:, None]
    x = torch.arange(-(-n // 2), dtype=torch.int32, device=key.device) * -1640531527 + low  # 2^32 / golden ratio, as a signed number
    shifted = torch.empty_like(x)

    def fold(bits: int) -> None:
        x.bitwise_xor_(torch.bitwise_right_shift(x, bits, out=shifted).bitwise_and_((1 << (32 - bits)) - 1))

    fold(15)
    x.mul_(0x7FEB352D).bitwise_xor_(high)
    fold(16)
    x.mul_(-2073254261)
    fold(16)
    return x.view(torch.int16)[:, :n].float().mul_(2.0**-15)


def noise_seed(key: Tensor) -> Tensor:
    """What `hashed_noise` computes from keys ``[N]``: int64 of the same shape."""
    return derive(key, "noise")


def colored_noise(key: Tensor, samples: int, sample_rate: int, decay: Tensor, seed: Tensor | None = None) -> Tensor:
    """Noise ``[N, samples]`` of unit root mean square, with spectral decay exponents ``decay [N]``; ``seed`` as in `hashed_noise`."""
    size = fast_size(samples)
    bins = size // 2 + 1
    spectrum = torch.view_as_complex(hashed_noise(key, 2 * bins, seed).view(len(key), bins, 2))
    nyquist = sample_rate / 2
    ramp = torch.linspace(1, nyquist**0.5, bins, device=key.device).log()
    shape = torch.exp(ramp * -decay[:, None])
    shape[:, 0] = 0  # no offset
    noise = irfft(spectrum.mul_(shape), size)[:, :samples]
    return noise.div_(rms(noise).clamp(min=torch.finfo(noise.dtype).tiny))


def rms(audio: Tensor) -> Tensor:
    """Root mean square along the last axis, kept as an axis of one."""
    return torch.linalg.vector_norm(audio, dim=-1, keepdim=True) / audio.shape[-1] ** 0.5


class AddColoredNoise(Transform):
    """Add noise with a drawn signal-to-noise ratio and spectral slope; each channel gets noise of its own level, of the same shape.

    The ratio is between root mean squares over the whole row, as it stands at this point of the chain: silence stays silent.

    Args:
        sample_rate: Hz.
        min_snr_db: loudest noise.
        max_snr_db: softest noise.
        min_decay: spectral exponent (see the module); -2 makes noise that rises by 40 dB a decade.
        max_decay: its upper end.
        p: probability per row.
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
        return torch.stack([uniform_between(key, "snr", *self.snr), uniform_between(key, "decay", *self.decay)], 1)

    def prepare(self, parameters: Tensor, key: Tensor, samples: int) -> dict[str, Any]:
        return {"seed": noise_seed(key)}

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor, seed: Tensor) -> Tensor:
        snr, decay = parameters.unbind(1)
        noise = colored_noise(key, audio.shape[-1], self.sample_rate, decay, seed)[:, None]
        return torch.addcmul(audio, noise.to(audio.dtype), rms(audio) * 10 ** (-snr[:, None, None] / 20))


class AddNoise(Transform):
    """Add white noise whose standard deviation is a drawn share of the row's (CLMR: torchaudio-augmentations' Noise, there per batch).

    Args:
        min_ratio: softest noise; 0.0001 is 80 dB below the sound.
        max_ratio: loudest noise; 0.01 is 40 dB below it.
        p: probability per row.
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
        noise = colored_noise(key, audio.shape[-1], 2, torch.zeros(len(key), device=key.device), seed)[:, None].to(audio.dtype)
        deviation = rms(audio - audio.mean(-1, keepdim=True))
        return torch.addcmul(audio, noise, deviation * parameters[:, :, None])
