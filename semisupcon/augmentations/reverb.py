"""Reverberation with the controls of SoX (Freeverb, Jezar 2000).

The network has eight damped comb filters in parallel, followed by four all-pass filters. It is
evaluated in the frequency domain for all rows at once. The impulse response is longer than a clip.
Therefore the z-transform is taken on a circle outside the unit circle, where signal and response
decay. This attenuates the wrap-around by 50 dB, so one FFT of the length of the clip is enough.
"""

import math

import torch
from torch import Tensor

from semisupcon.augmentations.fourier import fast_size, irfft, rfft
from semisupcon.augmentations.level import check_range
from semisupcon.augmentations.transform import Transform
from semisupcon.random import uniform_between

COMBS = (
    1116,
    1188,
    1277,
    1356,
    1422,
    1491,
    1557,
    1617,
)  # delays in samples at 44,100 Hz, for a room of scale 1
ALLPASSES = (225, 341, 441, 556)
INPUT_GAIN = 0.015 / 2**0.5  # one network instead of SoX's average of two
DECAY = math.log(10**2.5)  # logarithm of the decay over the length of one transform


def reverberate(
    audio: Tensor,
    reverberance: Tensor,
    damping: Tensor,
    room_size: Tensor,
    sample_rate: int,
    wet_gain_db: float = 0.0,
) -> Tensor:
    """Add reverberation to ``audio [n, C, T]``; the controls ``[n]`` are in 0..100.

    The end of the reverberation is cut at T.
    """
    samples = audio.shape[-1]
    size = fast_size(samples)
    time = torch.arange(samples, device=audio.device, dtype=torch.float64) / size
    envelope = torch.exp(-DECAY * time).to(audio.dtype)
    spectrum = rfft(audio * envelope, size)
    response = _network(size, reverberance, damping, room_size, sample_rate)[
        :, None, : spectrum.shape[-1]
    ]
    wet = irfft(spectrum * response.to(spectrum.dtype), size)[..., :samples]
    return torch.addcdiv(audio, wet, envelope, value=INPUT_GAIN * 10 ** (wet_gain_db / 20))


def _network(
    size: int, reverberance: Tensor, damping: Tensor, room_size: Tensor, sample_rate: int
) -> Tensor:
    """Return the transfer function ``[n, at least size // 2 + 1]`` of the filter network.

    The z-transform is evaluated on a circle outside the unit circle, see the docstring of the
    module.
    """
    # As in SoX, equal steps of the control are equal perceived steps of the feedback: 0.3 at 0,
    # 0.98 at 100.
    a = -1 / math.log(1 - 0.3)
    b = 100 / (math.log(1 - 0.98) * a + 1)
    feedback = (1 - torch.exp((reverberance - b) / (a * b)))[:, None]
    damp = (0.2 + 0.3 * damping / 100)[:, None]
    scale = (0.1 + 0.9 * room_size / 100) * (sample_rate / 44100)

    loop = (
        feedback * (1 - damp) / (1 - damp * _delay(torch.ones_like(scale), size))
    )  # feedback path with a low-pass filter
    if scale.device.type != "cpu":
        return _all_at_once(scale, loop, size, sample_rate)
    total = torch.zeros((), device=scale.device)
    for length in COMBS:
        echo = _delay((scale * length).round(), size)
        total = total + echo / (1 - loop * echo)
    for length in ALLPASSES:
        echo = _delay(torch.full_like(scale, length * sample_rate / 44100).round(), size)
        total = total * (1.5 * echo - 1) / (1 - 0.5 * echo)
    return total


def _all_at_once(scale: Tensor, loop: Tensor, size: int, sample_rate: int) -> Tensor:
    """Compute the comb and all-pass filters of `_network` with few kernel launches."""
    # Multiply by Python numbers: a tensor of constants would need a blocking copy to the device.
    lags = [scale * length for length in COMBS] + [
        torch.full_like(scale, length * sample_rate / 44100) for length in ALLPASSES
    ]
    echoes = _delay(torch.stack(lags, 1).round().flatten(), size).unflatten(0, (len(scale), -1))
    echo, passed = echoes[:, : len(COMBS)], echoes[:, len(COMBS) :]
    total = (echo / (1 - loop[:, None] * echo)).sum(1)
    return total * ((1.5 * passed - 1) / (1 - 0.5 * passed)).prod(1)


def _delay(samples: Tensor, size: int) -> Tensor:
    """Return z ** -samples at the first bins of the circle, complex64 ``[n, bins]``.

    The result is a product of a coarse and a fine table, to keep angles small. The number of bins
    is a multiple of 256, so that a row is a whole number of SIMD vectors (see `by_rows`).
    """
    fine = 256
    turns = samples.double()[:, None] / size
    k = torch.arange(-(-(size // 2 + 1) // fine), device=samples.device) * fine
    coarse = torch.polar(torch.exp(-DECAY * turns).expand(-1, len(k)), -2 * math.pi * (turns * k))
    angle = -2 * math.pi * (turns * torch.arange(fine, device=samples.device))
    return (
        coarse.to(torch.complex64)[:, :, None]
        * torch.polar(torch.ones_like(angle), angle).to(torch.complex64)[:, None]
    ).flatten(1)


class Reverb(Transform):
    """Reverberation with random controls. Each control is uniform in a range within 0..100.

    Args:
        sample_rate: sample rate in Hz.
        min_reverberance: lowest value of the control of the reverberation time (feedback of the
            comb filters).
        max_reverberance: highest value of the control of the reverberation time.
        min_damping: lowest damping of high frequencies.
        max_damping: highest damping of high frequencies.
        min_room_size: smallest room (length of the delays).
        max_room_size: largest room.
        wet_gain_db: level of the reverberation relative to that of SoX, which is about 8 to 16 dB
            below the dry signal.
        p: probability that the transform is applied to a row.
    """

    parameter_names = ("reverberance", "damping", "room_size")

    def __init__(
        self,
        sample_rate: int,
        min_reverberance: float = 0.0,
        max_reverberance: float = 100.0,
        min_damping: float = 0.0,
        max_damping: float = 100.0,
        min_room_size: float = 0.0,
        max_room_size: float = 100.0,
        wet_gain_db: float = 0.0,
        p: float = 1.0,
    ):
        super().__init__(p)
        ranges = (
            (min_reverberance, max_reverberance),
            (min_damping, max_damping),
            (min_room_size, max_room_size),
        )
        for what, (low, high) in zip(self.parameter_names, ranges, strict=True):
            for lower, upper in ((0, low), (low, high), (high, 100)):
                check_range(self, f"the {what.replace('_', ' ')} (0 to 100)", lower, upper)
        self.ranges = ranges
        self.sample_rate, self.wet_gain_db = sample_rate, wet_gain_db

    def draw(self, key: Tensor, samples: int) -> Tensor:
        return torch.stack(
            [
                uniform_between(key, name, *r)
                for name, r in zip(self.parameter_names, self.ranges, strict=True)
            ],
            1,
        )

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor) -> Tensor:
        reverberance, damping, room_size = parameters.unbind(1)
        return reverberate(
            audio,
            reverberance,
            damping,
            room_size,
            self.sample_rate,
            self.wet_gain_db,
        )
