"""Corruptions of the test audio, with which the robustness of probes is measured.

The families of corruptions are those of SemiSupCon: increasing severity, single effects, and tiers
with more and more effects. The published code of SemiSupCon leaves 20 % of the test clips clean,
because it applies operators at random. This implementation corrupts every segment of every test
clip: it draws again until at least one operator is applied. Heads and training audio stay the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from semisupcon.augmentations.chains import build_chain
from semisupcon.augmentations.severity import CORRUPTIONS, PARAMETRIC, TIERS
from semisupcon.errors import ConfigError, nearest
from semisupcon.probing.embeddings.embedder import Corrupt
from semisupcon.random import clip_key, derive, stable_hash

BASE, EFFECTS = tuple(PARAMETRIC), tuple(CORRUPTIONS)
SEVERITY = 2.0
DRAWS = 64


@dataclass(frozen=True)
class Corruption:
    """A corruption of the test audio, one point of a robustness curve.

    Attributes:
        family: name of the family.
        position: name of the point in its family.
        operators: names of the augmentations.
        severity: strength of the augmentations, 0 to 5.
    """

    family: str
    position: str
    operators: tuple[str, ...]
    severity: float


def corruptions(families: Sequence[str]) -> list[Corruption]:
    """Return the corruptions of the given families, in order.

    - "severity": all base operators together, at each severity from 0 to 5.
    - "only": no operator, and then each base operator and each effect alone.
    - "plus": all base operators together, and then the same with one effect, for each effect.
    - "tiers": the tiers of SemiSupCon, each a set of operators.

    Raises:
        ConfigError: for an unknown family, with the most similar name.
    """
    of = {
        "severity": [Corruption("severity", f"{s}", BASE, s) for s in range(6)],
        "only": [
            Corruption("only", "clean", (), 0),
            *(Corruption("only", name, (name,), SEVERITY) for name in (*BASE, *EFFECTS)),
        ],
        "plus": [
            Corruption("plus", "base", BASE, SEVERITY),
            *(Corruption("plus", f"+ {n}", (*BASE, n), SEVERITY) for n in EFFECTS),
        ],
        "tiers": [
            Corruption("tiers", name.replace("_", " "), ops, SEVERITY)
            for name, ops in {"tier_4": BASE, **TIERS}.items()
        ],
    }
    for family in families:
        if family not in of:
            raise ConfigError(
                f"Unknown family of corruptions '{family}'.{nearest(family, of)} Known families: "
                f"{', '.join(of)}."
            )
    return [point for family in dict.fromkeys(families) for point in of[family]]


def _unchanged(segments: np.ndarray, name: str, first: int = 0) -> np.ndarray:
    return segments


def corrupt_with(point: Corruption, sample_rate: int, seed: int = 0) -> Corrupt:
    """Return a function that corrupts the segments of a clip.

    The arguments of the function are segments ``[k, T]``, the name of the clip, and the number of
    the first segment. The corruption depends on name, number and seed only, so it is the same for
    all encoders.
    """
    chain = build_chain(list(point.operators), point.severity, sample_rate, p=1.0)
    if chain is None:
        return _unchanged
    if len(chain.transforms) == 1:
        chain.transforms[0].p = 1.0

    def corrupt(segments: np.ndarray, name: str, first: int = 0) -> np.ndarray:
        audio, result = torch.from_numpy(segments.copy())[:, None], segments.copy()
        waiting = torch.arange(len(segments))
        for draw in range(DRAWS):
            key = clip_key(
                derive(torch.tensor(stable_hash(name)), "corruption", seed, draw, waiting + first)
            )
            changed, applied, _ = chain(audio[waiting], key)
            hit = applied.any(dim=1)
            result[waiting[hit]] = changed[hit, 0].numpy()
            waiting = waiting[~hit]
            if not len(waiting):
                return result
        raise ConfigError(
            f"The operators {', '.join(point.operators)} were never applied to '{name}', whatever "
            "was drawn."
        )

    return corrupt
