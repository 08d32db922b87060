"""Make torchaudio-augmentations 0.2.4 work with current versions of torchaudio, without SoX.

The package imports WavAugment, which uses SoX effects that torchaudio 2.9 removed. Two classes of
the package need these effects: `PitchShift` and `Reverb`. This module replaces them by classes that
have the same arguments and random generators, but use the signal processing of semisupcon. All
other classes are unchanged. After a call of `load`, ``import torchaudio_augmentations`` works
everywhere in the process, also for configurations that name classes of the package.
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
    """Shift the pitch by a whole number of cents, uniform in a range given in semitones.

    In a batch ``[B, C, T]``, each clip has a separate shift. The length is kept. The class replaces
    one of torchaudio-augmentations. As in that class, ``n_samples`` has no effect, but the input is
    not modified.
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
    """Reverberation with three random integer controls. Upper bounds are exclusive.

    The class replaces one of torchaudio-augmentations, which accepts only ``[C, T]``. This class
    also accepts ``[T]``, and batches ``[B, C, T]`` with the same controls for the whole batch. The
    spelling "dumping" is that of torchaudio-augmentations.
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
    """Import torchaudio_augmentations and insert `PitchShift` and `Reverb` of this module.

    Raises:
        ConfigError: if the package is not installed.
    """
    package = sys.modules.get(PACKAGE)
    if package is None or package.Reverb is not Reverb:
        # During the import, replace the module of WavAugment by an empty one.
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
