"""Crops lie inside their clip for any length, rate and fraction, and every offset that fits is
possible."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semisupcon.data.crops import adjacent, check_policy, gapped, independent, whole
from semisupcon.errors import ConfigError
from semisupcon.random import make_keys

quick = settings(max_examples=80, deadline=None)
lengths = st.integers(1, 400_000)
rates = st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 96000])


def keys_of(n, views, seed=0):
    return make_keys(seed, torch.zeros(n, dtype=torch.long), torch.arange(n), views)


def inside(crops, frames):
    assert (crops.start >= 0).all()
    assert (crops.span >= 1).all()
    assert (crops.start + crops.span <= frames[:, None]).all()


@quick
@given(
    st.lists(st.tuples(lengths, rates), min_size=1, max_size=9),
    st.integers(1, 100_000),
    st.integers(1, 8),
    rates,
)
def test_crops_lie_inside(clips, samples, views, sample_rate):
    frames, own = torch.tensor(clips).unbind(1)
    for cut in (adjacent, independent):
        crops = cut(frames, own, keys_of(len(clips), views), samples, sample_rate)
        inside(crops, frames)
        enough = (
            frames * sample_rate >= samples * own
        )  # exact: no clip that is long enough is treated as short
        parts = torch.where(crops.joint, views, 1)[:, None]
        assert (crops.span * sample_rate >= parts * samples * own[:, None])[enough].all()
        assert (crops.span[~enough] == frames[~enough, None]).all()
        assert (
            crops.joint == (frames * sample_rate >= views * samples * own)
        ).all() or cut is independent
    inside(whole(frames, keys_of(len(clips), views)), frames)


@quick
@given(
    st.lists(lengths, min_size=1, max_size=9),
    st.floats(0.01, 1.0),
    st.sampled_from([True, False, None]),
    st.integers(0, 99),
)
def test_gapped_crops_lie_inside(lengths, fraction, overlap, seed):
    fraction = fraction if overlap else fraction / 2
    frames = torch.tensor(lengths)
    crops = gapped(frames, keys_of(len(lengths), 2, seed), fraction, overlap)
    inside(crops, frames)
    assert (crops.span == (frames * fraction).long().clamp(min=1)[:, None]).all()
    distance = (crops.start[:, 0] - crops.start[:, 1]).abs()
    if overlap is None:
        assert (distance[frames > 1] == crops.span[frames > 1, 0]).all()
        assert (crops.start.min(dim=1).values == 0).all()
    elif overlap is False:
        assert (distance[frames > 1] >= crops.span[frames > 1, 0]).all()
    else:
        assert (distance <= crops.span[:, 0]).all()


def test_a_clip_of_exactly_the_needed_length_is_cut_whole():
    frames, own = torch.tensor([59_535, 2 * 59_535]), torch.tensor([22050, 22050])
    crops = adjacent(frames, own, keys_of(2, 2), 59_535, 22050)
    assert crops.joint.tolist() == [False, True]
    assert crops.start.tolist() == [[0, 0], [0, 0]]
    assert crops.span[:, 0].tolist() == [59_535, 2 * 59_535]


@pytest.mark.parametrize("spare", [0, 1, 3])
def test_every_offset_that_fits_is_possible(spare):
    frames = torch.full((400,), 100 + spare)
    own = torch.full((400,), 8000)
    crops = adjacent(frames, own, keys_of(400, 2), 50, 8000)
    assert set(crops.start[:, 0].tolist()) == set(range(spare + 1))
    crops = independent(frames, own, keys_of(400, 2), 100, 8000)
    assert set(crops.start.flatten().tolist()) == set(range(spare + 1))


def test_independent_views_differ_and_either_crop_of_a_pair_comes_first():
    frames = torch.full((200,), 10_000)
    own = torch.full((200,), 8000)
    crops = independent(frames, own, keys_of(200, 2), 1000, 8000)
    assert (crops.start[:, 0] != crops.start[:, 1]).float().mean() > 0.99
    crops = gapped(frames, keys_of(200, 2), 0.4, False)
    assert 0.35 < (crops.start[:, 0] < crops.start[:, 1]).float().mean() < 0.65


def test_draws_depend_on_the_key_alone():
    frames, own = torch.randint(1000, 9000, (20,)), torch.full((20,), 8000)
    keys = keys_of(20, 2)
    together = adjacent(frames, own, keys, 300, 8000)
    for i in range(20):
        alone = adjacent(frames[i : i + 1], own[i : i + 1], keys[i : i + 1], 300, 8000)
        assert (alone.start == together.start[i : i + 1]).all()


@pytest.mark.parametrize(
    ("policy", "views", "fraction", "overlap", "message"),
    [
        (
            "adjoining",
            2,
            0.4,
            False,
            "view_policy must be one of adjacent, independent, gapped, parts, whole",
        ),
        ("adjacent", 0, 0.4, False, "views must be at least 1"),
        ("gapped", 3, 0.4, False, "gives two views"),
        ("gapped", 2, 0.6, False, "at most 0.5"),
        ("gapped", 2, 0.6, None, "at most 0.5"),
        ("gapped", 2, 0.0, True, "above 0"),
    ],
)
def test_what_cannot_be_cut_is_refused(policy, views, fraction, overlap, message):
    with pytest.raises(ConfigError, match=message):
        check_policy(policy, views, fraction, overlap)
