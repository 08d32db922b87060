"""Gain and polarity."""

import pytest
import torch

from semisupcon.augmentations.level import Gain, PolarityInversion
from semisupcon.errors import ConfigError


def test_gain_is_its_parameter_in_decibels(keys):
    x = torch.randn(400, 1, 10, generator=torch.Generator().manual_seed(0))
    y, _, parameters = Gain(-15, 5)(x, keys(400))
    measured = 20 * torch.log10((y / x).mean(-1))
    torch.testing.assert_close(measured, parameters, atol=1e-3, rtol=0)
    assert parameters.min() < -14.5
    assert parameters.max() > 4.5
    assert ((parameters >= -15) & (parameters < 5)).all()
    assert torch.equal(
        Gain(20, 20)(torch.ones(1, 1, 3), keys(1))[0], torch.full((1, 1, 3), 10.0)
    )  # nothing is clipped


def test_polarity(keys):
    x = torch.randn(3, 2, 10)
    assert torch.equal(PolarityInversion()(x, keys(3))[0], -x)


def test_refuses_a_range_the_wrong_way_round():
    with pytest.raises(ConfigError, match="lower end of the gain exceeds"):
        Gain(5, -15)
