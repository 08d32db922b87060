"""Echoes, as in the delay augmentations of SemiSupCon and CLMR."""

from collections.abc import Sequence

import torch
from torch import Tensor

from semisupcon.augmentations.gather import delayed
from semisupcon.augmentations.level import check_range
from semisupcon.augmentations.transform import Transform
from semisupcon.errors import ConfigError
from semisupcon.random import integers, uniform


class Delay(Transform):
    """Add echoes to a clip. The length is unchanged.

    y[n] = (x[n] + volume * sum over i = 0 .. repeats - 1 of
    attenuation ** i * x[n - (i + first) * delay]) / 2.

    By default, ``first`` is 0, as in the code of SemiSupCon: the first echo is not delayed, and the
    level of the dry signal is halved. Volume, repeats and attenuation are drawn from two values
    each. The table of the paper differs (1 to 3 reflections attenuated by 3 to 6 dB), but the
    published models were trained with the code. ``first`` = 1, one repeat and a grid of delays give
    the delay of CLMR.

    Args:
        sample_rate: sample rate in Hz.
        min_delay_ms: shortest delay.
        max_delay_ms: longest delay, inclusive.
        volumes: possible values of the volume, with equal probabilities.
        repeats: possible numbers of echoes.
        attenuations: possible values of the attenuation from one echo to the next.
        first: delay of the first echo, as a multiple of the drawn delay.
        delay_interval_ms: if given, delays are multiples of this interval above the shortest delay.
            None allows any number of samples.
        p: probability that the transform is applied to a row.
    """

    parameter_names = ("delay_ms", "volume", "repeats", "attenuation")

    def __init__(
        self,
        sample_rate: int,
        min_delay_ms: float = 100.0,
        max_delay_ms: float = 500.0,
        volumes: Sequence[float] = (0.3, 0.7),
        repeats: Sequence[int] = (1, 3),
        attenuations: Sequence[float] = (0.3, 0.7),
        first: int = 0,
        delay_interval_ms: float | None = None,
        p: float = 1.0,
    ):
        super().__init__(p)
        check_range(self, "the delay", min_delay_ms, max_delay_ms)
        if (
            not (volumes and repeats and attenuations)
            or min(repeats) < 0
            or first < 0
            or min_delay_ms < 0
        ):
            raise ConfigError(
                "Delay: volumes, repeats and attenuations need at least one value each; counts and "
                "delays cannot be negative."
            )
        self.sample_rate, self.first = sample_rate, first
        self.delay_ms, self.delay_interval_ms = (min_delay_ms, max_delay_ms), delay_interval_ms
        self.choices = (tuple(volumes), tuple(repeats), tuple(attenuations))

    def draw(self, key: Tensor, samples: int) -> Tensor:
        low, high = self.delay_ms
        if self.delay_interval_ms is None:
            delay = integers(
                key, "delay", *(int(ms * self.sample_rate / 1000) for ms in (low, high))
            ).float()
        else:
            steps = integers(key, "delay", 0, int((high - low) / self.delay_interval_ms))
            delay = (
                ((low + steps * self.delay_interval_ms) * (self.sample_rate / 1000)).long().float()
            )
        drawn = [delay * (1000 / self.sample_rate)]
        for name, values in zip(("volume", "repeats", "attenuation"), self.choices, strict=True):
            which = (uniform(key, name)[:, 0] * len(values)).long()
            drawn.append(torch.tensor(values, dtype=torch.float32, device=key.device)[which])
        return torch.stack(drawn, 1)

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor) -> Tensor:
        delay, volume, repeats, attenuation = parameters.unbind(1)
        shift = (delay * (self.sample_rate / 1000)).round().long()
        longest = int(self.delay_ms[1] * self.sample_rate / 1000) + 1
        output = audio.clone()
        for i in range(max(self.choices[1])):
            level = torch.where(i < repeats, volume * attenuation**i, 0.0)[:, None, None].to(
                audio.dtype
            )
            lag = i + self.first
            output.addcmul_(delayed(audio, lag * shift, lag * longest) if lag else audio, level)
        return output.mul_(0.5)
