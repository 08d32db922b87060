"""Normalisation: statistics of the audio alone, stored with the weights."""

import numpy as np
import pytest
import torch

from semisupcon.encoders import MultiFormat, ResNet2d, SampleCNNSmall
from semisupcon.errors import ConfigError
from semisupcon.frontends import L2, DatasetStatistics, NoNormalization, PerClip, fit_statistics

X = torch.randn(3, 1, 500, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.05


def test_per_clip_and_l2():
    z = PerClip()(X)
    assert z.mean(dim=-1).abs().max() < 1e-6
    torch.testing.assert_close(z.std(dim=-1, correction=0), torch.ones(3, 1))
    torch.testing.assert_close(L2()(X).norm(dim=-1), torch.ones(3, 1))
    for rule in (PerClip(), L2()):
        assert rule(torch.zeros(2, 1, 10)).eq(0).all()
    assert NoNormalization()(X) is X


@pytest.mark.parametrize("rule", [PerClip(), L2(), DatasetStatistics(0.05, 0.2)])
def test_padding_takes_no_part(rule):
    length = torch.tensor([500, 300, 1])
    padded = X.clone()
    padded[1, :, 300:], padded[2, :, 1:] = 7, 7
    y = rule(padded, length)
    for row, n in enumerate(length):
        torch.testing.assert_close(y[row, :, :n], rule(X[row : row + 1, :, :n])[0])
        assert y[row, :, n:].eq(0).all()


def test_statistics_are_those_of_all_samples():
    """In one pass, merged in float64: a large mean does not cancel."""
    parts = [X, X[:1] * 3, torch.empty(0), torch.full((7,), 2.0)]
    rule = DatasetStatistics()
    assert not rule.fitted
    rule.fit(p + 1000 for p in map(torch.Tensor.double, parts))
    everything = np.concatenate([p.double().numpy().ravel() for p in parts]) + 1000
    assert rule.fitted
    assert rule.mean.item() == pytest.approx(everything.mean(), rel=1e-7)
    assert rule.std.item() == pytest.approx(everything.std(), rel=1e-6)
    again = DatasetStatistics()
    again.load_state_dict(rule.state_dict())
    assert torch.equal(again(X), rule(X))


def test_statistics_must_be_known():
    with pytest.raises(
        ConfigError, match=r"not known yet; give mean and std, or call normalize\.fit"
    ):
        SampleCNNSmall(normalize=DatasetStatistics())(torch.randn(1, 1, 2000))
    with pytest.raises(ConfigError, match="audio that is not constant"):
        DatasetStatistics().fit([torch.ones(5)])
    with pytest.raises(ConfigError, match="a mean and a positive std, or neither"):
        DatasetStatistics(mean=0.1)


def test_one_pass_fits_all_that_wait():
    encoder = MultiFormat(
        SampleCNNSmall([4, 8], sample_rate=16000, normalize=DatasetStatistics()),
        ResNet2d(width=2, normalize=DatasetStatistics()),
    )
    assert fit_statistics(encoder, iter([X]))
    assert {
        round(float(s), 6) for n, s in encoder.state_dict().items() if n.endswith("normalize.std")
    } == {round(float(X.std(correction=0)), 6)}
    # Known statistics are kept: nothing is read.
    assert not fit_statistics(encoder, iter([]))


def test_statistics_of_quiet_audio():
    rule = DatasetStatistics()
    rule.fit([torch.tensor([1e-4, -1e-4])])
    assert rule.std.item() == pytest.approx(1e-4)
