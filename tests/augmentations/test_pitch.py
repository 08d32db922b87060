"""Pitch shift: in tune, of the same length and level, with every attack in its place."""

import math
from fractions import Fraction

import pytest
import torch

from semisupcon.augmentations.fourier import change_rate, fast_size, resampling_sizes
from semisupcon.augmentations.pitch import PitchShift, published_ratios, shift_pitch
from semisupcon.errors import ConfigError

SAMPLE_RATE, SAMPLES = 22050, 40000


def peak_hz(signal):
    spectrum = torch.fft.rfft(
        signal.double() * torch.hann_window(len(signal), dtype=torch.float64), n=1 << 19
    ).abs()
    return spectrum.argmax().item() * SAMPLE_RATE / (1 << 19)


@pytest.mark.parametrize("hz", [110.0, 440.0, 3000.0])
def test_a_tone_is_in_tune(hz, tone):
    semitones = [-12, -7, -4, -1, 0.3, 2, 4, 7, 12]
    x = tone(hz, SAMPLES, SAMPLE_RATE).repeat(len(semitones), 1, 1)
    y = shift_pitch(x, [2 ** (s / 12) for s in semitones], SAMPLE_RATE)
    assert y.shape == x.shape
    for s, shifted in zip(semitones, y[:, 0], strict=True):
        inner = shifted[4000:-4000]
        assert abs(1200 * math.log2(peak_hz(inner) / (hz * 2 ** (s / 12)))) < 10
        levels = inner.unfold(0, 2000, 2000).square().mean(1).sqrt()
        assert (levels * 2**0.5 - 1).abs().max() < 0.1


@pytest.mark.parametrize("semitones", [-7, -4, -2, 2, 4, 7])
def test_every_click_is_kept_once_and_in_place(semitones, tone):
    places = torch.arange(3000, SAMPLES - 3000, 3517)
    x = torch.zeros(1, 1, SAMPLES)
    x[..., places] = 1
    ratio = 2 ** (semitones / 12)
    y = shift_pitch(x, [ratio], SAMPLE_RATE)[0, 0]
    # Played faster, a click loses the band above the new Nyquist frequency as well as duration;
    # played slower, it only lasts longer.
    expected = 1 / ratio**2 if semitones > 0 else 1 / ratio
    found = torch.stack([y[p - 800 : p + 800].square().sum() for p in places])
    assert (found / found.median() - 1).abs().max() < 0.1
    assert found.median() == pytest.approx(expected, rel=0.1)
    offsets = torch.stack([y[p - 800 : p + 800].abs().argmax() - 800 for p in places])
    assert offsets.abs().max() < 0.023 * SAMPLE_RATE  # a hop


def test_music_keeps_its_envelope_and_level(tone):
    swell = torch.linspace(0, 1, SAMPLES)
    x = (tone(330, SAMPLES, SAMPLE_RATE) + 0.5 * tone(660, SAMPLES, SAMPLE_RATE)) * swell
    y = shift_pitch(x, [2 ** (3 / 12)], SAMPLE_RATE)
    level = [v.unfold(-1, 4000, 4000).square().mean(-1).sqrt() for v in (x, y)]
    torch.testing.assert_close(level[1], level[0], rtol=0.12, atol=0.02)


def test_channels_stay_aligned(tone):
    x = torch.cat([tone(440, 9000, SAMPLE_RATE), -tone(440, 9000, SAMPLE_RATE) * 0.5], 1)
    y = shift_pitch(x, [1.2], SAMPLE_RATE)
    torch.testing.assert_close(y[:, 1], -0.5 * y[:, 0], atol=1e-6, rtol=0)


def test_published_ratios():
    up_to_four = published_ratios(22050, -4, 4)
    expected = "5/6 21/25 6/7 9/10 45/49 14/15 49/50 50/49 15/14 49/45 10/9 7/6 25/21 6/5"
    assert up_to_four == tuple(Fraction(r) for r in expected.split())
    assert [len(published_ratios(22050, -2 * s, 2 * s)) for s in range(1, 6)] == [8, 14, 24, 32, 38]
    of_mtslvr = "1/2 64/125 5/8 16/25 25/32 4/5 125/128 128/125 5/4 32/25 25/16 8/5 125/64 2"
    assert published_ratios(16000, -15, 15) == tuple(Fraction(r) for r in of_mtslvr.split())


def test_published_ratios_are_drawn_evenly(keys):
    semitones = PitchShift(16000, -15, 15, "published").draw(keys(14000), 1)[:, 0]
    values, counts = semitones.unique(return_counts=True)
    assert values.tolist() == pytest.approx(
        [12 * math.log2(r) for r in published_ratios(16000, -15, 15)], abs=1e-5
    )
    assert (counts - 1000).abs().max() < 150  # five standard deviations


def test_a_range_without_published_ratios_says_what_to_do():
    with pytest.raises(ConfigError, match="continuous"):
        PitchShift(8000, -2, 2, "published")


@pytest.mark.parametrize("samples", [1, 100, 16000, 59535])
@pytest.mark.parametrize("ratio", [0.5, 0.794, 1.0001, 1.5, 2.0])
def test_resampling_sizes_are_fast_and_near(samples, ratio):
    n, m = resampling_sizes(samples, ratio)
    assert n >= samples
    for size in (n, m):
        assert fast_size(size) == size
    if samples > 1000:
        assert abs(1200 * math.log2(n / m / ratio)) < 1


def test_change_of_rate_is_band_limited_and_exact(tone):
    x = tone(1000, 20000, SAMPLE_RATE) + tone(9000, 20000, SAMPLE_RATE)
    faster, ratio = change_rate(x, 1.5)
    length = int(20000 / ratio)
    inner = faster[0, 0, 500 : length - 500]
    t = torch.arange(500, length - 500, dtype=torch.float64)
    kept = torch.sin(
        2 * math.pi * 1000 * ratio / SAMPLE_RATE * t
    )  # 9 kHz would be above the new Nyquist frequency
    assert (inner - kept).abs().max() < 2e-3


@pytest.mark.parametrize("semitones", [-5.0, 3.0])
@pytest.mark.parametrize("ratios", ["continuous", "published"])
def test_the_operator_moves_a_tone_by_what_it_reports(semitones, ratios, tone, keys):
    operator = PitchShift(SAMPLE_RATE, semitones, semitones + 1, ratios)
    y, applied, parameters = operator(tone(440, SAMPLES, SAMPLE_RATE).repeat(3, 1, 1), keys(3))
    assert applied.all()
    for row, reported in zip(y[:, 0], parameters[:, 0].tolist(), strict=True):
        assert semitones <= reported <= semitones + 1
        assert abs(1200 * math.log2(peak_hz(row[4000:-4000]) / (440 * 2 ** (reported / 12)))) < 10
