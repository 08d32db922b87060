"""How a probe holds when its test audio is corrupted: growing severity, each effect alone, and tiers of more and more effects.

The families are those of SemiSupCon (section 4.6 of its fact sheet). There 20 % of the test tracks stayed clean by a coin of the chain; here every
segment of every test track is corrupted: a segment that all coins of its operators spared is drawn again. Heads and training audio stay as they are.
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
    """One point of a curve: what is done to the test audio."""

    family: str
    position: str
    operators: tuple[str, ...]
    severity: float


def corruptions(families: Sequence[str]) -> list[Corruption]:
    """The points of named families: "severity" (0 to 5, six base operators), "only" (each effect alone), "plus" (the base and one effect), "tiers".

    Raises:
        ConfigError: for an unknown family, with the nearest.
    """
    of = {
        "severity": [Corruption("severity", f"{s}", BASE, s) for s in range(6)],
        "only": [Corruption("only", "clean", (), 0), *(Corruption("only", name, (name,), SEVERITY) for name in (*BASE, *EFFECTS))],
        "plus": [Corruption("plus", "base", BASE, SEVERITY), *(Corruption("plus", f"+ {n}", (*BASE, n), SEVERITY) for n in EFFECTS)],
        "tiers": [Corruption("tiers", name.replace("_", " "), ops, SEVERITY) for name, ops in {"tier_4": BASE, **TIERS}.items()],
    }
    for family in families:
        if family not in of:
            raise ConfigError(f"No family of corruptions '{family}'.{nearest(family, of)} There are: {', '.join(of)}.")
    return [point for family in dict.fromkeys(families) for point in of[family]]


def _unchanged(segments: np.ndarray, name: str, first: int = 0) -> np.ndarray:
    return segments


def corrupt_with(point: Corruption, sample_rate: int, seed: int = 0) -> Corrupt:
    """A function that corrupts segments ``[k, T]`` of a named clip, from number ``first`` on, the same way for every encoder of that rate."""
    chain = build_chain(list(point.operators), point.severity, sample_rate, p=1.0)
    if chain is None:
        return _unchanged
    if len(chain.transforms) == 1:
        chain.transforms[0].p = 1.0

    def corrupt(segments: np.ndarray, name: str, first: int = 0) -> np.ndarray:
        audio, result = torch.from_numpy(segments.copy())[:, None], segments.copy()
        waiting = torch.arange(len(segments))
        for draw in range(DRAWS):
            key = clip_key(derive(torch.tensor(stable_hash(name)), "corruption", seed, draw, waiting + first))
            changed, applied, _ = chain(audio[waiting], key)
            hit = applied.any(dim=1)
            result[waiting[hit]] = changed[hit, 0].numpy()
            waiting = waiting[~hit]
            if not len(waiting):
                return result
        raise ConfigError(f"The operators {', '.join(point.operators)} leave '{name}' as it is, however often they are drawn.")

    return corrupt
