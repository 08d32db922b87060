"""Seeded splits: disjoint, balanced, whole groups, and a function of names alone."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisupcon.datasets.parsing.splits import (
    balanced_group_split,
    group_split,
    seeded_split,
    split_of_folds,
    stratified_folds,
    stratified_split,
)
from semisupcon.errors import ConfigError

SHARES = st.sampled_from(
    [
        {"train": 0.8, "val": 0.1, "test": 0.1},
        {"train": 0.9, "val": 0.1},
        {"train": 0.5, "val": 0.2, "test": 0.3},
    ]
)
labelled_clips = st.lists(st.integers(0, 5), min_size=1, max_size=200).map(
    lambda labels: ([f"clip {i}" for i in range(len(labels))], labels)
)


@settings(deadline=None, max_examples=60)
@given(labelled_clips, SHARES, st.integers(0, 3))
def test_a_stratified_split_keeps_the_balance_of_every_label(clips, shares, seed):
    names, labels = clips
    split = stratified_split(names, labels, shares, seed)
    assert set(split) <= set(shares)
    for label, n in Counter(labels).items():
        counts = Counter(split[np.array(labels) == label])
        assert counts["train"] >= 1
        assert all(abs(counts[name] - n * share) <= 2 for name, share in shares.items())


@settings(deadline=None, max_examples=40)
@given(labelled_clips, SHARES, st.randoms(use_true_random=False))
def test_a_split_does_not_depend_on_the_order_of_names_within_a_label(clips, shares, random):
    names, labels = clips
    order = list(range(len(names)))
    random.shuffle(order)
    shuffled = stratified_split([names[i] for i in order], [labels[i] for i in order], shares, 1)
    assert dict(zip(names, stratified_split(names, labels, shares, 1), strict=True)) == {
        names[i]: s for i, s in zip(order, shuffled, strict=True)
    }


def test_the_sizes_of_a_split_are_exact_and_the_seed_matters():
    names, labels = [str(i) for i in range(1000)], [i % 7 for i in range(1000)]
    splits = [
        stratified_split(names, labels, {"train": 0.7, "val": 0.1, "test": 0.2}, seed)
        for seed in (0, 0, 1)
    ]
    assert Counter(splits[0]) == {"train": 700, "val": 100, "test": 200}
    assert np.array_equal(splits[0], splits[1])
    assert (splits[0] != splits[2]).mean() > 0.3


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=120), SHARES, st.integers(0, 2))
def test_groups_stay_whole(groups, shares, seed):
    names = [f"artist {g}" for g in groups]
    targets = np.eye(4)[[g % 4 for g in groups]]
    for split in (
        group_split(names, shares, seed),
        balanced_group_split(names, targets, shares, seed),
    ):
        assert len(set(zip(names, split, strict=True))) == len(set(names))


def test_a_group_split_is_stratified_by_what_groups_are():
    singers = [f"{sex}{i}" for sex in "fm" for i in range(10) for _ in range(3)]
    split = group_split(singers, labels=[singer[0] for singer in singers])
    for sex in "fm":
        assert Counter(s for singer, s in zip(singers, split, strict=True) if singer[0] == sex) == {
            "train": 24,
            "val": 3,
            "test": 3,
        }


def test_unequal_groups_are_dealt_out_by_what_they_hold():
    groups = [f"artist {i}" for i in range(40) for _ in range(1 + (i % 8) ** 2)]
    targets = np.random.default_rng(0).random((len(groups), 6)) < 0.3
    split = balanced_group_split(groups, targets, {"train": 0.8, "val": 0.1, "test": 0.1})
    for name, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
        assert np.abs(targets[split == name].sum(axis=0) / targets.sum(axis=0) - share).max() < 0.05


@settings(deadline=None, max_examples=40)
@given(labelled_clips, st.integers(2, 6), st.integers(0, 2))
def test_folds_partition_the_clips_evenly_for_every_label(clips, folds, seed):
    names, labels = clips
    fold_of = stratified_folds(names, labels, folds, seed)
    assert set(fold_of) <= set(range(1, folds + 1))
    for label in set(labels):
        counts = np.bincount(fold_of[np.array(labels) == label], minlength=folds + 1)[1:]
        assert counts.max() - counts.min() <= 1
    tests = np.stack(
        [split_of_folds(fold_of, fold, folds) == "test" for fold in range(1, folds + 1)]
    )
    assert (tests.sum(axis=0) == 1).all()


def test_folds_of_groups_keep_them_whole():
    groups = [f"speaker {i % 9}" for i in range(90)]
    names = [str(i) for i in range(90)]
    split = seeded_split(names, [""] * 90, groups, folds=3, fold=3)
    assert len(set(zip(groups, split, strict=True))) == 9
    assert set(split) == {"train", "val", "test"}


@pytest.mark.parametrize("shares", [{"train": 0.5, "val": 0.1}, {"train": 1.2, "val": -0.2}])
def test_shares_must_sum_to_one(shares):
    with pytest.raises(ConfigError, match="sum to 1"):
        stratified_split(["a"], ["b"], shares)


def test_all_may_be_test():
    assert set(stratified_split(list("abcd"), list("aabc"), {"train": 0, "val": 0, "test": 1})) == {
        "test"
    }


def test_there_is_no_fold_zero():
    with pytest.raises(ConfigError, match="between 1 and 5"):
        split_of_folds(np.ones(3), 0, 5)
    with pytest.raises(ConfigError, match="at least 2"):
        stratified_folds(["a"], ["b"], 1)
