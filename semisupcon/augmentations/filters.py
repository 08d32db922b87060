"""Low-pass, high-pass, band-pass and band-stop filters with a random cut-off for each example.

Filters multiply the FFT of a clip by real gains, so they have zero phase. Clips are padded with
zeros, and the length is unchanged. Between 0.8 and 1.2 times the cut-off, the gain falls from 1 to
0 as half a cosine. It is -6 dB at the cut-off and zero beyond 1.2 times the cut-off. At 1.1 times
the cut-off it is -16.7 dB, close to the windowed-sinc filters of julius (-16.5 dB), which
torch-audiomentations and torchaudio-augmentations apply to one clip at a time.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from semisupcon.augmentations.base import OneOf, operator_key
from semisupcon.augmentations.blocks import change_rows, in_blocks
from semisupcon.augmentations.fourier import fast_size, irfft, rfft
from semisupcon.augmentations.level import check_range
from semisupcon.augmentations.transform import Transform
from semisupcon.errors import ConfigError
from semisupcon.random import uniform, uniform_between

TRANSITION = 0.2  # half the width of the transition band, relative to the cut-off
RINGING = 0.05  # seconds of zero padding, because filtering by FFT is circular


def lowpass_gain(size: int, cutoff_hz: Tensor, sample_rate: int) -> Tensor:
    """Return gains ``[n, size // 2 + 1]`` of low-pass filters at the bins of a real FFT.

    ``cutoff_hz [n]`` are the cut-offs in Hz.
    """
    frequency = torch.arange(size // 2 + 1, device=cutoff_hz.device) * (sample_rate / size)
    slope = ((frequency / cutoff_hz[:, None] - 1) * (math.pi / 2 / TRANSITION)).clamp_(
        -math.pi / 2, math.pi / 2
    )
    return slope.sin_().mul_(-0.5).add_(0.5)


def mel_uniform(key: Tensor, name: str, low_hz: float, high_hz: float) -> Tensor:
    """Draw one frequency in Hz per key, uniformly on the mel scale (2595 log10(1 + f / 700))."""
    low, high = (math.log1p(f / 700) for f in (low_hz, high_hz))
    return 700 * torch.expm1(low + (high - low) * uniform(key, name)[:, 0])


def filter_size(samples: int, sample_rate: int) -> int:
    """Return the FFT size for filtering clips of ``samples`` samples."""
    return fast_size(samples + int(RINGING * sample_rate))


def filtered(audio: Tensor, size: int, gain: Tensor) -> Tensor:
    """Filter ``audio [n, C, T]`` by an FFT of ``size`` with gains ``[n, size // 2 + 1]``."""
    spectrum = rfft(audio, size).mul_(gain[:, None].to(audio.dtype))
    return irfft(spectrum, size)[..., : audio.shape[-1]]


class Filter(Transform):
    """Base class of the four filters, which define a gain for each row and FFT bin."""

    name = ""

    def __init__(self, sample_rate: int, p: float = 1.0):
        super().__init__(p)
        self.sample_rate = sample_rate

    def gain(self, size: int, parameters: Tensor) -> Tensor:
        """Return gains ``[n, size // 2 + 1]`` for parameters ``[n, P]`` and an FFT of ``size``."""
        raise NotImplementedError

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor) -> Tensor:
        size = filter_size(audio.shape[-1], self.sample_rate)
        return filtered(audio, size, self.gain(size, parameters))


class LowPass(Filter):
    """Low-pass filter with a random cut-off.

    Args:
        sample_rate: sample rate in Hz.
        min_cutoff_hz: lowest cut-off in Hz.
        max_cutoff_hz: highest cut-off in Hz.
        mel: whether the cut-off is uniform on the mel scale, as in SemiSupCon. False is uniform in
            Hz, as in CLMR.
        p: probability that the transform is applied to a row.
    """

    parameter_names = ("cutoff_hz",)

    def __init__(
        self,
        sample_rate: int,
        min_cutoff_hz: float = 150.0,
        max_cutoff_hz: float = 7500.0,
        mel: bool = True,
        p: float = 1.0,
    ):
        super().__init__(sample_rate, p)
        check_range(self, "the cut-off", min_cutoff_hz, max_cutoff_hz)
        self.cutoff_hz, self.mel = (min_cutoff_hz, max_cutoff_hz), mel

    def draw(self, key: Tensor, samples: int) -> Tensor:
        return (mel_uniform if self.mel else uniform_between)(key, "cutoff", *self.cutoff_hz)[
            :, None
        ]

    def gain(self, size: int, parameters: Tensor) -> Tensor:
        return lowpass_gain(size, parameters[:, 0], self.sample_rate)


class HighPass(LowPass):
    """High-pass filter with a random cut-off. The arguments are those of `LowPass`."""

    def __init__(
        self,
        sample_rate: int,
        min_cutoff_hz: float = 200.0,
        max_cutoff_hz: float = 2400.0,
        mel: bool = True,
        p: float = 1.0,
    ):
        super().__init__(sample_rate, min_cutoff_hz, max_cutoff_hz, mel, p)

    def gain(self, size: int, parameters: Tensor) -> Tensor:
        return 1 - super().gain(size, parameters)


class BandPass(Filter):
    """Band-pass filter that keeps frequencies from c (1 - b / 2) to c (1 + b / 2).

    The centre frequency c is uniform on the mel scale. The bandwidth b is a fraction of c and is
    uniform.

    Args:
        sample_rate: sample rate in Hz.
        min_center_hz: lowest centre frequency in Hz.
        max_center_hz: highest centre frequency in Hz.
        min_bandwidth: smallest b, above 0.
        max_bandwidth: largest b, below 2.
        p: probability that the transform is applied to a row.
    """

    parameter_names = ("center_hz", "bandwidth")

    def __init__(
        self,
        sample_rate: int,
        min_center_hz: float = 200.0,
        max_center_hz: float = 4000.0,
        min_bandwidth: float = 0.5,
        max_bandwidth: float = 1.99,
        p: float = 1.0,
    ):
        super().__init__(sample_rate, p)
        check_range(self, "the centre frequency", min_center_hz, max_center_hz)
        check_range(self, "the bandwidth", min_bandwidth, max_bandwidth)
        check_range(
            self, "the bandwidth, a fraction of the centre between 0 and 2,", 0.0, min_bandwidth
        )
        check_range(
            self, "the bandwidth, a fraction of the centre between 0 and 2,", max_bandwidth, 1.999
        )
        self.center_hz, self.bandwidth = (
            (min_center_hz, max_center_hz),
            (min_bandwidth, max_bandwidth),
        )

    def draw(self, key: Tensor, samples: int) -> Tensor:
        return torch.stack(
            [
                mel_uniform(key, "center", *self.center_hz),
                uniform_between(key, "bandwidth", *self.bandwidth),
            ],
            1,
        )

    def gain(self, size: int, parameters: Tensor) -> Tensor:
        center, half = parameters[:, 0], parameters[:, 1] / 2
        low, high = (
            lowpass_gain(size, center * edge, self.sample_rate) for edge in (1 - half, 1 + half)
        )
        return high - low


class BandStop(BandPass):
    """Band-stop filter that removes a random band. The arguments are those of `BandPass`."""

    def gain(self, size: int, parameters: Tensor) -> Tensor:
        return 1 - super().gain(size, parameters)


class OneFilterOf(OneOf):
    """A faster `OneOf` for filters with the same sample rate, with one FFT for all rows.

    The output is that of `OneOf`.

    Args:
        transforms: the candidates.
        name: name of the operator.
        p: probability that a candidate is applied.
        shared_choices: whether the candidate is drawn once for all views of a clip, as in
            SemiSupCon.

    Raises:
        ConfigError: if a candidate is not a filter of this module, or if sample rates differ.
    """

    transforms: Sequence[Filter]

    def __init__(
        self,
        transforms: Sequence[Filter],
        name: str = "filtering",
        p: float = 1.0,
        shared_choices: bool = True,
    ):
        super().__init__(transforms, name, p, shared_choices)
        if (
            not all(isinstance(t, Filter) for t in transforms)
            or len({t.sample_rate for t in transforms}) > 1
        ):
            raise ConfigError(
                "OneFilterOf chooses among low-pass, high-pass, band-pass and band-stop filters of "
                "one sample rate."
            )

    def modify(
        self, audio: Tensor, key: Tensor, among: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        among, choice = self.chosen(key, among), self.choice(key)
        size = filter_size(audio.shape[-1], self.transforms[0].sample_rate)
        draws = [
            t.drawn(operator_key(key, i), audio.shape[-1], among & (choice == i))
            for i, t in enumerate(self.transforms)
        ]
        applied, reported = self._together(choice, draws)

        def work(block: Tensor) -> None:
            gain = torch.empty(len(block), size // 2 + 1, device=audio.device)
            for index, (transform, (_, parameters)) in enumerate(
                zip(self.transforms, draws, strict=True)
            ):
                rows = (choice[block] == index).nonzero()[:, 0]
                gain[rows] = transform.gain(size, parameters[block[rows]])
            change_rows(audio, block, lambda x: filtered(x, size, gain))

        in_blocks(work, applied.nonzero()[:, 0], audio, self.block_samples)
        return audio, applied, reported

    def perform(self, audio: Tensor, work: Any) -> Tensor:
        chosen = [
            (transform, part)
            for transform, part in zip(self.transforms, work, strict=True)
            if part is not None
        ]
        if not chosen:
            return audio
        size = filter_size(audio.shape[-1], self.transforms[0].sample_rate)
        rows = torch.cat([part["rows"] for _, part in chosen])
        gain = torch.cat(
            [transform.gain(size, part["arguments"]["parameters"]) for transform, part in chosen]
        )
        return change_rows(audio, rows, lambda x: filtered(x, size, gain))
