"""Impulse responses of the echoes of SemiSupCon and of CLMR."""

import pytest
import torch

from semisupcon.augmentations.delay import Delay
from semisupcon.errors import ConfigError


def impulse(samples):
    x = torch.zeros(1, 1, samples)
    x[..., 0] = 1
    return x


def test_impulse_response_of_the_fact_sheet(keys):
    """Delay of 2 samples, volume 0.7, three echoes of which the first is not delayed, attenuation
    0.5, all halved."""
    transform = Delay(1000, 2, 2, volumes=[0.7], repeats=[3], attenuations=[0.5])
    y, _, parameters = transform(impulse(7), keys(1))
    torch.testing.assert_close(y[0, 0], torch.tensor([0.85, 0, 0.175, 0, 0.0875, 0, 0]))
    torch.testing.assert_close(parameters, torch.tensor([[2.0, 0.7, 3.0, 0.5]]))


def test_echoes_against_the_formula(keys):
    x = torch.randn(12, 2, 700, generator=torch.Generator().manual_seed(0))
    y, _, parameters = Delay(
        1000, 20, 300, volumes=[0.3, 0.7], repeats=[0, 1, 4], attenuations=[0.5, 1.2]
    )(x, keys(12))
    for row, (delay, volume, repeats, attenuation) in enumerate(parameters.tolist()):
        expected = x[row].double().clone()
        for i in range(round(repeats)):
            shift = i * round(delay)
            if shift < 700:
                expected[:, shift:] += volume * attenuation**i * x[row, :, : 700 - shift]
        torch.testing.assert_close(y[row].double(), expected / 2, atol=1e-6, rtol=0)
    assert set(parameters[:, 2].tolist()) == {0.0, 1.0, 4.0}


def test_delay_of_clmr(keys):
    """(dry + 0.5 * echo) / 2, delays from 200 to 450 ms in steps of 50."""
    transform = Delay(
        22050,
        200,
        450,
        volumes=[0.5],
        repeats=[1],
        attenuations=[1.0],
        first=1,
        delay_interval_ms=50,
    )
    y, _, parameters = transform(impulse(20000).repeat(200, 1, 1), keys(200))
    places = {int(ms * 22.05) for ms in (200, 250, 300, 350, 400, 450)}
    assert set(y[:, 0, 1:].argmax(1).add(1).tolist()) == places
    torch.testing.assert_close(y[:, 0, 0], torch.full((200,), 0.5))
    torch.testing.assert_close(y[:, 0, 1:].amax(1), torch.full((200,), 0.25))
    assert (parameters[:, 0] / 50 - (parameters[:, 0] / 50).round()).abs().max() < 0.01


def test_delays_reach_both_ends_of_their_range(keys):
    delays = Delay(1000, 3, 5)(torch.zeros(300, 1, 4), keys(300))[2][:, 0]
    assert set(delays.round().tolist()) == {3.0, 4.0, 5.0}


def test_an_echo_after_the_end_is_silent(keys):
    y = Delay(1000, 50, 50, volumes=[1.0], repeats=[3], attenuations=[1.0])(
        torch.ones(1, 1, 20), keys(1)
    )[0]
    assert torch.equal(y, torch.ones(1, 1, 20))


@pytest.mark.parametrize("arguments", [{"repeats": [-1]}, {"volumes": []}, {"min_delay_ms": 600}])
def test_refuses_what_makes_no_sense(arguments):
    with pytest.raises(ConfigError):
        Delay(22050, **arguments)
