"""Chains by name and by list: what ``--data.aug_list`` and ``--data.severity_modifier`` mean."""

from collections.abc import Mapping
from typing import Any

from semisupcon.augmentations.base import Chain, Transform
from semisupcon.augmentations.severity import PARAMETRIC, chain_probability
from semisupcon.errors import ConfigError, nearest
from semisupcon.spec import build

MAX_SEVERITY = 5


def build_chain(
    aug_list: list[str | dict[str, Any] | Transform] | None,
    severity_modifier: float,
    sample_rate: int,
    p: float | None = None,
    shared_choices: bool = True,
) -> Chain | None:
    """The chain that a list of augmentations asks for, in the order of the list.

    Args:
        aug_list: names of SemiSupCon's augmentations; transforms; or their class paths, as ``{"class_path": ..., "init_args": {...}}``.
        severity_modifier: 0 (no augmentation) to 5; 2 in the paper. It scales the named augmentations and nothing else.
        sample_rate: Hz.
        p: probability that a clip is augmented at all; None takes the published one, min(1, 0.4 * severity).
        shared_choices: as published, draw that coin, and which filter is used, once for all views of a clip; false draws them per view.

    Returns:
        None when there is nothing to do: an empty list, or severity 0.

    Raises:
        ConfigError: for an unknown name or a severity outside 0 to 5.
    """
    if not 0 <= severity_modifier <= MAX_SEVERITY:
        raise ConfigError(f"severity_modifier lies between 0 (no augmentation) and {MAX_SEVERITY}, got {severity_modifier}.")
    if not aug_list or severity_modifier == 0:
        return None
    transforms = [_transform(entry, severity_modifier, sample_rate) for entry in aug_list]
    return Chain(transforms, chain_probability(severity_modifier) if p is None else p, shared_choices)


def _transform(entry: str | dict[str, Any] | Transform, severity: float, sample_rate: int) -> Transform:
    if isinstance(entry, Transform):
        return entry
    if isinstance(entry, Mapping):
        return build({"class_path": entry["class_path"], "init_args": dict(entry.get("init_args") or {})})
    if entry in PARAMETRIC:
        return PARAMETRIC[entry](severity / 2, sample_rate)
    raise ConfigError(f"There is no augmentation {entry!r}.{nearest(entry, PARAMETRIC)}\nKnown: {', '.join(PARAMETRIC)}.")
