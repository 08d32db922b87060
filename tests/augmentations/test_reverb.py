"""Reverberation, against SoX as measured and against the network run sample by sample."""

import math

import numpy as np
import pytest
import torch

from semisupcon.augmentations.reverb import ALLPASSES, COMBS, INPUT_GAIN, Reverb, reverberate

SAMPLES = 59049
# reverberance, damping, room scale: wet/dry energy in dB and RT60 in s of SoX 14.4.2 at 22,050 Hz.
SOX = {
    (0, 50, 50): (-15.5, 0.17),
    (25, 50, 50): (-14.3, 0.29),
    (50, 50, 50): (-12.9, 0.75),
    (75, 50, 50): (-11.6, 1.9),
    (99, 50, 50): (-10.2, 4.8),
    (50, 50, 0): (-12.5, 0.32),
    (50, 0, 99): (-11.6, 1.35),
    (50, 99, 0): (-13.2, 0.33),
    (99, 0, 99): (-8.4, 6.2),
}


def controls(*rows):
    return torch.tensor(rows, dtype=torch.float32).unbind(1)


def test_level_and_decay_are_those_of_sox():
    x = torch.zeros(len(SOX), 1, SAMPLES)
    x[..., 0] = 1
    responses = reverberate(x, *controls(*SOX), 22050)[:, 0].double()
    responses[:, 0] -= 1
    for response, (level, rt60) in zip(responses, SOX.values(), strict=True):
        energy = response.square()
        assert 10 * torch.log10(energy.sum()) == pytest.approx(level, abs=2)
        remaining = 10 * torch.log10(energy.flip(0).cumsum(0).flip(0) / energy.sum() + 1e-30)
        t20 = ((remaining > -25).sum() - (remaining > -5).sum()).item() / 22050
        assert 3 * t20 == pytest.approx(rt60, rel=0.3)


def by_the_sample(samples, reverberance, damping, room_size, sample_rate):
    """The impulse response of the network, in plain Python."""
    a = -1 / math.log(1 - 0.3)
    b = 100 / (math.log(1 - 0.98) * a + 1)
    feedback = 1 - math.exp((reverberance - b) / (a * b))
    damp, scale = 0.2 + 0.3 * damping / 100, 0.1 + 0.9 * room_size / 100
    source, total = np.zeros(samples), np.zeros(samples)
    source[0] = INPUT_GAIN
    for length in COMBS:
        line, state = [0.0] * round(scale * length * sample_rate / 44100), 0.0
        for i in range(samples):
            out = line[i % len(line)]
            total[i] += out
            state = out * (1 - damp) + state * damp
            line[i % len(line)] = source[i] + state * feedback
    for length in ALLPASSES:
        line = [0.0] * round(length * sample_rate / 44100)
        for i in range(samples):
            out, into = line[i % len(line)], total[i]
            line[i % len(line)] = into + 0.5 * out
            total[i] = out - into
    return total


@pytest.mark.parametrize("control", [(60, 30, 70), (10, 90, 20)])
def test_equals_the_network_run_sample_by_sample(control):
    x = torch.zeros(1, 1, 6000)
    x[..., 0] = 1
    response = reverberate(x, *controls(control), 22050)[0, 0].double().numpy()
    response[0] -= 1
    expected = by_the_sample(6000, *control, 22050)
    assert np.abs(response - expected).max() < 3e-3 * np.abs(expected).max()


def test_the_sound_itself_is_kept_and_echoes_add():
    x = torch.randn(1, 2, 30000, generator=torch.Generator().manual_seed(0)) * 0.1
    wet = reverberate(x, *controls((50, 50, 50)), 22050) - x
    assert 20 * torch.log10(wet.norm() / x.norm()) == pytest.approx(-12.9, abs=2)
    louder = reverberate(x, *controls((50, 50, 50)), 22050, wet_gain_db=6) - x
    torch.testing.assert_close(louder, wet * 10 ** (6 / 20), atol=1e-4, rtol=0)


def test_controls_are_drawn_within_their_ranges(keys):
    parameters = Reverb(22050, 0, 99, 20, 30, 40, 40).draw(keys(500), 1)
    assert parameters[:, 0].min() < 3
    assert parameters[:, 0].max() > 96
    assert ((parameters[:, 1] >= 20) & (parameters[:, 1] < 30)).all()
    assert (parameters[:, 2] == 40).all()


def test_the_delays_are_those_of_freeverb():
    assert COMBS == (1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617)
    assert ALLPASSES == (225, 341, 441, 556)
