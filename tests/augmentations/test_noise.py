"""Level, spectral slope and independence of noise, measured."""

import numpy as np
import pytest
import torch

from semisupcon.augmentations.noise import AddColoredNoise, AddNoise, colored_noise, hashed_noise

SAMPLE_RATE = 22050


@pytest.mark.parametrize("snr", [3.0, 12.5, 30.0])
def test_signal_to_noise_ratio(snr, tone, keys):
    x = tone(440, 30000, SAMPLE_RATE).repeat(4, 2, 1) * torch.tensor([0.5, 0.01])[:, None]
    y, _, parameters = AddColoredNoise(SAMPLE_RATE, snr, snr)(x, keys(4))
    noise = (y - x).double()
    measured = 10 * torch.log10(x.double().square().mean(-1) / noise.square().mean(-1))
    assert measured.sub(snr).abs().max() < 0.01
    torch.testing.assert_close(parameters[:, 0], torch.full((4,), snr))


@pytest.mark.parametrize("decay", [-2.0, -1.0, 0.0, 0.5, 1.0, 1.5])
def test_spectral_slope_is_that_of_torch_audiomentations(decay, keys):
    """Power in octaves against the reference's ramp, 1 to sqrt(sr / 2) over the band, to the power
    of -decay."""
    noise = colored_noise(keys(16), 1 << 16, SAMPLE_RATE, torch.full((16,), decay)).double().numpy()
    power = (np.abs(np.fft.rfft(noise)) ** 2).mean(0)
    ramp = np.linspace(1, np.sqrt(SAMPLE_RATE / 2), len(power)) ** (-2 * decay)
    frequency = np.linspace(0, SAMPLE_RATE / 2, len(power))
    bands = [(f, 2 * f) for f in (50, 100, 200, 400, 800, 1600, 3200)]
    measured = [10 * np.log10(power[(frequency >= a) & (frequency < b)].mean()) for a, b in bands]
    expected = [10 * np.log10(ramp[(frequency >= a) & (frequency < b)].mean()) for a, b in bands]
    difference = np.array(measured) - np.array(expected)
    assert np.abs(difference - difference[-1]).max() < 0.5
    # Far above 90 Hz one unit of decay is 20 dB a decade.
    octave = measured[-1] - measured[-2]
    assert octave == pytest.approx(-6.02 * decay, abs=0.5)


def test_noise_is_normal_white_and_of_unit_level(keys):
    noise = colored_noise(keys(8), 60000, SAMPLE_RATE, torch.zeros(8)).double()
    assert noise.square().mean(1).sub(1).abs().max() < 1e-4
    z = noise.flatten()
    assert abs(z.mean()) < 1e-4
    assert abs((z**3).mean()) < 0.02
    assert abs((z**4).mean() - 3) < 0.05
    lags = torch.stack(
        [(noise[:, k:] * noise[:, : -k or None]).mean(1) for k in (1, 2, 3, 100, 22050)]
    )
    assert lags.abs().max() < 5 / 60000**0.5


def test_noise_does_not_repeat_and_rows_are_independent(keys):
    noise = colored_noise(keys(32, views=2), 50000, SAMPLE_RATE, torch.zeros(32)).double()
    correlation = noise @ noise.T / 50000 - torch.eye(32)
    assert correlation.abs().max() < 5 / 50000**0.5
    # The reference tiles one second.
    assert (noise[:, :SAMPLE_RATE] * noise[:, SAMPLE_RATE : 2 * SAMPLE_RATE]).mean(
        1
    ).abs().max() < 5 / SAMPLE_RATE**0.5
    # No row is another one, later: the peak of all circular correlations is that of chance.
    spectra = torch.fft.rfft(noise)
    for a, b in ((0, 1), (0, 2), (5, 30)):
        assert (
            torch.fft.irfft(spectra[a] * spectra[b].conj()).abs().max() / 50000 < 6.5 / 50000**0.5
        )


def test_hash_is_uniform_and_pinned(keys):
    u = hashed_noise(keys(4), 100000)
    counts = torch.histc(u, 64, -1, 1)
    assert (counts / counts.mean() - 1).abs().max() < 0.08
    assert ((u >= -1) & (u < 1.0000001)).all()
    # The same on every machine: runs are compared by their numbers.
    first = hashed_noise(torch.tensor([0, 1 << 40]), 3)
    expected = [
        [-0.38641357421875, 0.87152099609375, 0.715484619140625],
        [0.18035888671875, 0.0904541015625, -0.3958740234375],
    ]
    assert torch.equal(first, torch.tensor(expected))


def test_clmr_noise_is_a_share_of_the_deviation(keys):
    x = torch.randn(3, 1, 40000, generator=torch.Generator().manual_seed(0)) * 0.2 + 1.0
    y, _, parameters = AddNoise(0.05, 0.1)(x, keys(3))
    measured = (y - x).std(-1, correction=0) / x.std(-1, correction=0)
    torch.testing.assert_close(measured, parameters, rtol=1e-3, atol=0)
    assert ((parameters >= 0.05) & (parameters < 0.1)).all()
