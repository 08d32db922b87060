"""Fades by their curves, masks, shifts, reversal, splices and crops."""

import numpy as np
import pytest
import torch
from torchaudio.transforms import Fade as PublishedFade

from semisupcon.augmentations.timing import Fade, Reverse, SpliceOut, TimeMask, TimeShift
from semisupcon.errors import ConfigError

SAMPLES = 4000


def test_fades_follow_their_curves(keys):
    y, _, parameters = Fade()(torch.ones(60, 1, SAMPLES), keys(60))
    for row, (fade_in, fade_out, shape) in enumerate(parameters.double().tolist()):
        into, out = round(fade_in * SAMPLES), round(fade_out * SAMPLES)
        expected = PublishedFade(into, out, Fade.shapes[int(shape)])(torch.ones(1, SAMPLES))
        torch.testing.assert_close(y[row], expected, atol=1e-4, rtol=0)
    assert set(parameters[:, 2].tolist()) == {0, 1, 2}
    assert parameters[:, :2].max() <= 0.5
    assert parameters[:, :2].min() < 0.05


def test_fade_curves_by_their_formulas():
    t = np.linspace(0, 1, 1000)
    curves = [t, np.clip(1 + np.log10(0.1 + t), 0, 1), t * 2 ** (t - 1)]
    for shape, curve in enumerate(curves):
        ours = Fade.curve(torch.tensor([0.25]), torch.tensor([shape]), SAMPLES, SAMPLES)[0]
        assert np.abs(ours[:1000].numpy() - curve).max() < 1e-5
        assert torch.equal(ours[1000:], torch.ones(3000))


def test_time_mask(keys):
    x = torch.ones(300, 2, SAMPLES)
    y, applied, parameters = TimeMask(0.125)(x, keys(300))
    width = (y[:, 0] == 0).sum(1)
    torch.testing.assert_close(width / SAMPLES, parameters[:, 1])
    assert applied.all()
    assert width.max() > 0.11 * SAMPLES
    assert width.max() < 0.125 * SAMPLES
    assert abs(width.float().mean() / SAMPLES - 0.0625) < 0.008
    edges = y[:, 0].diff().abs().sum(1)  # one stretch: at most two edges
    assert edges.max() <= 2
    assert torch.equal(y[:, 0], y[:, 1])


def test_time_mask_with_noise_has_the_level_of_the_clip(keys, tone):
    x = tone(100, 16000, 16000) * 0.3
    y, _, parameters = TimeMask(0.5, "noise")(x.repeat(8, 1, 1), keys(8))
    assert (parameters[:, 1] > 500 / 16000).sum() > 3
    for row in range(8):
        start, width = (parameters[row] * 16000).round().int().tolist()
        end = start + width
        assert torch.equal(y[row, :, :start], x[0, :, :start])
        assert torch.equal(y[row, :, end:], x[0, :, end:])
        assert (y[row, 0, start:end] != x[0, 0, start:end]).all()
        if width > 500:
            inside = y[row, 0, start:end]
            assert inside.std() == pytest.approx(0.3 / 2**0.5, rel=0.15)
            assert (
                abs(torch.corrcoef(torch.stack([inside, x[0, 0, start:end]]))[0, 1]) < 0.2
            )  # it is no longer the tone
            assert (
                abs(torch.corrcoef(torch.stack([inside[1:], inside[:-1]]))[0, 1]) < 0.2
            )  # it is white


def test_time_shift_is_a_roll(keys):
    x = torch.randn(30, 1, 101, generator=torch.Generator().manual_seed(0))
    y, _, parameters = TimeShift()(x, keys(30))
    for row, shift in enumerate((parameters[:, 0] * 101).round().int().tolist()):
        assert torch.equal(y[row], x[row].roll(shift, -1))
    assert parameters.abs().max() <= 0.5
    assert parameters.min() < -0.4
    assert parameters.max() > 0.4


def test_reverse(keys):
    x = torch.randn(2, 1, 50)
    assert torch.equal(Reverse()(x, keys(2))[0], x.flip(-1))


def test_splice_out_removes_what_it_says(keys):
    x = torch.arange(1.0, 22051.0).repeat(20, 1, 1)  # a ramp: what is left tells what is gone
    y, _, parameters = SpliceOut(22050, 8, 100)(x, keys(20))
    removed = (parameters[:, 0] * 22.05).round().int()
    kept = (y[:, 0] > 0).sum(1)
    assert torch.equal(kept.int(), 22050 - removed)
    assert ((parameters > 0) & (parameters < 400)).all()
    for row in range(20):
        audible = y[row, 0, : kept[row]]
        assert (
            audible.diff().min() > 0.99
        )  # time goes on, and never jumps: every splice is cross-faded
        assert audible.diff().max() < 40
        assert audible[-1] == 22050


def test_splice_out_keeps_constant_level_and_spares_short_clips(keys):
    y = SpliceOut(22050)(torch.ones(5, 1, 22050), keys(5))[0]
    assert set(y.unique().tolist()) <= {0.0, 1.0} or (y - y.round()).abs().max() < 1e-6
    assert SpliceOut(22050)(torch.ones(5, 1, 3), keys(5))[0].equal(torch.ones(5, 1, 3))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fade(1.5),
        lambda: TimeMask(2),
        lambda: TimeMask(fill="pink"),
        lambda: SpliceOut(16000, 0),
    ],
)
def test_refuses_what_makes_no_sense(make):
    with pytest.raises(ConfigError):
        make()
