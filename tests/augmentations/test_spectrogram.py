"""Masks and shifts of spectrograms."""

import pytest
import torch

from semisupcon.augmentations.spectrogram import BandShift, SpecAugment
from semisupcon.errors import ConfigError

BANDS, FRAMES = 64, 98


def masked_bands_and_frames(keys, n=400, frames=FRAMES, **options):
    x = torch.randn(n, 1, BANDS, frames, generator=torch.Generator().manual_seed(0)) + 100
    y = SpecAugment(fill="zero", **options)(x, keys(n))
    bands, frames = (y[:, 0] == 0).all(2), (y[:, 0] == 0).all(1)
    assert torch.equal(y[:, 0] == 0, bands[:, :, None] | frames[:, None])
    assert torch.equal(y[y != 0], x[y != 0])
    return bands, frames


def test_masks_are_bands_and_frames_of_the_right_width(keys):
    bands, frames = masked_bands_and_frames(keys, max_bands=10, max_frames=20, masks=1)
    for mask, most in ((bands, 10), (frames, 20)):
        width = mask.sum(1)
        assert width.max() <= most
        assert abs(width.float().mean() - most / 2) < 0.15 * most / 2 + 0.3
        assert (mask.int().diff(dim=1) == 1).sum(1).max() <= 1  # one stretch


def test_starts_do_not_depend_on_widths(keys):
    """In the original both came from the same draw, so wide masks sat at the high end."""
    bands, _ = masked_bands_and_frames(keys, n=2000, frames=12, max_bands=20, max_frames=1, masks=1)
    width = bands.sum(1)
    some = width > 0
    place = bands.int().argmax(1)[some] / (BANDS - width[some])
    correlation = torch.corrcoef(torch.stack([place, width[some].float()]))[0, 1]
    assert abs(correlation) < 0.1
    assert place.min() < 0.05
    assert place.max() > 0.95


def test_draws_are_per_example_and_from_the_key(keys):
    x = torch.randn(8, 2, BANDS, FRAMES)
    augment = SpecAugment()
    y = augment(x, keys(8))
    assert len({tuple(row.flatten().tolist()) for row in (y == x)[:, 0]}) == 8
    assert torch.equal(augment(x[3:5], keys(8)[3:5]), y[3:5])


@pytest.mark.parametrize("fill", ["zero", "mean", "floor"])
def test_fill(fill, keys):
    x = torch.randn(5, 1, BANDS, FRAMES) - 7
    y = SpecAugment(30, 30, fill=fill)(x, keys(5))
    for row in range(5):
        expected = {"zero": 0.0, "mean": x[row].mean(), "floor": x[row].min()}[fill]
        changed = y[row][y[row] != x[row]]
        assert len(changed) > BANDS
        torch.testing.assert_close(changed, torch.full_like(changed, float(expected)))


@pytest.mark.parametrize("augment", [SpecAugment(), BandShift()])
def test_does_nothing_in_evaluation(augment, keys):
    x = torch.randn(3, 1, BANDS, FRAMES)
    assert augment.eval()(x, keys(3)) is x
    assert not torch.equal(augment.train()(x, keys(3)), x)


def test_band_shift(keys):
    x = torch.randn(50, 1, BANDS, FRAMES)
    y = BandShift(3, fill="zero")(x, keys(50))
    shifts = set()
    for before, after in zip(x[:, 0], y[:, 0], strict=True):
        fitting = [s for s in range(-3, 4) if torch.equal(after, shifted(before, s))]
        shifts.update(fitting)
        assert len(fitting) == 1
    assert shifts == set(range(-3, 4))


def shifted(x, by):
    out = torch.zeros_like(x)
    if by >= 0:
        out[by:] = x[: len(x) - by]
    else:
        out[:by] = x[-by:]
    return out


def test_masks_wider_than_the_features(keys):
    x = torch.ones(4, 1, 3, 2)
    assert SpecAugment(10, 10, fill="zero")(x, keys(4)).shape == x.shape


def test_refuses_an_unknown_fill():
    with pytest.raises(ConfigError, match="SpecAugment: fill is one of zero, mean, floor"):
        SpecAugment(fill="median")
