"""The augmentation chains of SemiSupCon, CLMR and MT-SLVR, composed of published libraries.

The libraries are torch-audiomentations, torchaudio and torchaudio-augmentations. Three operators
that the libraries do not have are implemented in this module from their formulas: the delay of
SemiSupCon, and the fade and time stretch of MT-SLVR.
"""

import random
import warnings

import torch
import torch_audiomentations as ta
import torchaudio
from torch import Tensor
from torch_audiomentations.core.transforms_interface import BaseWaveformTransform
from torch_audiomentations.utils.object_dict import ObjectDict

from semisupcon.augmentations import torchaudio_augmentations

warnings.filterwarnings("ignore", category=FutureWarning)
warnings.filterwarnings("ignore", category=DeprecationWarning)


class Delay(BaseWaveformTransform):
    """Delay of SemiSupCon: half the sum of the signal and its echoes; the first has no delay.

    Parameters are drawn per example.
    """

    supported_modes = {"per_example"}

    def __init__(self, sample_rate: int, p: float):
        super().__init__(mode="per_example", p=p, sample_rate=sample_rate, output_type="dict")
        self.rate = sample_rate

    def randomize_parameters(self, samples, sample_rate=None, targets=None, target_rate=None):
        self.transform_parameters["delay"] = torch.randint(
            self.rate // 10, self.rate // 2 + 1, (len(samples),)
        )
        for name, values in {
            "volume": (0.3, 0.7),
            "repeats": (1, 3),
            "attenuation": (0.3, 0.7),
        }.items():
            self.transform_parameters[name] = torch.tensor(values)[
                torch.randint(2, (len(samples),))
            ]

    def apply_transform(self, samples, sample_rate=None, targets=None, target_rate=None):
        output = samples.clone()
        drawn = [
            self.transform_parameters[n].tolist()
            for n in ("delay", "volume", "repeats", "attenuation")
        ]
        for row, (delay, volume, repeats, attenuation) in enumerate(zip(*drawn, strict=True)):
            for i in range(repeats):
                output[row, :, i * delay :] += (
                    volume * attenuation**i * samples[row, :, : samples.shape[-1] - i * delay]
                )
        return ObjectDict(
            samples=output / 2, sample_rate=sample_rate, targets=targets, target_rate=target_rate
        )


def semisupcon(sample_rate: int) -> ta.Compose:
    """Return the chain of SemiSupCon for ``[N, 1, T]``: six operators with severity 2."""
    common = {"sample_rate": sample_rate, "output_type": "dict"}
    own = {"p": 0.3, **common}
    filters = [
        ta.BandPassFilter(**own),
        ta.BandStopFilter(**own),
        ta.HighPassFilter(200, 2400, **own),
        ta.LowPassFilter(150, 7500, **own),
    ]
    transforms = [
        ta.Gain(-15, 5, p=0.4, **common),
        ta.PolarityInversion(p=0.6, **common),
        ta.AddColoredNoise(3, 30, -2, 2, p=0.6, **common),
        ta.OneOf(filters, output_type="dict"),
        ta.PitchShift(-4, 4, p=0.6, **common),
        Delay(sample_rate, 0.6),
    ]
    return ta.Compose(transforms, p=0.8, output_type="tensor")


def clmr(sample_rate: int, samples: int):
    """Return the chain of CLMR for ``[1, T]``, without the crop.

    The package is loaded through the adapter of semisupcon, so that pitch shift and reverb do not
    need SoX.
    """
    package = torchaudio_augmentations.load()
    chain = [
        (package.PolarityInversion(), 0.8),
        (package.Noise(), 0.01),
        (package.Gain(), 0.3),
        (package.HighLowPass(sample_rate=sample_rate), 0.8),
        (package.Delay(sample_rate=sample_rate), 0.3),
        (package.PitchShift(n_samples=samples, sample_rate=sample_rate), 0.6),
        (package.Reverb(sample_rate=sample_rate), 0.6),
    ]
    return package.Compose([package.RandomApply([transform], p=p) for transform, p in chain])


def _fade(x: Tensor) -> Tensor:
    shape = random.choice(("linear", "logarithmic", "exponential"))
    lengths = [random.randint(0, x.shape[-1] // 2) for _ in range(2)]
    return torchaudio.transforms.Fade(*lengths, shape)(x)


def _time_stretch(x: Tensor, n_fft: int = 2048, hop: int = 512) -> Tensor:
    window = torch.hann_window(n_fft)
    spectrum = torch.stft(x[:, 0], n_fft, hop, window=window, return_complex=True)
    advance = torch.linspace(0, torch.pi * hop, n_fft // 2 + 1)[:, None]
    stretched = torchaudio.functional.phase_vocoder(
        spectrum, round(random.uniform(0.5, 1.5), 2), advance
    )
    y = torch.istft(stretched, n_fft, hop, window=window)[:, None]
    samples = x.shape[-1]
    return y.repeat(1, 1, -(-samples // y.shape[-1]))[..., :samples]


def mtslvr(sample_rate: int):
    """Return the augmentation of MT-SLVR for the two views ``[2, 1, T]`` of a clip.

    It applies a random subset of seven operators in random order.
    """
    common = {"p": 1.0, "sample_rate": sample_rate, "output_type": "tensor"}
    masking = torchaudio.transforms.TimeMasking(1)
    library = (
        ta.PitchShift(-15, 15, **common),
        ta.AddColoredNoise(3, 30, -1, 0, **common),
        ta.AddColoredNoise(3, 30, -2, 2, **common),
    )

    def mask(x):
        masking.mask_param = x.shape[-1] // 8
        return masking(x)

    def each(operator):
        return lambda x: torch.cat([operator(view) for view in x.split(1)])

    operators = (
        *library,
        ta.Shift(-0.5, 0.5, **common),
        each(_fade),
        each(_time_stretch),
        each(mask),
    )

    def augment(x: Tensor) -> Tensor:
        for operator in random.sample(operators, random.randint(1, 7)):
            x = operator(x)
        return x

    return augment
