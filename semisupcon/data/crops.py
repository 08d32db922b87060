"""Draw the crops of clips for a whole batch. Crops depend only on lengths and keys.

There are five policies. ``adjacent`` cuts consecutive crops from one random excerpt (SemiSupCon,
Guinot et al. 2024, section 4.2). ``independent`` cuts random crops that may overlap (CLMR, COLA).
``gapped`` cuts two crops of a fixed share of the clip, with a gap or an overlap (MFCL on
AudioMNIST). ``parts`` cuts the clip into equal parts, in order. ``whole`` uses the complete clip
for each view. Starts are drawn from all possible ones, including the last.
"""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from semisupcon.errors import ConfigError
from semisupcon.random import clip_key, integers

Policy = Literal["adjacent", "independent", "gapped", "parts", "whole"]
POLICIES: tuple[str, ...] = get_args(Policy)


class Crops(NamedTuple):
    """Crops of B clips, in samples at the sample rate of each file.

    Attributes:
        start: ``[B, V]`` int64, first sample of each view.
        span: ``[B, V]`` int64, length of each view, at least 1. It is shorter than requested only
            if the clip is shorter.
        joint: ``[B]`` bool. If True, the views of the clip are the V equal parts of a single
            excerpt that begins at ``start[:, 0]``, and ``span`` is the length of the excerpt.
    """

    start: Tensor
    span: Tensor
    joint: Tensor


def _ceil_ratio(samples: int, rates: Tensor, sample_rate: int) -> Tensor:
    return -((-samples * rates) // sample_rate)


def adjacent(frames: Tensor, rates: Tensor, keys: Tensor, samples: int, sample_rate: int) -> Crops:
    """Cut consecutive crops of ``samples`` samples at ``sample_rate``.

    A clip that is too short for V consecutive crops gets independent crops.

    Args:
        frames: ``[B]``, length of each clip in samples at the rate of its file.
        rates: ``[B]``, sample rate of each file in Hz.
        keys: ``[B, V]``, keys of the views.
        samples: length of a view in samples at ``sample_rate``.
        sample_rate: sample rate of the views in Hz.
    """
    apart = independent(frames, rates, keys, samples, sample_rate)
    needed = _ceil_ratio(keys.shape[1] * samples, rates, sample_rate)
    joint = frames >= needed
    start = integers(clip_key(keys[:, 0]), "crop", 0, (frames - needed).clamp(min=0))
    return Crops(
        start=torch.where(joint[:, None], start[:, None], apart.start),
        span=torch.where(joint[:, None], needed[:, None], apart.span),
        joint=joint,
    )


def independent(
    frames: Tensor,
    rates: Tensor,
    keys: Tensor,
    samples: int,
    sample_rate: int,
) -> Crops:
    """Cut a random crop for each view. The arguments are those of `adjacent`.

    If the clip is shorter than a view, the crop is the whole clip.
    """
    needed = _ceil_ratio(samples, rates, sample_rate)
    latest = (frames - needed).clamp(min=0)[:, None].expand_as(keys)
    span = torch.minimum(needed, frames)[:, None].expand_as(keys)
    return Crops(
        integers(keys, "crop", 0, latest),
        span,
        torch.zeros_like(frames, dtype=torch.bool),
    )


def gapped(frames: Tensor, keys: Tensor, fraction: float, overlap: bool | None) -> Crops:
    """Cut two crops from each clip, in random order.

    Args:
        frames: ``[B]``, length L of each clip in samples.
        keys: ``[B, 2]``, keys of the views.
        fraction: share of the clip, in (0, 1]. Crops have the length c = fraction * L. MFCL uses
            0.45 without overlap.
        overlap: False puts a gap of 0 to L - 2c samples between the crops; ``fraction`` is at most
            0.5. True lets the crops share up to c samples. None starts the second crop at the end
            of the first.
    """
    shared = clip_key(keys[:, 0])
    crop = (frames * fraction).long().clamp(min=1)
    if overlap:
        least = ((2 * fraction - 1) * frames).long().clamp(min=0)
        gap = -integers(shared, "gap", least, torch.maximum(crop, least))
    elif overlap is False:
        gap = integers(shared, "gap", 0, (frames - 2 * crop).clamp(min=0))
    else:
        gap = torch.zeros_like(frames)
    slack = (frames - 2 * crop - gap).clamp(min=0)
    margin = torch.zeros_like(frames) if overlap is None else integers(shared, "margin", 0, slack)
    # Because of rounding, the second crop may exceed a clip of one sample or of odd length. In this
    # case it is moved to the end of the clip.
    second = torch.minimum(margin + crop + gap, frames - crop)
    swap = integers(shared, "order", 0, 1).bool()
    start = torch.stack(
        [torch.where(swap, second, margin), torch.where(swap, margin, second)],
        dim=1,
    )
    return Crops(start, crop[:, None].expand(-1, 2), torch.zeros_like(frames, dtype=torch.bool))


def parts(frames: Tensor, keys: Tensor) -> Crops:
    """Cut each clip into V consecutive equal parts, from ``frames [B]`` and ``keys [B, V]``."""
    part = (frames // keys.shape[1]).clamp(min=1)[:, None]
    start = torch.minimum(part * torch.arange(keys.shape[1]), frames[:, None] - part)
    return Crops(start, part.expand_as(keys), torch.zeros_like(frames, dtype=torch.bool))


def whole(frames: Tensor, keys: Tensor) -> Crops:
    """Return the whole clip as every view, from ``frames [B]`` and ``keys [B, V]``."""
    return Crops(
        torch.zeros_like(keys),
        frames[:, None].expand_as(keys),
        torch.zeros_like(frames, dtype=torch.bool),
    )


def check_policy(policy: str, views: int, fraction: float, overlap: bool | None) -> None:
    """Check the options of a policy.

    Raises:
        ConfigError: if the policy is unknown, or the other options do not fit the policy.
    """
    if policy not in POLICIES:
        raise ConfigError(f"data.view_policy must be one of {', '.join(POLICIES)}, got '{policy}'.")
    if views < 1:
        raise ConfigError(f"data.views must be at least 1, got {views}.")
    if policy != "gapped":
        return
    if views != 2:
        raise ConfigError(f"data.view_policy 'gapped' gives two views, but data.views is {views}.")
    most = 1.0 if overlap else 0.5
    if not 0 < fraction <= most:
        raise ConfigError(
            f"data.crop_fraction must be above 0 and at most {most:g} with crop_overlap {overlap}, "
            f"got {fraction:g}.",
        )
