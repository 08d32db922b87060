"""Augmentation of spectrograms: masks of SpecAugment (Park et al. 2019) and band shifts.

COLA uses masks, MFCL uses both. The modules take features ``[N, C, bands, frames]`` and keys
``[N]``, and draw independently for each example. In evaluation mode they return their input.
"""

import torch
from torch import Tensor

from semisupcon.augmentations.level import check_range
from semisupcon.errors import ConfigError
from semisupcon.random import integers, uniform
from semisupcon.spec import Recorded

FILLS = ("zero", "mean", "floor")


def fill_value(features: Tensor, fill: str) -> Tensor:
    """Return the fill values ``[N, 1, 1, 1]``: zero, or the mean or floor (minimum) of each
    example.

    In a log spectrogram, zero is a high level.
    """
    flat = features.flatten(1)
    value = {
        "zero": lambda: flat.new_zeros(len(flat)),
        "mean": lambda: flat.mean(1),
        "floor": lambda: flat.amin(1),
    }[fill]()
    return value[:, None, None, None]


def check_fill(owner: object, fill: str) -> None:
    """Check that ``fill`` is a known name.

    Raises:
        ConfigError: if ``fill`` is not one of `FILLS`.
    """
    if fill not in FILLS:
        raise ConfigError(
            f"{type(owner).__name__}: fill is one of {', '.join(FILLS)}, got {fill!r}."
        )


class SpecAugment(Recorded):
    """Mask random ranges of bands and of frames.

    Args:
        max_bands: largest width of a frequency mask. Widths are uniform in [0, max_bands), and
            starts are uniform.
        max_frames: largest width of a time mask.
        masks: number of frequency masks, and number of time masks.
        fill: value of the filled bands and frames: "zero", or the "mean" or "floor" (minimum) of
            the example.
    """

    def __init__(
        self, max_bands: int = 10, max_frames: int = 10, masks: int = 2, fill: str = "mean"
    ):
        super().__init__()
        check_range(self, "the width of a mask", 0, min(max_bands, max_frames))
        check_range(self, "the number of masks", 0, masks)
        check_fill(self, fill)
        self.widest, self.masks, self.fill = (max_bands, max_frames), masks, fill

    def forward(self, features: Tensor, key: Tensor) -> Tensor:
        """Return masked features of the same shape; in evaluation mode, return the input."""
        if not self.training:
            return features
        masked = torch.zeros(
            len(features), *features.shape[-2:], dtype=torch.bool, device=features.device
        )
        for axis, name in enumerate(("bands", "frames")):
            size = features.shape[axis - 2]
            width = uniform(key, f"{name} width", self.masks) * self.widest[axis]
            start = uniform(key, f"{name} start", self.masks) * (size - width).clamp(min=0)
            place = torch.arange(size, device=features.device)[:, None]
            inside = ((place >= start[:, None]) & (place < (start + width)[:, None])).any(
                -1
            )  # [N, size]
            masked |= inside[:, :, None] if axis == 0 else inside[:, None]
        return torch.where(masked[:, None], fill_value(features, self.fill), features)


class BandShift(Recorded):
    """Shift the spectrogram along frequency by a random number of bands.

    The shift is a uniform integer in -max_bands..max_bands. Empty bands are filled.

    Args:
        max_bands: largest shift in bands.
        fill: value of the filled bands and frames: "zero", or the "mean" or "floor" (minimum) of
            the example.
    """

    def __init__(self, max_bands: int = 10, fill: str = "floor"):
        super().__init__()
        check_range(self, "the shift", 0, max_bands)
        check_fill(self, fill)
        self.max_bands, self.fill = max_bands, fill

    def forward(self, features: Tensor, key: Tensor) -> Tensor:
        """Return shifted features of the same shape; in evaluation mode, return the input."""
        if not self.training:
            return features
        bands = features.shape[-2]
        source = (
            torch.arange(bands, device=features.device)
            - integers(key, "shift", -self.max_bands, self.max_bands)[:, None]
        )
        moved = features.gather(
            -2, source.clamp(0, bands - 1)[:, None, :, None].expand_as(features)
        )
        inside = ((source >= 0) & (source < bands))[:, None, :, None]
        return torch.where(inside, moved, fill_value(features, self.fill))
