"""Keys and tones."""

import math

import pytest
import torch

from semisupcon.random import make_keys


@pytest.fixture(scope="session")
def keys():
    """Keys of ``n`` rows: clips with ``views`` views each, one after the other."""

    def make(n: int, views: int = 1, seed: int = 0) -> torch.Tensor:
        clips = -(-n // views)
        return make_keys(
            seed, torch.zeros(clips, dtype=torch.int64), torch.arange(clips) * 7919 + 11, views
        ).flatten()[:n]

    return make


@pytest.fixture(scope="session")
def tone():
    """A sine ``[1, 1, samples]`` of amplitude 1."""

    def make(hz: float, samples: int, sample_rate: int) -> torch.Tensor:
        return torch.sin(
            2 * math.pi * hz / sample_rate * torch.arange(samples, dtype=torch.float64)
        ).float()[None, None]

    return make
