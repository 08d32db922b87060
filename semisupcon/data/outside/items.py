"""Waveform, sample rate and label of an item of a torch data set, in the usual forms."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from semisupcon.audio.opening import MOST_CHANNELS, RATES
from semisupcon.audio.values import silence, waveform
from semisupcon.errors import AudioError, ConfigError

Field = str | int
_AUDIO, _RATE, _ARRAY = ("audio", "waveform"), ("sample_rate", "sampling_rate"), "array"


class Form(NamedTuple):
    """Places of the parts in an item.

    Attributes:
        audio: key or position of the waveform. None is the item itself, the first of a tuple, or
            the key ``audio`` or ``waveform``.
        rate: key or position of the sample rate. None is the key ``sample_rate`` or
            ``sampling_rate``.
        label: key or position of the label; None reads no label.
        item_rate: sample rate of items that do not have one, in Hz.
    """

    audio: Field | None = None
    rate: Field | None = None
    label: Field | None = None
    item_rate: int | None = None


class Item(NamedTuple):
    """Mono float32 waveform ``[T]``, its sample rate in Hz, and the label of an item."""

    audio: np.ndarray
    sample_rate: int
    label: Any


def item_of(item: Any, form: Form, name: str) -> Item:
    """Take an item apart, average its channels, and check it.

    Args:
        item: a waveform, or a tuple, list or mapping that holds one. The waveform is ``[T]`` or
            ``[channels, T]``: a tensor or array of floating point with full scale 1, or of int8,
            int16, int32 or uint8.
        form: places of the parts.
        name: name of the item, for messages.

    Raises:
        ConfigError: if a part is missing, or the sample rate is unknown.
        AudioError: if the waveform has another shape or type, has impossible values, or is silent.
    """
    value, rate = _audio(item, form, name)
    label = None if form.label is None else _part(item, form.label, "label", name)
    samples = value.numpy(force=True) if isinstance(value, torch.Tensor) else value
    if not isinstance(samples, np.ndarray):
        raise _unusable(name, f"its audio is of type {type(value).__name__}, not a tensor or array")
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and len(samples) > MOST_CHANNELS):
        raise _unusable(name, f"its audio has the shape {list(samples.shape)}, not [channels, T]")
    if not RATES[0] <= rate <= RATES[1]:
        raise _unusable(name, f"its sample rate is {rate} Hz")
    channels = samples[None] if samples.ndim == 1 else samples
    try:
        parts = np.stack([waveform(channel, name) for channel in channels])
    except (AudioError, ValueError) as error:
        reason = str(error).splitlines()[0].removeprefix(f"{name} ").rstrip(".")
        raise _unusable(name, reason.removeprefix("cannot be used: ")) from error
    mono = parts[0] if len(parts) == 1 else parts.mean(axis=0)
    of_channels = float(np.vdot(parts, parts)) / len(parts)
    if reason := silence(float(np.dot(mono, mono)), of_channels):
        raise _unusable(name, reason)
    return Item(np.ascontiguousarray(mono, np.float32), rate, label)


def _audio(item: Any, form: Form, name: str) -> tuple[Any, int]:
    value, rate = item, form.item_rate
    if form.audio is not None:
        value = _part(item, form.audio, "audio", name)
    elif isinstance(item, Mapping):
        if (key := next((key for key in _AUDIO if key in item), None)) is None:
            raise ConfigError(
                f"{name} has no audio: its keys are {_keys(item)}.\nGive the key as data.audio."
            )
        value = item[key]
    elif isinstance(item, tuple | list) and item:
        value = item[0]
    for holder in (value, item):
        if isinstance(holder, Mapping):
            rate = next((holder[key] for key in _RATE if key in holder), rate)
    if isinstance(value, Mapping) and _ARRAY in value:
        value = np.asarray(value[_ARRAY])
    if form.rate is not None:
        rate = _part(item, form.rate, "rate", name)
    if rate is None:
        raise ConfigError(
            f"The sample rate of {name} is not known.\nGive its key or position in an item as "
            "data.rate, or the rate of all items in Hz as data.item_rate."
        )
    try:
        return value, int(rate)
    except (TypeError, ValueError):
        raise ConfigError(f"The sample rate of {name} is {str(rate)[:40]!r}.") from None


def _part(item: Any, field: Field, option: str, name: str) -> Any:
    place: Any = field
    if not isinstance(item, Mapping) and isinstance(field, str) and field.isdigit():
        place = int(field)
    try:
        if isinstance(item, Mapping | tuple | list):
            return item[place]
    except (KeyError, IndexError, TypeError):
        pass
    raise ConfigError(
        f"data.{option} is {field!r}, but {name} is {_keys(item)}.\nGive a key or position of it."
    )


def _keys(item: Any) -> str:
    if isinstance(item, Mapping):
        return ", ".join(map(str, list(item)[:10])) or "none"
    if isinstance(item, tuple | list):
        return f"a {type(item).__name__} of {len(item)} parts"
    return f"of type {type(item).__name__}"


def _unusable(name: str, problem: str) -> AudioError:
    return AudioError(f"{name} cannot be used: {problem}.", problem)
