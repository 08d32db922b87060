"""Draws depend on their key alone, and look random."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from semisupcon import random as R

GOLDEN = (3090961883462681519, [-7560871003325790464, -7560871003325790463], 0.3616517186164856)
KEYS = R.make_keys(7, torch.zeros(5000, dtype=torch.long), torch.arange(5000), 2)


@given(st.integers(0, 2**31), st.integers(0, 1000), st.integers(0, 2**62), st.integers(1, 8))
def test_a_key_does_not_depend_on_its_neighbours(seed, a_pass, clip, views):
    alone = R.make_keys(seed, torch.tensor([a_pass]), torch.tensor([clip]), views)
    among = R.make_keys(
        seed, torch.tensor([3, a_pass, 9]), torch.tensor([clip + 1, clip, 5]), views
    )
    assert torch.equal(alone[0], among[1])
    assert torch.equal(R.uniform(alone, "gain", 3)[0], R.uniform(among, "gain", 3)[1])


def test_views_share_the_clip_part_and_differ_in_the_view():
    assert torch.equal(R.clip_key(KEYS[:, 0]), R.clip_key(KEYS[:, 1]))
    assert torch.equal(R.view_of(KEYS), torch.tensor([0, 1]).expand(5000, 2))
    assert KEYS.unique().numel() == KEYS.numel()


def test_seed_pass_clip_and_stream_all_matter():
    clip = torch.arange(100)
    base = R.make_keys(1, torch.zeros_like(clip), clip, 1)
    for other in (
        R.make_keys(2, torch.zeros_like(clip), clip, 1),
        R.make_keys(1, torch.ones_like(clip), clip, 1),
    ):
        assert not (base == other).any()
    assert not torch.equal(R.uniform(base, "a"), R.uniform(base, "b"))


def test_uniform_draws_are_uniform_and_uncorrelated():
    u = R.uniform(KEYS, "x", 8).double()
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 0.002
    assert abs(u.var() - 1 / 12) < 0.001
    assert torch.corrcoef(u.flatten(0, 1).T).fill_diagonal_(0).abs().max() < 0.04
    assert (
        abs(torch.corrcoef(torch.stack([u[:, 0, 0], u[:, 1, 0]]))[0, 1]) < 0.05
    )  # the two views of a clip


def test_integers_cover_their_range_evenly():
    counts = R.integers(KEYS.flatten(), "n", -2, 4).add(2).bincount(minlength=7).double()
    assert (counts / counts.sum() - 1 / 7).abs().max() < 0.015


def test_normal_draws_have_unit_variance():
    x = R.normal(KEYS, "noise", 4)
    assert abs(x.mean()) < 0.01
    assert abs(x.std() - 1) < 0.01


def test_a_permutation_is_one_and_depends_on_its_parts():
    p = R.permutation(1000, 3, "source")
    assert torch.equal(p.sort().values, torch.arange(1000))
    assert torch.equal(p, R.permutation(1000, 3, "source"))
    assert not torch.equal(p, R.permutation(1000, 4, "source"))


def test_the_numbers_never_change():
    """A resumed run of an older version must draw what it drew: these are the numbers of the first
    release."""
    key = R.make_keys(123, torch.tensor([4]), torch.tensor([R.stable_hash("a/b.wav")]), 2)
    assert R.stable_hash("a/b.wav") == GOLDEN[0]
    assert key.tolist() == [GOLDEN[1]]
    assert R.uniform(key, "gain")[0, 1, 0].item() == GOLDEN[2]
