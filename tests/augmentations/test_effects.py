"""Studio effects, against pedalboard where it is installed."""

import time

import numpy as np
import pytest
import torch

from semisupcon.augmentations import effects
from semisupcon.augmentations.effects import MP3, BitCrush, Chorus, Compression, Distortion
from semisupcon.errors import ConfigError

SAMPLE_RATE = 22050


@pytest.fixture
def pedalboard():
    return pytest.importorskip("pedalboard", reason="needs the optional package pedalboard")


@pytest.fixture
def noise():
    return torch.randn(1, 1, 20000, generator=torch.Generator().manual_seed(0)) * 0.3


def test_distortion_and_bit_crush_are_those_of_pedalboard(pedalboard, noise, keys):
    for ours, theirs in (
        (Distortion(9), pedalboard.Distortion(9)),
        (BitCrush(4), pedalboard.Bitcrush(4)),
    ):
        expected = torch.from_numpy(theirs(noise[0].numpy(), SAMPLE_RATE))
        torch.testing.assert_close(ours(noise, keys(1))[0][0], expected, atol=1e-5, rtol=0)


def test_bit_crush_has_few_levels_and_distortion_saturates(noise, keys):
    assert len(BitCrush(3)(noise.clamp(-1, 1), keys(1))[0].unique()) <= 17
    assert Distortion(60)(noise, keys(1))[0].abs().max() <= 1


def test_chorus_delays_by_its_formula(keys, tone):
    """On a slow sine the copy is the sine at the delayed time."""
    x = tone(20, 30000, SAMPLE_RATE)
    y, _, parameters = Chorus(SAMPLE_RATE, rate_hz=5, depth=1, center_delay_ms=15, mix=1)(
        x, keys(1)
    )
    t = np.arange(30000) / SAMPLE_RATE
    delay = np.maximum(1, 15 + 10 * np.sin(2 * np.pi * 5 * t + parameters.item())) / 1000
    expected = np.sin(2 * np.pi * 20 * (t - delay))
    assert np.abs(y[0, 0].numpy() - expected)[1000:].max() < 1e-3
    dry = Chorus(SAMPLE_RATE, mix=0)(x, keys(1))[0]
    assert torch.equal(dry, x)


def test_chorus_hears_nothing_before_the_clip(keys):
    y = Chorus(SAMPLE_RATE, depth=0, center_delay_ms=10, mix=1)(torch.ones(1, 1, 1000), keys(1))[0][
        0, 0
    ]
    assert not y[:220].any()
    assert torch.equal(y[222:], torch.ones(778))


def test_compression_follows_its_ratio(pedalboard, keys, tone):
    levels = []
    for amplitude in (0.1, 0.5):
        y = Compression(SAMPLE_RATE, threshold_db=-30, ratio=5)(
            tone(500, 40000, SAMPLE_RATE) * amplitude, keys(1)
        )[0]
        levels.append(20 * torch.log10(y[..., 20000:].square().mean().sqrt()))
    assert levels[1] - levels[0] == pytest.approx(20 * np.log10(5) / 5, abs=0.5)


def test_mp3_keeps_the_sound_and_its_place_and_loses_some(pedalboard, keys, tone):
    x = tone(440, 44100, SAMPLE_RATE) * 0.5
    y = MP3(SAMPLE_RATE, 9)(x, keys(1))[0]
    inner = slice(4000, -4000)
    error = (y - x)[..., inner].square().mean() / x[..., inner].square().mean()
    assert 1e-8 < error < 0.05


def test_without_pedalboard_the_person_is_told(monkeypatch):
    monkeypatch.setattr(effects, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError,
        match=r"needs the package pedalboard.\nInstall it: pip install 'semisupcon\[effects\]'",
    ):
        MP3(SAMPLE_RATE)


def test_one_thread_at_a_time_codes_mp3(pedalboard, keys, monkeypatch):
    """Two at once crash the process, now and then."""
    running, most = [], []

    def coder(channel, _rate):
        running.append(channel)
        most.append(len(running))
        time.sleep(0.005)
        running.pop()
        return channel

    monkeypatch.setattr(MP3, "plugin", lambda self: coder)
    monkeypatch.setattr(MP3, "block_samples", 100)
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        MP3(SAMPLE_RATE)(torch.zeros(8, 1, 100), keys(8))
    finally:
        torch.set_num_threads(threads)
    assert max(most) == 1
