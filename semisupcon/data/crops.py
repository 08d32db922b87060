"""Crops of clips: pure functions of lengths and keys, for a whole batch at once.

``adjacent``: consecutive excerpts of one random stretch (SemiSupCon, Guinot et al. 2024, section
4.2). ``independent``: random crops that may overlap (CLMR, COLA). ``gapped``: two crops of a fixed
share of the clip, with a gap or with an overlap (MFCL on AudioMNIST). ``parts``: equal parts of the
clip, in order. ``whole``: the clip. Every offset that fits is possible, including the last.
"""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from semisupcon.errors import ConfigError
from semisupcon.random import clip_key, integers

Policy = Literal["adjacent", "independent", "gapped", "parts", "whole"]
POLICIES: tuple[str, ...] = get_args(Policy)


class Crops(NamedTuple):
    """Spans of B clips, in samples at the rate of each file.

    Attributes:
        start: ``[B, V]`` int64.
        span: ``[B, V]`` int64, at least 1; shorter than requested only if the clip is shorter.
        joint: ``[B]`` bool: the views are the V equal parts of one span that begins at
            ``start[:, 0]`` and has the length ``span``.
    """

    start: Tensor
    span: Tensor
    joint: Tensor


def _ceil_ratio(samples: int, rates: Tensor, sample_rate: int) -> Tensor:
    return -((-samples * rates) // sample_rate)


def adjacent(frames: Tensor, rates: Tensor, keys: Tensor, samples: int, sample_rate: int) -> Crops:
    """Cut consecutive excerpts of ``samples`` at ``sample_rate``.

    A clip that is too short for all of them gets independent excerpts.

    Args:
        frames: ``[B]`` length of the clips at their own rate.
        rates: ``[B]`` Hz.
        keys: ``[B, V]``.
        samples: length of a view at ``sample_rate``.
        sample_rate: Hz of the views.
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
    """Cut a random excerpt per view, or the whole of a shorter clip. Arguments as `adjacent`."""
    needed = _ceil_ratio(samples, rates, sample_rate)
    latest = (frames - needed).clamp(min=0)[:, None].expand_as(keys)
    span = torch.minimum(needed, frames)[:, None].expand_as(keys)
    return Crops(
        integers(keys, "crop", 0, latest),
        span,
        torch.zeros_like(frames, dtype=torch.bool),
    )


def gapped(frames: Tensor, keys: Tensor, fraction: float, overlap: bool | None) -> Crops:
    """Cut two crops of ``fraction`` of each clip, in random order.

    Args:
        frames: ``[B]`` length of the clips, L below.
        keys: ``[B, 2]``.
        fraction: share of the clip, in (0, 1]; crops have the length c = fraction * L. The authors
            use 0.45 without overlap.
        overlap: False: a gap of 0 to L - 2c between them (fraction at most 0.5). True: they share
            up to c samples. None: the second begins where the first ends.
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
    # After rounding, a one-sample clip or an odd length may have no room for the second crop. It
    # then ends at the end of the clip.
    second = torch.minimum(margin + crop + gap, frames - crop)
    swap = integers(shared, "order", 0, 1).bool()
    start = torch.stack(
        [torch.where(swap, second, margin), torch.where(swap, margin, second)],
        dim=1,
    )
    return Crops(start, crop[:, None].expand(-1, 2), torch.zeros_like(frames, dtype=torch.bool))


def parts(frames: Tensor, keys: Tensor) -> Crops:
    """Cut V consecutive equal parts of each clip; frames are ``[B]``, keys ``[B, V]``."""
    part = (frames // keys.shape[1]).clamp(min=1)[:, None]
    start = torch.minimum(part * torch.arange(keys.shape[1]), frames[:, None] - part)
    return Crops(start, part.expand_as(keys), torch.zeros_like(frames, dtype=torch.bool))


def whole(frames: Tensor, keys: Tensor) -> Crops:
    """Return the whole clip for every view."""
    return Crops(
        torch.zeros_like(keys),
        frames[:, None].expand_as(keys),
        torch.zeros_like(frames, dtype=torch.bool),
    )


def check_policy(policy: str, views: int, fraction: float, overlap: bool | None) -> None:
    """Check settings of the policy.

    Raises:
        ConfigError: for an unknown policy, or settings that do not fit it.
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
