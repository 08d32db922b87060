"""What a batch holds is a function of its number: exact shares, every clip once a pass, ranks
apart, nothing dropped or repeated."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisupcon.data.sampler import MixedBatchSampler, Source, share_out, validation_batches
from semisupcon.errors import ConfigError
from semisupcon.random import stable_hash

quick = settings(max_examples=40, deadline=None)
CLIPS = np.array([stable_hash(f"{i}.wav") for i in range(500)])


def sampler(n_labelled, n_unlabelled, **options):
    return MixedBatchSampler(
        np.arange(n_labelled), np.arange(n_labelled, n_labelled + n_unlabelled), CLIPS, **options
    )


@quick
@given(
    st.integers(2, 130),
    st.floats(0, 1),
    st.integers(1, 200),
    st.integers(1, 200),
    st.integers(0, 999),
)
def test_the_composition_is_exact(batch_size, p, n_labelled, n_unlabelled, number):
    batch = sampler(
        n_labelled, n_unlabelled, batch_size=batch_size, intrabatch_supervised_p=p
    ).batch(number)
    labelled = batch[:, 0] < n_labelled
    expected = math.floor(batch_size * p + 1e-9)
    if 0 < p < 1:
        expected = min(max(expected, 1), batch_size - 1)
    assert labelled.sum() == expected
    assert labelled[:expected].all()  # labelled first
    assert len(batch) == batch_size


@pytest.mark.parametrize(
    ("p", "labelled"), [(0.05, 4), (0.1, 9), (0.25, 24), (0.5, 48), (0.75, 72)]
)
def test_the_shares_of_the_published_batches(p, labelled):
    assert share_out(96, p, True, True) == (labelled, 96 - labelled)


@pytest.mark.parametrize(
    ("of", "p", "labelled"),
    [(100, 0.29, 29), (100, 0.57, 57), (50, 0.14, 7), (10, 0.01, 1), (10, 0.99, 9)],
)
def test_the_error_of_floating_point_takes_no_clip(of, p, labelled):
    assert share_out(of, p, True, True) == (labelled, of - labelled)


def test_a_source_that_is_empty_gives_its_share_to_the_other():
    assert share_out(8, 0.5, True, False) == (8, 0)
    assert share_out(8, 0.5, False, True) == (0, 8)
    assert share_out(1, 0.5, False, True) == (0, 1)


def test_shares_that_cannot_be_are_refused():
    for p, message in ((1.5, "between 0 and 1, got 1.5"), (-0.1, "between 0 and 1")):
        with pytest.raises(ConfigError, match=message):
            share_out(8, p, True, True)
    with pytest.raises(ConfigError, match="no training clip is labelled"):
        share_out(8, 1.0, False, True)
    with pytest.raises(ConfigError, match="batch of one clip"):
        share_out(1, 0.5, True, True)


@quick
@given(st.integers(1, 90), st.integers(1, 40), st.integers(1, 5), st.integers(0, 99))
def test_every_clip_once_a_pass_and_none_twice_in_a_batch(n, share, passes, seed):
    source = Source(np.arange(n), CLIPS[:n], share, seed, "labelled")
    rows = source.slots(0, passes * n)[:, 0]
    assert (np.sort(rows.reshape(passes, n), axis=1) == np.arange(n)).all()
    if n >= share:
        for start in range(0, passes * n - share, share):
            assert len(set(rows[start : start + share])) == share


@quick
@given(
    st.integers(1, 90), st.integers(1, 40), st.lists(st.integers(0, 600), min_size=1, max_size=4)
)
def test_slots_do_not_depend_on_what_was_asked_before(n, share, starts):
    source = Source(np.arange(n), CLIPS[:n], share, 3, "unlabelled")
    for start in starts:
        fresh = Source(np.arange(n), CLIPS[:n], share, 3, "unlabelled")
        np.testing.assert_array_equal(source.slots(start, share), fresh.slots(start, share))


@pytest.mark.parametrize(("n", "share"), [(100, 48), (97, 48), (48, 48), (50, 20)])
def test_a_late_batch_goes_through_few_passes(n, share, monkeypatch):
    """The order of a small source follows from earlier passes, but not from all of them."""
    asked = []
    raw = Source._raw
    monkeypatch.setattr(Source, "_raw", lambda self, p: asked.append(p) or raw(self, p))
    early = Source(np.arange(n), CLIPS[:n], share, 3, "labelled")
    for number in range(100):
        early.slots(number * share, share)
    asked.clear()
    late = Source(np.arange(n), CLIPS[:n], share, 3, "labelled")
    np.testing.assert_array_equal(late.slots(99 * share, share), early.slots(99 * share, share))
    assert len(asked) <= share + 3
    asked.clear()
    late.slots(10**7 * share, share)
    assert len(asked) <= share + 3


def test_every_pass_has_another_order_and_other_keys():
    source = Source(np.arange(50), CLIPS[:50], 8, 0, "labelled")
    first, second = source.slots(0, 50), source.slots(50, 50)
    assert (first[:, 0] != second[:, 0]).any()
    assert not set(first[:, 1]) & set(second[:, 1])


def test_a_clip_in_both_sources_has_two_keys():
    both = MixedBatchSampler(
        np.arange(8), np.arange(8), CLIPS, batch_size=16, intrabatch_supervised_p=0.5
    )
    keys = both.batch(0)[:, 1]
    assert len(set(keys)) == 16


@quick
@given(
    st.integers(1, 80),
    st.integers(1, 80),
    st.integers(2, 12),
    st.integers(1, 4),
    st.floats(0.01, 0.99),
)
def test_an_epoch_goes_once_through_the_longer_source(
    n_labelled, n_unlabelled, batch_size, world_size, p
):
    ranks = [
        sampler(
            n_labelled,
            n_unlabelled,
            batch_size=batch_size,
            intrabatch_supervised_p=p,
            rank=rank,
            world_size=world_size,
        )
        for rank in range(world_size)
    ]
    epoch = [np.concatenate([rank.batch(t)[:, 0] for rank in ranks]) for t in range(len(ranks[0]))]
    seen = Counter(np.concatenate(epoch).tolist())
    labelled, unlabelled = share_out(batch_size, p, True, True)
    longer = range(n_labelled)
    if math.ceil(n_unlabelled / unlabelled / world_size) > math.ceil(
        n_labelled / labelled / world_size
    ):
        longer = range(n_labelled, n_labelled + n_unlabelled)
    assert all(seen[row] >= 1 for row in longer)
    without_last = Counter(np.concatenate(epoch[:-1]).tolist()) if len(epoch) > 1 else Counter()
    assert all(without_last[row] <= 1 for row in longer)


@quick
@given(st.integers(24, 200), st.integers(24, 200), st.integers(1, 4), st.integers(0, 300))
def test_ranks_share_a_batch_without_overlap(n_labelled, n_unlabelled, world_size, number):
    options = {"batch_size": 6, "intrabatch_supervised_p": 0.34}
    parts = [
        sampler(n_labelled, n_unlabelled, rank=r, world_size=world_size, **options).batch(number)
        for r in range(world_size)
    ]
    rows = np.concatenate(parts)[:, 0]
    assert len(set(rows)) == 6 * world_size
    assert {int((part[:, 0] < n_labelled).sum()) for part in parts} == {2}


def test_iteration_begins_at_any_batch_and_never_ends():
    one = sampler(30, 50, batch_size=8)
    later = sampler(30, 50, batch_size=8, start=17)
    sequence = iter(one)
    batches = [next(sequence) for _ in range(40)]
    for expected, got in zip(batches[17:], later, strict=False):
        np.testing.assert_array_equal(expected, got)


@quick
@given(st.integers(1, 100), st.integers(1, 20), st.integers(1, 3))
def test_validation_sees_every_clip_once(n, batch_size, world_size):
    ranks = [
        validation_batches(np.arange(n), CLIPS, batch_size, 0, rank, world_size)
        for rank in range(world_size)
    ]
    assert [[len(b) for b in rank] for rank in ranks] == [[len(b) for b in ranks[0]]] * world_size
    sizes = [len(b) for b in ranks[0]]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    seen = Counter(np.concatenate([b[:, 0] for rank in ranks for b in rank]).tolist())
    assert set(seen) == set(range(n))
    assert sum(seen.values()) - n < world_size


def test_no_validation_clips_no_batches():
    assert validation_batches(np.arange(0), CLIPS, 8, 0) == []
