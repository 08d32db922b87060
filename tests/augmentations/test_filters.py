"""Frequency responses, against the published filters and against their own definition."""

import julius
import numpy as np
import pytest
import torch

from semisupcon.augmentations import OneOf
from semisupcon.augmentations.filters import (
    BandPass,
    BandStop,
    HighPass,
    LowPass,
    OneFilterOf,
    mel_uniform,
)
from semisupcon.augmentations.level import PolarityInversion
from semisupcon.errors import ConfigError

SAMPLE_RATE = 22050
SAMPLES = 30000


def response(transform, frequencies, keys):
    """Gain in dB of a filter at frequencies, from its impulse response."""
    x = torch.zeros(1, 1, SAMPLES)
    x[..., SAMPLES // 2] = 1
    h = transform(x, keys(1))[0][0, 0].double().numpy()
    t = np.arange(SAMPLES) - SAMPLES // 2
    return 20 * np.log10(
        np.abs([np.sum(h * np.exp(-2j * np.pi * f / SAMPLE_RATE * t)) for f in frequencies]) + 1e-6
    )


@pytest.mark.parametrize("cutoff", [200.0, 1000.0, 4000.0])
def test_low_and_high_pass(cutoff, keys):
    relative = np.array([0.25, 0.5, 0.79, 0.9, 1.0, 1.1, 1.21, 2.0])
    low = response(LowPass(SAMPLE_RATE, cutoff, cutoff), relative * cutoff, keys)
    high = response(HighPass(SAMPLE_RATE, cutoff, cutoff), relative * cutoff, keys)
    assert np.abs(low[:3]).max() < 0.05
    assert np.abs(high[-2:]).max() < 0.05
    assert low[4] == pytest.approx(-6.02, abs=0.15)
    assert high[4] == pytest.approx(-6.02, abs=0.15)
    assert low[5] == pytest.approx(
        -16.5, abs=0.7
    )  # as published: -16.5 dB at 1.1 and -16 dB at 0.9 times the cut-off
    assert high[3] == pytest.approx(-16.5, abs=0.9)
    assert low[-2:].max() < -55
    assert high[:3].max() < -55


def test_agrees_with_julius_where_music_is(keys):
    """On noise, the difference to the published windowed-sinc filter lies in its slope: 20 dB below
    the output."""
    x = torch.randn(1, 1, SAMPLES, generator=torch.Generator().manual_seed(0))
    ours = LowPass(SAMPLE_RATE, 3000, 3000)(x, keys(1))[0]
    theirs = julius.lowpass_filter(x, 3000 / SAMPLE_RATE)
    middle = slice(2000, -2000)
    assert (ours - theirs)[..., middle].square().mean() < 0.01 * theirs[..., middle].square().mean()


def test_band_pass_and_band_stop_are_complements(keys):
    edges = [1000 * 0.7, 1000 * 1.3]
    arguments = (SAMPLE_RATE, 1000, 1000, 0.6, 0.6)
    x = torch.randn(1, 1, SAMPLES, generator=torch.Generator().manual_seed(0))
    passed, stopped = BandPass(*arguments)(x, keys(1))[0], BandStop(*arguments)(x, keys(1))[0]
    torch.testing.assert_close(passed + stopped, x, atol=1e-5, rtol=0)
    within = response(BandPass(*arguments), [300, *edges, 1000, 3000], keys)
    without = response(BandStop(*arguments), [300, *edges, 1000, 3000], keys)
    assert within[0] < -55
    assert within[-1] < -55
    assert without[3] < -55
    assert np.abs([*(within[1:3] + 6.02), *(without[1:3] + 6.02)]).max() < 0.2
    assert abs(within[3]) < 0.05


def test_every_row_has_its_own_filter_with_zero_phase(keys):
    x = torch.zeros(16, 1, SAMPLES)
    x[..., SAMPLES // 2] = 1
    y, _, parameters = LowPass(SAMPLE_RATE, 500, 2000)(x, keys(16))
    assert len(parameters.unique()) == 16
    assert (y.abs().argmax(-1) == SAMPLES // 2).all()
    torch.testing.assert_close(y[..., 1:], y[..., 1:].flip(-1), atol=1e-5, rtol=0)
    # An ideal low-pass of cut-off f has the height 2 f / sample rate; the slope is symmetric about
    # f.
    torch.testing.assert_close(y.amax(-1), 2 * parameters / SAMPLE_RATE, rtol=2e-3, atol=0)


def test_the_ends_of_a_clip_do_not_meet(keys):
    x = torch.zeros(1, 1, SAMPLES)
    x[..., -1] = 1
    y = LowPass(SAMPLE_RATE, 150, 150)(x, keys(1))[0]
    assert y[..., :1000].abs().max() < 1e-2 * y.abs().max()


def test_frequencies_are_uniform_on_the_mel_scale(keys):
    f = mel_uniform(keys(20000), "f", 200, 4000).double()
    mel = 2595 * torch.log10(1 + f / 700)
    low, high = (2595 * np.log10(1 + f / 700) for f in (200, 4000))
    quantiles = torch.quantile(
        (mel - low) / (high - low), torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=torch.float64)
    )
    torch.testing.assert_close(
        quantiles,
        torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=torch.float64),
        atol=0.015,
        rtol=0,
    )


@pytest.mark.parametrize("shared", [True, False])
def test_one_filter_of_several_sounds_as_each_by_itself(keys, shared):
    filters = [
        LowPass(SAMPLE_RATE, p=0.7),
        HighPass(SAMPLE_RATE),
        BandPass(SAMPLE_RATE),
        BandStop(SAMPLE_RATE),
    ]
    audio, key = torch.randn(40, 2, 3000), keys(40)
    together, apart = (
        kind(filters, p=0.8, shared_choices=shared)(audio, key) for kind in (OneFilterOf, OneOf)
    )
    for ours, theirs in zip(together, apart, strict=True):
        assert torch.equal(ours.nan_to_num(-1), theirs.nan_to_num(-1))
    assert 0 < together[1].sum() < 40


def test_one_filter_of_takes_filters_of_one_rate():
    for wrong in (
        [LowPass(SAMPLE_RATE), HighPass(2 * SAMPLE_RATE)],
        [LowPass(SAMPLE_RATE), PolarityInversion()],
    ):
        with pytest.raises(ConfigError, match="filters of one sample rate"):
            OneFilterOf(wrong)
