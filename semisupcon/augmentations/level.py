"""Augmentations of the level and the sign: gain and polarity inversion."""

from torch import Tensor

from semisupcon.augmentations.transform import Transform
from semisupcon.errors import ConfigError
from semisupcon.random import uniform_between


def check_range(owner: object, what: str, low: float, high: float) -> None:
    """Check that the lower end of a range does not exceed the upper end.

    Raises:
        ConfigError: if ``low`` exceeds ``high``.
    """
    if not low <= high:
        raise ConfigError(
            f"{type(owner).__name__}: the lower end of {what} exceeds the upper one ({low} > "
            f"{high})."
        )


class Gain(Transform):
    """Multiply by a random gain, uniform in dB. The result is not clipped.

    Args:
        min_db: lowest gain in dB.
        max_db: highest gain in dB.
        p: probability that the transform is applied to a row.
    """

    parameter_names = ("gain_db",)

    def __init__(self, min_db: float = -15.0, max_db: float = 5.0, p: float = 1.0):
        super().__init__(p)
        check_range(self, "the gain", min_db, max_db)
        self.min_db, self.max_db = min_db, max_db

    def draw(self, key: Tensor, samples: int) -> Tensor:
        return uniform_between(key, "gain", self.min_db, self.max_db)[:, None]

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor) -> Tensor:
        return audio * 10 ** (parameters[:, :, None] / 20)


class PolarityInversion(Transform):
    """Invert the sign of the waveform."""

    def apply(self, audio: Tensor, parameters: Tensor, key: Tensor) -> Tensor:
        return -audio
