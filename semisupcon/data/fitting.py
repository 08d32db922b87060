"""Options of the data that must fit each other and the model: rate, views, length, loading."""

from typing import Any

from semisupcon.data.planned import AugmentIn
from semisupcon.errors import ConfigError


def check_loading(
    packed: str | None, device_resident: bool, augment_in: AugmentIn, num_workers: int
) -> None:
    """Check the options that decide where clips are read and augmented.

    Raises:
        ConfigError: for options that exclude each other.
    """
    if device_resident and packed is None:
        raise ConfigError("data.device_resident needs data.packed: make it with semisupcon pack.")
    if augment_in == "workers" and (device_resident or num_workers == 0):
        raise ConfigError(
            "data.augment_in workers needs data.num_workers of at least 1, and "
            "data.device_resident false."
        )


def rate_for(encoder: Any, rate: int | None) -> int:
    """Return the sample rate of the encoder; ``rate`` must be equal to it, or None.

    Raises:
        ConfigError: if another rate is given.
    """
    if rate not in (None, encoder.sample_rate):
        raise ConfigError(
            f"data.target_sample_rate is {rate} Hz, but {type(encoder).__name__} "
            f"takes {encoder.sample_rate} Hz.\n"
            "Leave data.target_sample_rate null, or configure an encoder for that rate."
        )
    return encoder.sample_rate


def views_for(least: int, most: int | None, views: int | None) -> int:
    """The number of views that is given, or ``least``.

    Raises:
        ConfigError: for fewer views than ``least``, or more than ``most`` (None: any number).
    """
    views = least if views is None else views
    if views < least:
        raise ConfigError(f"The objective compares {least} views of a clip, data.views is {views}.")
    if most is not None and views > most:
        raise ConfigError(
            f"The objective compares at most {most} views of a clip, data.views is {views}."
        )
    return views


def check_length(encoder: Any, seconds: float) -> None:
    """Check the length of a view.

    Raises:
        ConfigError: if the encoder needs longer views.
    """
    if round(seconds * encoder.sample_rate) < encoder.min_samples:
        raise ConfigError(
            f"data.target_length is {seconds:g} s, but {type(encoder).__name__} takes "
            f"{encoder.min_samples / encoder.sample_rate:.3g} s or more."
        )
