"""Check that options of the data module agree with each other and with the model."""

from typing import Any

from semisupcon.data.planned import AugmentIn
from semisupcon.errors import ConfigError


def check_loading(
    packed: str | None, device_resident: bool, augment_in: AugmentIn, num_workers: int
) -> None:
    """Check the options for the places where clips are read and augmented.

    Raises:
        ConfigError: if options contradict each other.
    """
    if device_resident and packed is None:
        raise ConfigError("data.device_resident needs data.packed: make it with semisupcon pack.")
    if augment_in == "workers" and (device_resident or num_workers == 0):
        raise ConfigError(
            "data.augment_in workers needs data.num_workers of at least 1, and "
            "data.device_resident false."
        )


def rate_for(encoder: Any, rate: int | None) -> int:
    """Return the sample rate of the encoder, after checking that ``rate`` is equal or None.

    Raises:
        ConfigError: if the rates differ.
    """
    if rate not in (None, encoder.sample_rate):
        raise ConfigError(
            f"data.target_sample_rate is {rate} Hz, but {type(encoder).__name__} "
            f"takes {encoder.sample_rate} Hz.\n"
            "Leave data.target_sample_rate null, or configure an encoder for that rate."
        )
    return encoder.sample_rate


def views_for(least: int, most: int | None, views: int | None) -> int:
    """Return the given number of views, or ``least`` if it is None.

    Raises:
        ConfigError: if ``views`` is smaller than ``least`` or larger than ``most``. None for
            ``most`` means no limit.
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
    """Check that views of a length in seconds are long enough for an encoder.

    Raises:
        ConfigError: if the views are too short.
    """
    if round(seconds * encoder.sample_rate) < encoder.min_samples:
        raise ConfigError(
            f"data.target_length is {seconds:g} s, but {type(encoder).__name__} takes "
            f"{encoder.min_samples / encoder.sample_rate:.3g} s or more."
        )
