"""Log-mel spectrograms with the constants of the published systems.

The systems are COLA (Saeed et al. 2021) in its TensorFlow and JAX versions, MFCL (Wang and van den
Oord 2021) as in an exercise on AudioMNIST, and MT-SLVR (Heggan et al. 2023). The three-channel
image of MT-SLVR also has magnitude and phase of a mel-projected STFT, like CLAR (Al-Tahan and
Mohsenzadeh 2021).
"""

from typing import Literal

import torch
from torch import Tensor

from semisupcon.errors import ConfigError
from semisupcon.frontends.mel_base import MelFrontend
from semisupcon.frontends.planes import Planes, phase

ROUNDING = 2.0**-18  # rounding of a Fourier transform in float32, with a margin


def energy(spectrum: Tensor | Planes) -> Tensor:
    """Return the squared magnitude of a complex tensor of any shape.

    On a CPU, this is three times as fast as ``abs`` followed by squaring.
    """
    return spectrum.real.square() + spectrum.imag.square()


class LogMel(MelFrontend):
    """Log-mel spectrogram ``[N, 1, n_mels, frames]``: log(clamp(mel + offset, floor, ceiling)).

    The defaults are those of Google's code of COLA. `cola_log_mel`, `audax_log_mel`, `mfcl_log_mel`
    and `mtslvr_log_mel` return the front end of each system.

    Args:
        sample_rate, n_fft, win_length, hop_length, padding, n_mels, f_min, f_max: see
            `MelFrontend`.
        power: exponent of the magnitude: 1 for magnitude, 2 for power spectra.
        periodic: whether the Hann window is periodic, as in torch and TensorFlow. False is
            symmetric, as in the JAX port of COLA.
        scale: ``natural`` for the natural logarithm, ``decibel`` for 10 log10 of power or 20 log10
            of magnitude.
        offset: number added before the logarithm.
        floor: lower bound before the logarithm.
        ceiling: upper bound before the logarithm; None is no bound.
        standardize: whether to subtract the mean of each spectrogram and divide by its standard
            deviation + 1e-7.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 1024,
        win_length: int | None = 400,
        hop_length: int = 160,
        padding: int | None = 0,
        n_mels: int = 64,
        f_min: float = 60.0,
        f_max: float | None = 7800.0,
        power: float = 1.0,
        periodic: bool = True,
        scale: Literal["natural", "decibel"] = "natural",
        offset: float = 0.0,
        floor: float = 1e-5,
        ceiling: float | None = 1e8,
        standardize: bool = False,
    ):
        super().__init__(sample_rate, n_fft, win_length, hop_length, padding, n_mels, f_min, f_max)
        if offset <= 0 and floor <= 0:
            raise ConfigError(
                "LogMel needs a positive offset or floor; the logarithm of digital silence is not "
                "finite."
            )
        self.power, self.scale, self.standardize = power, scale, standardize
        self.offset, self.floor, self.ceiling = offset, floor, ceiling
        self.register_buffer(
            "window", torch.hann_window(self.win_length, periodic=periodic), persistent=False
        )

    def spectrogram(self, x: Tensor) -> Tensor:
        spectrum = self.stft(x, self.window)
        mel = self.to_mel(energy(spectrum) if self.power == 2 else spectrum.abs() ** self.power)
        mel = (mel + self.offset).clamp(self.floor, self.ceiling)
        log = mel.log() if self.scale == "natural" else (20 / self.power) * mel.log10()
        if self.standardize:
            log = (log - log.mean(dim=(1, 2), keepdim=True)) / (
                log.std(dim=(1, 2), keepdim=True, correction=0) + 1e-7
            )
        return log[:, None]


class ThreeChannelMel(MelFrontend):
    """Three-channel image of MT-SLVR, ``[N, 3, n_mels, frames]``.

    The first channel is a log-mel spectrogram in dB. The second and third channels are the
    magnitude (10 log10) and the phase (radians) of a mel-projected STFT. For these two, mel filters
    are applied to the signed real and imaginary parts of an STFT with a rectangular window, and the
    magnitude is converted to dB as if it were a power, as in the code of MT-SLVR. Digital silence
    gives the values -156.54, -156.54 and 0.

    Reflection makes the first frame symmetric, so its imaginary parts are zero up to rounding. In
    the code of MT-SLVR, the phase of such values is pi or -pi at random, by processor. Here parts
    below ``ROUNDING`` of the largest magnitude of their frame count as zero before the phase is
    taken.

    Args:
        sample_rate, n_fft, hop_length, n_mels, f_min, f_max: see `MelFrontend`. The window has
            ``n_fft`` samples and is centred.
        offset: number added before the logarithm; in MT-SLVR, the machine epsilon of float64.
    """

    channels = 3
    revision = 2  # 1: version 0.1, whose phase of values near 0 was that of their rounding

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 1024,
        hop_length: int = 512,
        n_mels: int = 128,
        f_min: float = 0.0,
        f_max: float | None = None,
        offset: float = 2.0**-52,
    ):
        super().__init__(sample_rate, n_fft, None, hop_length, None, n_mels, f_min, f_max)
        self.offset = offset
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def spectrogram(self, x: Tensor) -> Tensor:
        mel = self.to_mel(energy(self.stft(x, self.window)))
        spectrum = self.stft(x, torch.ones_like(self.window))
        projected = self.to_complex_mel(spectrum)
        decibel = 10 * (torch.stack([mel, projected.abs()], dim=1) + self.offset).log10()
        return torch.cat([decibel, self.phase(projected)[:, None]], dim=1)

    def phase(self, projected: Tensor | Planes) -> Tensor:
        """Return the phase in radians; parts that are zero up to rounding count as zero."""
        least = ROUNDING * projected.abs().amax(dim=1, keepdim=True)
        parts = (part * (part.abs() > least) for part in (projected.real, projected.imag))
        real, imag = (part + 0.0 for part in parts)  # -0 becomes 0
        return phase(real, imag) if self.as_convolution else torch.atan2(imag, real)


def cola_log_mel() -> LogMel:
    """Return the log-mel front end of Google's code of COLA.

    It has magnitude spectra of 25 ms frames every 10 ms, which are not centred, and 64 bands from
    60 to 7800 Hz. One second of audio gives 98 frames.
    """
    return LogMel(
        16000,
        n_fft=1024,
        win_length=400,
        hop_length=160,
        padding=0,
        n_mels=64,
        f_min=60.0,
        f_max=7800.0,
        power=1.0,
        floor=1e-5,
    )


def audax_log_mel(standardize: bool = False) -> LogMel:
    """Return the log-mel front end of audax, the JAX port of COLA.

    It has power spectra, a symmetric window, and 512 reflected samples at each end. 0.96 s of audio
    give 100 frames.

    Args:
        standardize: whether to standardise spectrograms, as in the EfficientNet recipes of audax.
    """
    return LogMel(
        16000,
        1024,
        400,
        160,
        padding=512,
        n_mels=64,
        f_min=60.0,
        f_max=7800.0,
        power=2.0,
        periodic=False,
        floor=1e-8,
        standardize=standardize,
    )


def mfcl_log_mel() -> LogMel:
    """Return the log-mel front end of the exercise on AudioMNIST about MFCL.

    It has power spectra of centred 25 ms frames every 10 ms, and 80 bands up to 8 kHz. The output
    is ln(clamp(mel + 1e-6, 1e-6, 1e4)).
    """
    return LogMel(
        16000,
        400,
        400,
        160,
        padding=None,
        n_mels=80,
        f_min=0.0,
        f_max=8000.0,
        power=2.0,
        offset=1e-6,
        floor=1e-6,
        ceiling=1e4,
    )


def mtslvr_log_mel() -> LogMel:
    """Return the one-channel front end of MT-SLVR, the first channel of `ThreeChannelMel`."""
    return LogMel(
        16000, 1024, None, 512, padding=None, n_mels=128, f_min=0.0, f_max=None, power=2.0, scale="decibel",
        offset=2.0**-52, floor=0.0, ceiling=None,
    )  # fmt: skip
