"""Studio effects for corruption tests: distortion, bit crush, chorus, compression and MP3.

Distortion, bit crush and chorus run on the device of the batch. Dynamic-range compression and MP3
coding use the package pedalboard, row by row on the CPU. pedalboard is an optional dependency
because of its licence (GPL).
"""

import math
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from semisupcon.augmentations.level import check_range
from semisupcon.augmentations.transform import Transform
from semisupcon.errors import ConfigError
from semisupcon.random import uniform

if TYPE_CHECKING:
    from pedalboard import Plugin


class Distortion(Transform):
    """Apply tanh to the waveform after a gain in dB."""

    def __init__(self, drive_db: float = 9.0, p: float = 1.0):
        super().__init__(p)
        self.drive_db = drive_db

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor) -> Tensor:
        return torch.tanh(audio * 10 ** (self.drive_db / 20))


class BitCrush(Transform):
    """Round samples to multiples of 2 ** -bits."""

    def __init__(self, bits: float = 4.0, p: float = 1.0):
        super().__init__(p)
        check_range(self, "the number of bits", 0, bits)
        self.bits = bits

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor) -> Tensor:
        return (audio * 2**self.bits).round_().div_(2**self.bits)


class Chorus(Transform):
    """Mix a clip with a copy of itself whose delay is modulated.

    The delay at time t is max(1, center + 10 * depth * sin(2 pi rate t + phase)) ms. The phase is
    drawn for each row.

    Args:
        sample_rate: sample rate in Hz.
        rate_hz: modulation frequency in Hz.
        depth: modulation depth, 0 to 1.
        center_delay_ms: centre of the delay in milliseconds.
        mix: share of the delayed copy, 0 to 1; 1 is the copy alone.
        p: probability that the transform is applied to a row.
    """

    parameter_names = ("phase",)

    def __init__(
        self,
        sample_rate: int,
        rate_hz: float = 1.0,
        depth: float = 0.25,
        center_delay_ms: float = 7.0,
        mix: float = 0.5,
        p: float = 1.0,
    ):
        super().__init__(p)
        for what, value in (("depth", depth), ("mix", mix)):
            check_range(self, f"the {what}, between 0 and 1,", 0, value)
            check_range(self, f"the {what}, between 0 and 1,", value, 1)
        self.sample_rate, self.rate_hz, self.depth, self.center_delay_ms, self.mix = (
            sample_rate,
            rate_hz,
            depth,
            center_delay_ms,
            mix,
        )

    def draw(self, key: Tensor, samples: int) -> Tensor:
        return uniform(key, "phase") * 2 * math.pi

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor) -> Tensor:
        samples = audio.shape[-1]
        time = torch.arange(samples, device=audio.device, dtype=torch.float64)
        swing = torch.sin(
            2 * math.pi * self.rate_hz / self.sample_rate * time + parameters.double()
        )
        place = time - (self.center_delay_ms + 10 * self.depth * swing).clamp_(min=1) * (
            self.sample_rate / 1000
        )
        before = place.floor()
        fraction = (place - before).to(audio.dtype)[:, None]
        # The first samples are zeros, for positions before the beginning of the clip.
        padded = torch.nn.functional.pad(audio, (2, 0))
        index = (before.long() + 2).clamp_(min=0)[:, None].expand(-1, audio.shape[1], -1)
        copy = torch.lerp(
            padded.gather(-1, index),
            padded.gather(-1, (index + 1).clamp_(max=samples + 1)),
            fraction,
        )
        return torch.lerp(audio, copy, self.mix)


class Pedal(Transform):
    """Base class of effects of pedalboard. A plug-in is applied to each channel of each row.

    Raises:
        ConfigError: if pedalboard is not installed.
    """

    name = ""

    def __init__(self, sample_rate: int, p: float = 1.0):
        super().__init__(p)
        if find_spec("pedalboard") is None:
            raise ConfigError(
                f"The augmentation {self.name!r} needs the package pedalboard.\nInstall it: pip "
                "install 'semisupcon[effects]'"
            )
        self.sample_rate = sample_rate

    def plugin(self) -> "Plugin":
        """Build a new plug-in, so that no state of other rows remains in it."""
        raise NotImplementedError

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor) -> Tensor:
        # Append a zero sample: pedalboard infers the channel axis from the sizes of the axes, which
        # must differ.
        channels = torch.nn.functional.pad(audio.detach().cpu().float().flatten(0, 1), (0, 1))[
            :, None
        ].numpy()
        processed = [
            torch.from_numpy(self.plugin()(channel, self.sample_rate)[:, : audio.shape[-1]])
            for channel in channels
        ]
        return torch.stack(processed).view_as(audio).to(audio)


class Compression(Pedal):
    """Dynamic-range compression: above the threshold, ``ratio`` dB of input give 1 dB of output.

    Args:
        sample_rate: sample rate in Hz.
        threshold_db: level above which the signal is compressed, in dB of full scale.
        ratio: compression ratio, at least 1.
        attack_ms: time constant for a rising level, in milliseconds.
        release_ms: time constant for a falling level, in milliseconds.
        p: probability that the transform is applied to a row.
    """

    def __init__(
        self,
        sample_rate: int,
        threshold_db: float = -30.0,
        ratio: float = 5.0,
        attack_ms: float = 1.0,
        release_ms: float = 100.0,
        p: float = 1.0,
    ):
        super().__init__(sample_rate, p)
        check_range(self, "the ratio", 1, ratio)
        self.settings = {
            "threshold_db": threshold_db,
            "ratio": ratio,
            "attack_ms": attack_ms,
            "release_ms": release_ms,
        }

    def plugin(self) -> "Plugin":
        from pedalboard import Compressor

        return Compressor(**self.settings)


# The MP3 encoders of pedalboard share tables without a lock, so concurrent use crashes.
ONE_CODER = threading.Lock()


class MP3(Pedal):
    """Encode each row as MP3 of variable bit rate, and decode it.

    The encoder may return silence for rows with NaN or infinite values.

    Args:
        sample_rate: one of the sample rates of MP3, 8,000 to 48,000 Hz.
        quality: quality setting of the encoder, 0 (best) to 10.
        p: probability that the transform is applied to a row.
    """

    def __init__(self, sample_rate: int, quality: float = 9.0, p: float = 1.0):
        super().__init__(sample_rate, p)
        for low, high in ((0, quality), (quality, 10)):
            check_range(self, "the quality, between 0 and 10,", low, high)
        self.quality = quality

    def plugin(self) -> "Plugin":
        from pedalboard import MP3Compressor

        return MP3Compressor(vbr_quality=self.quality)

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor) -> Tensor:
        with ONE_CODER:
            return super().apply(audio, parameters, key)
