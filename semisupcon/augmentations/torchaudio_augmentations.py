"""torchaudio-augmentations 0.2.4 with current torchaudio, without SoX.

The package imports WavAugment, which uses SoX effects that torchaudio 2.9 removed. Two classes of
the package need them: `PitchShift` and `Reverb`. This module replaces these with the same arguments
and sources of randomness, and the DSP of semisupcon; other classes are unchanged. After `load`,
``import torchaudio_augmentations`` works anywhere in the process, and so do configurations for it.
"""

import importlib
import random
import sys
from types import ModuleType

import torch
from torch import Tensor, nn

from semisupcon.augmentations.pitch import shift_pitch
from semisupcon.augmentations.reverb import reverberate
from semisupcon.errors import ConfigError

PACKAGE = "torchaudio_augmentations"


class PitchShift(nn.Module):
    """Shift by a whole number of cents, uniform in a range given in semitones.

    In a batch ``[B, C, T]`` each clip gets its own shift. Unlike in the original, the input is not
    modified. ``n_samples`` has no effect, as in the original: the length is kept.
    """

    def __init__(
        self,
        n_samples: int,
        sample_rate: int,
        pitch_shift_min: float = -7.0,
        pitch_shift_max: float = 7.0,
    ):
        super().__init__()
        self.n_samples, self.sample_rate = n_samples, sample_rate
        self.cents = (int(pitch_shift_min * 100), int(pitch_shift_max * 100))

    def forward(self, audio: Tensor) -> Tensor:
        clips = audio.reshape(-1, *audio.shape[-2:]) if audio.ndim > 1 else audio[None, None]
        ratios = [2 ** (random.randint(*self.cents) / 1200) for _ in clips]
        return shift_pitch(clips, ratios, self.sample_rate).view_as(audio)


class Reverb(nn.Module):
    """Reverberation with three integer controls, upper bounds exclusive.

    Takes ``[C, T]`` and, unlike the original, ``[T]`` and batches ``[B, C, T]``, with one draw per
    batch. "dumping" is the spelling in the original.
    """

    def __init__(
        self,
        sample_rate: int,
        reverberance_min: int = 0,
        reverberance_max: int = 100,
        dumping_factor_min: int = 0,
        dumping_factor_max: int = 100,
        room_size_min: int = 0,
        room_size_max: int = 100,
    ):
        super().__init__()
        self.sample_rate = sample_rate
        self.ranges = (
            (reverberance_min, reverberance_max),
            (dumping_factor_min, dumping_factor_max),
            (room_size_min, room_size_max),
        )

    def forward(self, audio: Tensor) -> Tensor:
        controls = [torch.randint(low, high, (1,)).to(audio) for low, high in self.ranges]
        reverberance, damping, room_size = controls
        rows = audio.reshape(1, -1, audio.shape[-1])
        return reverberate(rows, reverberance, damping, room_size, self.sample_rate).view_as(audio)


def load() -> ModuleType:
    """Import torchaudio_augmentations, with `PitchShift` and `Reverb` of this module in it.

    Raises:
        ConfigError: if the package is not installed.
    """
    package = sys.modules.get(PACKAGE)
    if package is None or package.Reverb is not Reverb:
        # Replace WavAugment by an empty module during the import only.
        real = sys.modules.get("augment")
        sys.modules["augment"] = ModuleType("augment")
        try:
            package = importlib.import_module(PACKAGE)
        except ImportError as error:
            raise ConfigError(
                f"The package {PACKAGE} cannot be imported ({error}).\npip install "
                "torchaudio-augmentations==0.2.4"
            ) from error
        finally:
            if real is None:
                del sys.modules["augment"]
            else:
                sys.modules["augment"] = real
        for cls in (PitchShift, Reverb):
            setattr(package, cls.__name__, cls)
            module = "pitch_shift" if cls is PitchShift else "reverb"
            setattr(importlib.import_module(f"{PACKAGE}.augmentations.{module}"), cls.__name__, cls)
    return package
