"""Time stretch and frequency shift."""

import math

import pytest
import torch

from semisupcon.augmentations.frequency import FrequencyShift, TimeStretch, phase_vocoder
from semisupcon.augmentations.wsola import stretch
from semisupcon.errors import ConfigError

SAMPLE_RATE, SAMPLES = 16000, 60000


def peak_hz(signal):
    spectrum = torch.fft.rfft(
        signal.double() * torch.hann_window(len(signal), dtype=torch.float64), n=1 << 19
    ).abs()
    return spectrum.argmax().item() * SAMPLE_RATE / (1 << 19)


@pytest.mark.parametrize("rate", [0.5, 0.75, 1.3, 1.5])
@pytest.mark.parametrize("method", ["phase vocoder", "wsola"])
def test_clicks_come_at_the_rate_and_a_tone_keeps_its_pitch(method, rate, tone):
    def faster(x):
        if method == "wsola":
            return stretch(x, torch.tensor([rate]), SAMPLES, 512)
        return phase_vocoder(x, torch.tensor([rate]), 2048)

    spacing = 5000
    x = torch.zeros(1, 1, SAMPLES)
    x[..., spacing:-2000:spacing] = 1
    energy = faster(x)[0, 0].square()
    count = min(int(SAMPLES * rate), SAMPLES) // spacing - 1
    expected = torch.arange(1, count + 1) * spacing / rate
    reach = int(spacing / rate / 2)
    around = torch.arange(-reach, reach)
    centres = (
        torch.stack(
            [
                (energy[int(e) + around] * around).sum() / energy[int(e) + around].sum()
                for e in expected
            ]
        )
        + expected
    )
    # The slope of the line through the centres of the clicks is their spacing.
    n = torch.arange(1.0, count + 1)
    slope = ((n - n.mean()) * (centres - centres.mean())).sum() / (n - n.mean()).square().sum()
    assert slope == pytest.approx(spacing / rate, rel=0.02)
    assert (centres - expected).abs().max() < 1100  # half a window

    y = faster(tone(440, SAMPLES, SAMPLE_RATE))[
        0, 0, 4000 : int(min(SAMPLES, SAMPLES / rate)) - 4000
    ]
    assert abs(1200 * math.log2(peak_hz(y) / 440)) < 3
    assert y.square().mean().sqrt() * 2**0.5 == pytest.approx(1, abs=0.15)


def test_rate_one_changes_nothing():
    x = torch.randn(2, 1, 20000, generator=torch.Generator().manual_seed(0))
    lost = phase_vocoder(x, torch.ones(2), 2048) - x
    assert lost.square().mean() < 1.2 / 1025  # the bin at the Nyquist frequency, no more
    assert lost[..., :1000].square().mean() < 1.5 / 1025
    torch.testing.assert_close(stretch(x, torch.ones(2), 20000, 512), x, atol=1e-4, rtol=0)


def test_a_click_played_by_wsola_is_a_click():
    x = torch.zeros(1, 1, SAMPLES)
    x[..., 20000] = 1
    y = stretch(x, torch.tensor([0.8]), SAMPLES, 512)[0, 0]
    assert y.square().sum() == pytest.approx(1, abs=1e-3)
    assert y.abs().max() == pytest.approx(1, abs=1e-3)


def test_length_is_restored_by_a_circle_or_by_silence(keys, tone):
    x = tone(440, SAMPLES, SAMPLE_RATE) * torch.linspace(0.1, 1, SAMPLES)
    length = round(SAMPLES / 1.5)
    circular = TimeStretch(1.5, 1.5, "circular")(x, keys(1))[0]
    assert circular.shape == x.shape
    assert torch.equal(circular[..., length:], circular[..., : SAMPLES - length])
    for share in (0.25, 0.5, 0.75):  # all of the swell, in two thirds of its time
        middle = circular[..., round(share * length) - 1000 : round(share * length) + 1000]
        assert middle.square().mean().sqrt().item() == pytest.approx(
            (0.1 + 0.9 * share) / 2**0.5, rel=0.05
        )
    zero = TimeStretch(1.5, 1.5, "zero")(x, keys(1))[0]
    assert torch.equal(zero[..., :length], circular[..., :length])
    assert not zero[..., length:].any()


def test_rates_are_rounded_and_reported(keys):
    rates = TimeStretch(0.5, 1.5).draw(keys(1000), 1)[:, 0].double()
    assert (rates * 100 - (rates * 100).round()).abs().max() < 1e-4
    assert rates.min() < 0.52
    assert rates.max() > 1.48


def test_frequency_shift_moves_every_partial_by_as_much(keys, tone):
    x = tone(500, 32000, SAMPLE_RATE) + tone(1000, 32000, SAMPLE_RATE)
    y, _, parameters = FrequencyShift(SAMPLE_RATE, 137, 138)(x, keys(1))
    hz = parameters.item()
    assert 136.5 < hz < 138.5
    spectrum = torch.fft.rfft(y[0, 0].double()).abs()
    strongest = sorted((spectrum.topk(2).indices * SAMPLE_RATE / 32000).tolist())
    assert strongest == pytest.approx([500 + hz, 1000 + hz], abs=0.6)
    down = FrequencyShift(SAMPLE_RATE, -600, -600)(x, keys(1))[0]  # 500 Hz leaves the band
    assert down.square().mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("arguments", [(1.5, 0.5), (0.0, 1.0), (0.5, 1.5, "reflect")])
def test_refuses_impossible_rates(arguments):
    with pytest.raises(ConfigError):
        TimeStretch(*arguments)
