"""Time stretch with a phase vocoder, and a shift of all frequencies by a number of Hz."""

import math
from typing import Any

import torch
from torch import Tensor

from semisupcon.augmentations.fourier import by_rows, fast_size, irfft, rfft
from semisupcon.augmentations.level import check_range
from semisupcon.augmentations.transform import Transform
from semisupcon.errors import ConfigError
from semisupcon.random import uniform_between


class TimeStretch(Transform):
    """Change the speed of a clip but not its pitch, then restore the length.

    Uses a phase vocoder (Flanagan and Golden 1966) with a Hann window and 75 % overlap. MT-SLVR
    uses a rectangular window, which causes clicks at frame boundaries.

    Args:
        min_rate: lowest rate; 0.5 is half the speed.
        max_rate: highest rate.
        restore: padding of clips that became shorter: "circular" repeats the clip (MT-SLVR), "zero"
            appends silence (SemiSupCon). Clips that became longer are cut.
        decimals: number of decimals to which rates are rounded.
        n_fft: length of the window in samples, a multiple of 4.
        p: probability that the transform is applied to a row.
    """

    parameter_names = ("rate",)
    cost = 4.0

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
        if min_rate <= 0 or n_fft % 4 or restore not in ("circular", "zero"):
            raise ConfigError(
                "TimeStretch: rates are positive, n_fft is a multiple of 4, and restore is "
                "'circular' or 'zero'."
            )
        self.range, self.restore, self.decimals, self.n_fft = (
            (min_rate, max_rate),
            restore,
            decimals,
            n_fft,
        )

    def draw(self, key: Tensor, samples: int) -> Tensor:
        return uniform_between(key, "rate", *self.range).round(decimals=self.decimals)[:, None]

    def prepare(self, parameters: Tensor, key: Tensor, samples: int) -> dict[str, Any]:
        return {"between": (parameters.min().item(), parameters.max().item())}

    def apply(
        self,
        audio: Tensor,
        parameters: Tensor,
        key: Tensor,
        between: tuple[float, float] | None = None,
    ) -> Tensor:
        rate = parameters[:, 0]
        stretched = phase_vocoder(audio, rate, self.n_fft, between)
        samples = audio.shape[-1]
        length = (samples / rate.double()).round().long().clamp(min=1)[:, None]
        place = torch.arange(samples, device=audio.device)
        if self.restore == "zero":
            return stretched * (place < length)[:, None]
        return stretched.gather(-1, (place % length)[:, None].expand_as(stretched))


def phase_vocoder(
    audio: Tensor, rate: Tensor, n_fft: int, between: tuple[float, float] | None = None
) -> Tensor:
    """Change the speed of rows ``[n, C, T]`` by the factors ``rate [n]``.

    The result is cut or zero-padded to T samples. ``between`` has the lowest and highest rate, if
    known.
    """
    channels, samples, hop = audio.shape[1], audio.shape[-1], n_fft // 4
    slowest, fastest = between or (rate.min().item(), rate.max().item())
    heard = min(samples, math.ceil((samples + n_fft) / slowest) + n_fft)  # later samples are zero
    hops = -(-heard // hop) + 3
    window = torch.hann_window(n_fft, device=audio.device, dtype=audio.dtype)
    # Four frames overlap at every sample, and the second frame is centred on the first sample. The
    # row with the highest rate determines the number of frames.
    padded = torch.nn.functional.pad(audio.flatten(0, 1), (3 * hop, n_fft))
    framed = padded.unfold(-1, n_fft, hop)[:, : int((hops - 2) * fastest) + 4]
    # [N, frames, bins]. Without the Nyquist bin, a frame is a whole number of SIMD vectors (see
    # `by_rows`).
    spectrum = by_rows(rfft(framed * window, n_fft)).contiguous()
    magnitude = spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag).sqrt_()
    phasor = torch.where(
        magnitude == 0,
        1,
        torch.view_as_complex(torch.view_as_real(spectrum) / magnitude[..., None]),
    )

    place = (
        1
        + torch.arange(-1, hops - 1, device=audio.device)
        * rate.repeat_interleave(channels)[:, None]
    )  # position in input frames
    place = place.clamp_(min=0)
    before = place.floor().long().clamp(max=spectrum.shape[1] - 2)
    row = torch.arange(len(spectrum), device=audio.device)[:, None]
    fraction = (place - before).clamp(0, 1)[..., None].to(audio.dtype)
    # Phases matter only modulo 2 pi, so they are represented by unit phasors. The phase advance is
    # a product of two phasors, and its sum over frames is a cumulative product.
    phase = torch.cat(
        [phasor[:, :1], (phasor[:, 1:] * phasor[:, :-1].conj())[row, before[:, :-1]]], 1
    )
    if phase.device.type == "cpu":
        for i in range(1, hops):
            phase[:, i] *= phase[:, i - 1]
    else:
        phase = phase.cumprod(1)
    torch.view_as_real(phase).mul_(
        torch.lerp(magnitude[row, before], magnitude[row, before + 1], fraction)[..., None]
    )
    frames = irfft(phase, n_fft).mul_(window)

    quarters = frames.unflatten(-1, (4, hop))
    output = audio.new_zeros(len(frames), hops + 3, hop)
    for quarter in range(4):
        output[:, quarter : quarter + hops] += quarters[:, :, quarter]
    # Squared Hann windows at 75 % overlap have the sum 1.5.
    stretched = output.flatten(1)[:, 3 * hop : 3 * hop + heard].div_(1.5)
    return torch.nn.functional.pad(stretched, (0, samples - heard)).unflatten(0, (-1, channels))


class FrequencyShift(Transform):
    """Shift all frequencies by a number of Hz (single-sideband modulation).

    Frequencies shifted below 0 Hz or above the Nyquist frequency are removed.

    Args:
        sample_rate: sample rate in Hz.
        min_shift_hz: lowest shift in Hz.
        max_shift_hz: highest shift in Hz. Shifts are multiples of the frequency resolution of the
            clip.
        p: probability that the transform is applied to a row.
    """

    parameter_names = ("shift_hz",)

    def __init__(
        self,
        sample_rate: int,
        min_shift_hz: float = -100.0,
        max_shift_hz: float = 100.0,
        p: float = 1.0,
    ):
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
        outside = ((source <= 0) | (source >= spectrum.shape[-1]))[:, None]
        moved = spectrum.gather(
            -1, source.clamp(0, spectrum.shape[-1] - 1)[:, None].expand_as(spectrum)
        )
        return irfft(moved.masked_fill_(outside, 0), size)[..., : audio.shape[-1]]
