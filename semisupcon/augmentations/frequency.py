"""Time stretch by phase vocoder, and the shift of all frequencies by a number of Hz."""

import torch
from torch import Tensor

from semisupcon.augmentations.base import Transform
from semisupcon.augmentations.fourier import fast_size, irfft, rfft
from semisupcon.augmentations.level import check_range
from semisupcon.errors import ConfigError
from semisupcon.random import uniform_between


class TimeStretch(Transform):
    """Play faster or slower at the same pitch (phase vocoder, Flanagan and Golden 1966; Hann window, 75 % overlap), then restore the length.

    MT-SLVR uses a rectangular window; ours is tapered, which keeps frames from clicking.

    Args:
        min_rate: slowest; 0.5 is half the speed.
        max_rate: fastest.
        restore: what follows a clip that became shorter: "circular" starts it again (MT-SLVR), "zero" is silence (SemiSupCon). Longer ones are cut.
        decimals: rates are rounded to so many.
        n_fft: window in samples.
        p: probability per row.
    """

    name = "time_stretch"
    parameter_names = ("rate",)

    def __init__(
        self,
        min_rate: float = 0.5,
        max_rate: float = 1.5,
        restore: str = "circular",
        decimals: int = 2,
        n_fft: int = 2048,
        p: float = 1.0,
    ):
        super().__init__(p)
        check_range(self, "the rate", min_rate, max_rate)
        if min_rate <= 0 or restore not in ("circular", "zero"):
            raise ConfigError(f"TimeStretch: rates are positive and restore is 'circular' or 'zero', got {min_rate} and {restore!r}.")
        self.range, self.restore, self.decimals, self.n_fft = (min_rate, max_rate), restore, decimals, n_fft

    def draw(self, key: Tensor, samples: int) -> Tensor:
        return uniform_between(key, "rate", *self.range).round(decimals=self.decimals)[:, None]

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor) -> Tensor:
        rate = parameters[:, 0]
        stretched = phase_vocoder(audio, rate, self.n_fft)
        samples = audio.shape[-1]
        length = (samples / rate.double()).round().long().clamp(min=1)[:, None]
        place = torch.arange(samples, device=audio.device)
        if self.restore == "zero":
            return stretched * (place < length)[:, None]
        return stretched.gather(-1, (place % length)[:, None].expand_as(stretched))


def phase_vocoder(audio: Tensor, rate: Tensor, n_fft: int) -> Tensor:
    """Rows ``[n, C, T]`` at their own speeds ``rate [n]``; the first T samples of the result, silence where it is shorter."""
    n, channels, samples = audio.shape
    hop = n_fft // 4
    window = torch.hann_window(n_fft, device=audio.device, dtype=audio.dtype)
    padded = torch.nn.functional.pad(audio.flatten(0, 1), (n_fft // 2, n_fft))
    spectrum = torch.stft(padded, n_fft, hop, window=window, center=False, return_complex=True).unflatten(0, (n, channels))
    frames = spectrum.shape[-1]
    place = torch.arange(samples // hop + 1, device=audio.device) * rate[:, None]  # [n, K], in frames of the input
    before = place.floor().long().clamp(max=frames - 2)
    fraction = (place - before).clamp(0, 1)[:, None, None].to(audio.dtype)
    index = before[:, None, None].expand(-1, channels, n_fft // 2 + 1, -1)
    here, there = spectrum.gather(-1, index), spectrum.gather(-1, index + 1)
    # Only phases modulo a turn matter, so the advance from frame to frame is the argument of a product, and its sum one of a running product.
    advance = torch.sgn(there * here.conj())
    advance = torch.where(advance == 0, 1, advance)
    phase = torch.cat([torch.sgn(spectrum[..., :1]), advance[..., :-1]], -1)
    phase = torch.where(phase == 0, 1, phase).cumprod(-1)
    stretched = torch.lerp(here.abs(), there.abs(), fraction) * torch.sgn(phase)
    output = torch.istft(stretched.flatten(0, 1), n_fft, hop, window=window, center=True, length=samples)
    return output.unflatten(0, (n, channels))


class FrequencyShift(Transform):
    """Add the same number of Hz to all frequencies (single-sideband shift); what leaves the band at either end is gone.

    Args:
        sample_rate: Hz.
        min_shift_hz: lowest shift.
        max_shift_hz: highest shift; the step is the resolution of the clip, a fraction of a Hz.
        p: probability per row.
    """

    name = "frequency_shift"
    parameter_names = ("shift_hz",)

    def __init__(self, sample_rate: int, min_shift_hz: float = -100.0, max_shift_hz: float = 100.0, p: float = 1.0):
        super().__init__(p)
        check_range(self, "the shift", min_shift_hz, max_shift_hz)
        self.sample_rate, self.range = sample_rate, (min_shift_hz, max_shift_hz)

    def draw(self, key: Tensor, samples: int) -> Tensor:
        bin_hz = self.sample_rate / fast_size(samples)
        return (uniform_between(key, "shift", *self.range) / bin_hz).round().mul(bin_hz)[:, None]

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor) -> Tensor:
        size = fast_size(audio.shape[-1])
        shift = (parameters * size / self.sample_rate).round().long()
        spectrum = rfft(audio, size)
        source = torch.arange(spectrum.shape[-1], device=audio.device) - shift  # [n, bins]
        inside = ((source > 0) & (source < spectrum.shape[-1]))[:, None]
        moved = spectrum.gather(-1, source.clamp(0, spectrum.shape[-1] - 1)[:, None].expand_as(spectrum))
        return irfft(moved * inside, size)[..., : audio.shape[-1]]
