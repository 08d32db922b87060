"""Mixing with another clip."""

import torch

from semisupcon.augmentations.base import Chain
from semisupcon.augmentations.level import Gain
from semisupcon.augmentations.mixing import Mix


def test_is_a_weighted_sum_with_another_clip(keys):
    n, views = 40, 2
    x = torch.eye(n)[:, None]  # row i is a click at i, so a mixture names its parts
    y, applied, parameters = Mix(0.5, 1.0)(x, keys(n, views))
    assert applied.all()
    partner = (y[:, 0] * (1 - torch.eye(n))).argmax(1)
    weight = parameters[:, 0]
    torch.testing.assert_close(
        y[:, 0], weight[:, None] * torch.eye(n) + (1 - weight)[:, None] * torch.eye(n)[partner]
    )
    assert ((weight >= 0.5) & (weight < 1)).all()
    assert (partner // views != torch.arange(n) // views).all()  # never a view of the same clip
    assert len(partner.unique()) > n // 3


def test_partners_are_taken_before_anything_is_mixed(keys):
    x = torch.randn(6, 1, 5, generator=torch.Generator().manual_seed(0))
    y, _, _ = Mix(0.6, 0.6)(x, keys(6))
    for row in range(6):
        rest = (y[row] - 0.6 * x[row]) / 0.4
        assert min((rest - x[other]).abs().max() for other in range(6) if other != row) < 1e-5


def test_a_clip_alone_stays_as_it_is(keys):
    x = torch.randn(2, 1, 5)
    y, applied, parameters = Mix()(x, keys(2, 2))
    assert torch.equal(x, y)
    assert not applied.any()
    assert parameters.isnan().all()


def test_mixes_what_the_chain_made_of_the_partner(keys):
    x = torch.eye(4)[:, None]
    y, _, parameters = Chain([Gain(20, 20), Mix(0.5, 0.5)])(x, keys(4))
    assert y.max() == 5
    assert y.flatten(1).sum(1).tolist() == [10.0] * 4
    assert parameters.shape == (4, 2, 1)
