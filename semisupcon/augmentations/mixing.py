"""Mixing with another clip of the batch. No other transform depends on other rows."""

from typing import Any

import torch
from torch import Tensor

from semisupcon.augmentations.level import check_range
from semisupcon.augmentations.plans import Decision
from semisupcon.augmentations.transform import Transform
from semisupcon.random import clip_key, uniform, uniform_between


class Mix(Transform):
    """Mix each row with a row of another clip (MFCL: Wang and van den Oord 2021).

    The result is weight * x + (1 - weight) * y. Here y is a random row of another clip of the
    batch, at the same stage of the chain, so the result depends on the batch. Rows are unchanged if
    the batch has no other clip.

    Args:
        min_weight: smallest weight of the row itself; from 0.5, the row dominates the mixture.
        max_weight: largest weight of the row itself.
        p: probability that the transform is applied to a row.
    """

    parameter_names = ("weight",)

    def __init__(self, min_weight: float = 0.5, max_weight: float = 1.0, p: float = 1.0):
        super().__init__(p)
        for low, high in ((0, min_weight), (min_weight, max_weight), (max_weight, 1)):
            check_range(self, "the weight, between 0 and 1,", low, high)
        self.range = (min_weight, max_weight)

    def modify(
        self, audio: Tensor, key: Tensor, among: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        decision = self.decide(key, audio.shape[-1], among)
        audio = self.perform(audio, decision.work)
        return audio, decision.applied, decision.parameters

    def decide(self, key: Tensor, samples: int, among: Tensor | None = None) -> Decision:
        clip = clip_key(key)
        others = (clip[:, None] != clip).cumsum(
            1
        )  # the n-th row of another clip is where this count reaches n
        count = others[:, -1] if len(key) else clip
        applied = self.chosen(key, among) & (count > 0)
        nth = (uniform(key, "partner")[:, 0] * count).long() + 1
        partner = (others < nth[:, None]).sum(1)[applied]
        weight = torch.where(applied, uniform_between(key, "weight", *self.range), torch.nan)
        work = {"rows": applied.nonzero()[:, 0], "partner": partner, "weight": weight[applied]}
        return Decision(applied, weight[:, None], work)

    def perform(self, audio: Tensor, work: Any) -> Tensor:
        share = work["weight"][:, None, None].to(audio.dtype)
        mixed = audio[work["rows"]] * share + audio[work["partner"]] * (1 - share)
        return audio.index_copy_(0, work["rows"], mixed)
