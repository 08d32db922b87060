"""Augmentations along time: fades, masks, shifts, reversal and cuts."""

import math
from typing import Any

import torch
from torch import Tensor

from semisupcon.augmentations.gather import pieces
from semisupcon.augmentations.level import check_range
from semisupcon.augmentations.noise import colored_noise, noise_seed, rms
from semisupcon.augmentations.transform import Transform
from semisupcon.errors import ConfigError
from semisupcon.random import integers, uniform


class Fade(Transform):
    """Fade in and out, with a random curve for each example (MT-SLVR).

    The curves are those of torchaudio. With t from 0 to 1 during a fade, the gain is t (linear), t
    2^(t - 1) (exponential), or 1 + log10(0.1 + t) limited to [0, 1] (logarithmic).

    Args:
        max_fade_in: longest fade-in as a fraction of the clip. Lengths are uniform between 0 and
            this value.
        max_fade_out: longest fade-out as a fraction of the clip. Lengths are uniform between 0 and
            this value.
        p: probability that the transform is applied to a row.
    """

    parameter_names = ("fade_in", "fade_out", "shape")
    shapes = ("linear", "logarithmic", "exponential")

    def __init__(self, max_fade_in: float = 0.5, max_fade_out: float = 0.5, p: float = 1.0):
        super().__init__(p)
        for low, high in ((0, max_fade_in), (max_fade_in, 1), (0, max_fade_out), (max_fade_out, 1)):
            check_range(self, "a fade, a fraction of the clip between 0 and 1,", low, high)
        self.longest = (max_fade_in, max_fade_out)

    def draw(self, key: Tensor, samples: int) -> Tensor:
        lengths = [
            integers(key, name, 0, int(f * samples)) / samples
            for name, f in zip(("in", "out"), self.longest, strict=True)
        ]
        return torch.stack([*lengths, integers(key, "shape", 0, 2)], 1).float()

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor) -> Tensor:
        samples = audio.shape[-1]
        fade_in, fade_out, shape = parameters.unbind(1)
        begin, end = (int(f * samples) for f in self.longest)
        if audio.device.type != "cpu":
            both, shapes = torch.cat([fade_in, fade_out]), torch.cat([shape, shape])
            rise, fall = (
                self.curve(both, shapes, samples, samples)[:, None].to(audio.dtype).chunk(2)
            )
            return audio.mul_(rise).mul_(fall.flip(-1))
        audio[..., :begin] *= self.curve(fade_in, shape, samples, begin)[:, None].to(audio.dtype)
        audio[..., samples - end :] *= (
            self.curve(fade_out, shape, samples, end).flip(-1)[:, None].to(audio.dtype)
        )
        return audio

    @staticmethod
    def curve(fraction: Tensor, shape: Tensor, samples: int, first: int) -> Tensor:
        """Return the first ``first`` gains ``[n, first]`` of a fade-in.

        The fade-in has the length ``fraction [n]`` times ``samples``; later gains are 1.
        """
        length = (fraction * samples).round()[:, None]
        place = torch.arange(first, device=fraction.device)
        gain = torch.where(place < length, place / (length - 1).clamp(min=1), 1.0)
        logarithmic, exponential = shape == 1, shape == 2
        if gain.device.type != "cpu":  # use masks, because row indices would need a synchronisation
            risen = (1 + torch.log10(0.1 + gain)).clamp(0, 1)
            bent = gain * torch.exp((gain - 1) * math.log(2))
            return torch.where(
                logarithmic[:, None], risen, torch.where(exponential[:, None], bent, gain)
            )
        gain[logarithmic] = (1 + torch.log10(0.1 + gain[logarithmic])).clamp(0, 1)
        gain[exponential] *= torch.exp(
            (gain[exponential] - 1) * math.log(2)
        )  # the rounding of `exp2` and `pow` depends on the position
        return gain


class TimeMask(Transform):
    """Replace a random section of the clip by silence (MT-SLVR) or noise.

    Args:
        max_width: largest width of the section as a fraction of the clip. Widths are uniform
            between 0 and this value, and starts are uniform.
        fill: "silence" or "noise" (white noise at the level of the clip).
        p: probability that the transform is applied to a row.
    """

    parameter_names = ("start", "width")

    def __init__(self, max_width: float = 0.125, fill: str = "silence", p: float = 1.0):
        super().__init__(p)
        check_range(self, "the width, a fraction of the clip between 0 and 1,", max_width, 1)
        if fill not in ("silence", "noise"):
            raise ConfigError(f"TimeMask: fill must be 'silence' or 'noise', got {fill!r}.")
        self.max_width, self.fill = max_width, fill

    def draw(self, key: Tensor, samples: int) -> Tensor:
        width = (uniform(key, "width")[:, 0] * self.max_width * samples).floor()
        start = (uniform(key, "start")[:, 0] * (samples - width + 1)).floor()
        return torch.stack([start, width], 1) / samples

    def prepare(self, parameters: Tensor, key: Tensor, samples: int) -> dict[str, Any]:
        return {"seed": noise_seed(key)} if self.fill == "noise" else {}

    def apply(
        self, audio: Tensor, parameters: Tensor, key: Tensor, seed: Tensor | None = None
    ) -> Tensor:
        samples = audio.shape[-1]
        start, width = (parameters * samples).round().long()[:, :, None].unbind(1)
        place = torch.arange(samples, device=audio.device)
        inside = ((place >= start) & (place < start + width))[:, None]
        if self.fill == "silence":
            return audio.masked_fill(inside, 0)
        white = colored_noise(key, samples, 2, torch.zeros(len(key), device=key.device), seed)[
            :, None
        ].to(audio.dtype)
        return torch.where(inside, white * rms(audio), audio)


class TimeShift(Transform):
    """Shift the clip circularly by a uniform fraction of its length.

    ``min_shift`` and ``max_shift`` are fractions of the length of the clip. Positive shifts move
    the sound later.
    """

    parameter_names = ("shift",)

    def __init__(self, min_shift: float = -0.5, max_shift: float = 0.5, p: float = 1.0):
        super().__init__(p)
        check_range(self, "the shift", min_shift, max_shift)
        self.range = (min_shift, max_shift)

    def draw(self, key: Tensor, samples: int) -> Tensor:
        low, high = (round(f * samples) for f in self.range)
        return (integers(key, "shift", low, high) / samples)[:, None]

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor) -> Tensor:
        samples = audio.shape[-1]
        start = -(parameters[:, 0] * samples).round().long() % samples
        return pieces(torch.cat([audio, audio], -1), start, samples)


class Reverse(Transform):
    """Reverse the clip in time."""

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor) -> Tensor:
        return audio.flip(-1)


class SpliceOut(Transform):
    """Remove short sections with cross-fades, and pad the end with silence (SpliceOut).

    See Jain et al. 2021; the implementation follows torch-audiomentations. A splice of width w
    cross-fades the two halves of a section of w samples, so it removes w / 2 samples.

    Args:
        sample_rate: sample rate in Hz.
        splices: number of splices.
        max_width_ms: largest width of a splice in milliseconds. Widths are uniform between 0 and
            this value.
        p: probability that the transform is applied to a row.
    """

    parameter_names = ("removed_ms",)

    def __init__(
        self, sample_rate: int, splices: int = 8, max_width_ms: float = 100.0, p: float = 1.0
    ):
        super().__init__(p)
        check_range(self, "the number of splices", 1, splices)
        check_range(self, "the width", 0, max_width_ms)
        self.sample_rate, self.splices, self.max_width_ms = sample_rate, splices, max_width_ms

    def halves(self, key: Tensor, samples: int) -> Tensor:
        """Draw the number of samples that each splice removes, ``[n, splices]`` int64.

        The number is 0 if the clip is too short.
        """
        most = min(int(self.max_width_ms * self.sample_rate / 2000), samples // (2 * self.splices))
        return (uniform(key, "width", self.splices) * (most + 1)).long()

    def draw(self, key: Tensor, samples: int) -> Tensor:
        return self.halves(key, samples).sum(1, keepdim=True) * (1000 / self.sample_rate)

    def prepare(self, parameters: Tensor, key: Tensor, samples: int) -> dict[str, Any]:
        return {"halves": self.halves(key, samples), "start": uniform(key, "start", self.splices)}

    def apply(
        self, audio: Tensor, parameters: Tensor, key: Tensor, halves: Tensor, start: Tensor
    ) -> Tensor:
        samples = audio.shape[-1]
        left = torch.full_like(key, samples)
        place = torch.arange(samples, device=audio.device)
        longest = samples // 2
        for i in range(self.splices):
            half = halves[:, i]
            begin = (start[:, i] * (left - 2 * half + 1)).long()
            ramp = (
                ((place - begin[:, None]) / half[:, None].clamp(min=1))
                .clamp_(0, 1)
                .mul_(torch.pi / 2)
                .sin_()
                .square_()
            )
            later = pieces(torch.nn.functional.pad(audio, (0, longest)), half, samples)
            audio = torch.lerp(audio, later, ramp[:, None].to(audio.dtype))
            left = left - half
        return audio
