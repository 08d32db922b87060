"""From rows to lines: folds pooled clip by clip whatever the order of their rows, spread over
seeds, intervals, and comparisons by hand."""

from dataclasses import fields

import numpy as np
import pytest

from semisupcon.probing.scores.bootstrap import Drawn, average, bootstrap, percentiles, verdict
from semisupcon.probing.scores.results import Row, write_predictions
from semisupcon.probing.scores.summary import baseline, summarise

CLASSES = ("a", "b")


def row(**changed) -> Row:
    """A row of a probe without predictions, with some columns changed."""
    plain = {f.name: "" for f in fields(Row)} | dict.fromkeys(("fold", "seed", "seconds"), 0)
    plain |= {
        "task": "t",
        "kind": "multiclass",
        "source": "file",
        "representation": "embedding",
        "method": "linear",
    }
    plain |= {
        "aggregation": "embedding",
        "train_share": 1.0,
        "n_train": 10,
        "n_test": 4,
        "metric": "accuracy",
        "chance": 0.5,
    }
    return Row(**plain | {"checkpoint": "mine", "value": 0.5, "low": 0.4, "high": 0.6} | changed)


def predicted(out, name: str, hits: list[int], fold: int = 0, seed: int = 0, **changed) -> Row:
    """A row whose predictions are right where ``hits`` is 1; the clips are those of the fold."""
    truth = np.arange(len(hits)) % 2
    answer = np.where(np.array(hits, bool), truth, 1 - truth)
    file = f"predictions/{name}-{fold}-{seed}.csv"
    paths = [f"fold{fold}/{i}.wav" for i in range(len(hits))]
    write_predictions(out / file, paths, np.eye(2)[truth], np.eye(2)[answer], CLASSES, "multiclass")
    return row(
        checkpoint=name,
        fold=fold,
        seed=seed,
        predictions=file,
        value=float(np.mean(hits)),
        **changed,
    )


def test_interval_is_from_the_2_5_to_the_97_5_percentile():
    assert percentiles(np.arange(1001.0)[::-1]) == pytest.approx((25, 975))
    assert percentiles(np.array([np.nan, *range(1001)])) == pytest.approx((25, 975))
    assert np.isnan(percentiles(np.array([np.nan]))).all()
    assert Drawn({"x": 0.0}, {"x": np.arange(1001.0)}).interval("x") == pytest.approx((25, 975))


def test_folds_are_compared_clip_by_clip_whatever_the_order_of_their_rows(tmp_path):
    mine = [
        predicted(tmp_path, "mine", hits, fold)
        for fold, hits in ((2, [1, 1, 1, 0]), (1, [1, 0, 1, 1]), (3, [1, 1, 1, 1]))
    ]
    theirs = [
        predicted(tmp_path, "theirs", hits, fold)
        for fold, hits in ((1, [0, 0, 1, 1]), (3, [1, 1, 1, 1]), (2, [1, 1, 1, 0]))
    ]
    lines, comparisons = summarise([*mine, *theirs], tmp_path, count=300)
    values = {line.checkpoint: line.value for line in lines if line.metric == "accuracy"}
    assert values == pytest.approx({"mine": 10 / 12, "theirs": 9 / 12})
    assert {line.tracks for line in lines} == {12}
    ours = next(c for c in comparisons if (c.ours, c.metric) == ("mine", "accuracy"))
    assert ours.difference == pytest.approx(1 / 12)
    # Mine is right wherever theirs is, so that no resample of the clips has it behind; independent
    # intervals would.
    assert (ours.low, ours.verdict) == (0, "same")
    assert 0 < ours.high < 0.4
    assert [(c.ours, c.theirs) for c in comparisons if c.metric == "accuracy"] == [
        ("mine", "theirs"),
        ("theirs", "mine"),
    ]


def test_encoders_that_were_tested_on_other_clips_are_not_compared(tmp_path):
    rows = [
        predicted(tmp_path, "mine", [1, 0, 1, 1], 1),
        predicted(tmp_path, "theirs", [1, 0, 1, 1], 2),
    ]
    assert summarise(rows, tmp_path, count=20)[1] == []


def test_spread_is_the_sample_standard_deviation_over_seeds(tmp_path):
    rows = [
        predicted(tmp_path, "mine", hits, seed=seed)
        for seed, hits in enumerate(([1, 0, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]))
    ]
    (line,) = (line for line in summarise(rows, tmp_path, count=20)[0] if line.metric == "accuracy")
    assert (line.value, line.spread, line.seeds) == pytest.approx((0.75, 0.25, 3))
    (one,) = (
        line for line in summarise(rows[:1], tmp_path, count=20)[0] if line.metric == "accuracy"
    )
    assert np.isnan(one.spread)
    without = [
        row(value=v, seed=seed, low=v - 0.2, high=v + 0.1, chance=c)
        for seed, (v, c) in enumerate(((0.5, 0.2), (0.7, 0.4)))
    ]
    (line,) = summarise(without, tmp_path)[0]
    assert (line.value, line.low, line.high, line.spread, line.chance) == pytest.approx(
        (0.6, 0.4, 0.7, 0.02**0.5, 0.3)
    )


def test_folds_of_a_seed_are_one_value_of_the_spread(tmp_path):
    values = {(1, 0): 0.2, (2, 0): 0.4, (1, 1): 0.6, (2, 1): 0.8}  # (fold, seed): means 0.3 and 0.7
    rows = [row(value=v, fold=fold, seed=seed) for (fold, seed), v in values.items()]
    (line,) = summarise(rows, tmp_path)[0]
    assert line.spread == pytest.approx(0.4 / 2**0.5)


def test_half_widths_of_3_and_4_give_5(tmp_path):
    rows = [
        row(checkpoint="mine", metric="width", value=10.0, low=7.0, high=13.0),
        row(checkpoint="theirs", metric="width", value=6.0, low=2.0, high=10.0),
        row(checkpoint="random", metric="width", value=1.0, low=1.0, high=1.0, source="random"),
    ]
    lines, comparisons = summarise(rows, tmp_path)
    by_pair = {(c.ours, c.theirs): (c.difference, c.low, c.high, c.verdict) for c in comparisons}
    assert by_pair["mine", "theirs"] == (4, -1, 9, "same")
    assert by_pair["theirs", "random"] == (5, 1, 9, "better")
    assert by_pair["random", "mine"] == (-9, -12, -6, "worse")
    assert [line.untrained for line in lines] == [False, False, True]
    assert baseline(lines, lines[0].question) == "random"
    assert baseline(lines[:2], lines[0].question) == "mine"
    assert baseline(lines[:1], lines[0].question) is None
    assert baseline(lines, ("t", "linear", "accuracy")) is None


def test_an_interval_that_touches_zero_is_no_difference():
    assert [
        verdict(low, high, "accuracy") for low, high in ((0, 1), (-1, 0), (0.1, 1), (-1, -0.1))
    ] == ["same", "same", "better", "worse"]
    assert [verdict(low, high, "median_error a") for low, high in ((0.1, 1), (-1, -0.1))] == [
        "worse",
        "better",
    ]


def test_questions_are_told_apart_by_aggregation_share_and_representation(tmp_path):
    rows = [row(), row(aggregation="vote"), row(train_share=0.05), row(representation="projection")]
    lines, comparisons = summarise(rows, tmp_path)
    assert sorted((line.method, line.checkpoint) for line in lines) == [
        ("linear", "mine"),
        ("linear", "mine (projection)"),
        ("linear, 0.05 of training", "mine"),
        ("linear, by vote", "mine"),
    ]
    assert {(c.ours, c.theirs) for c in comparisons} == {
        ("mine", "mine (projection)"),
        ("mine (projection)", "mine"),
    }


def test_seeds_are_averaged_resample_by_resample():
    truth, draw = np.eye(2)[np.arange(60) % 2], np.random.default_rng(0)
    scores = [np.where(draw.random((60, 1)) < p, truth, 1 - truth) for p in (0.6, 0.8)]
    each = [bootstrap("multiclass", truth, s, CLASSES, count=40) for s in scores]
    both = average(each)
    assert both.values["accuracy"] == pytest.approx(
        (each[0].values["accuracy"] + each[1].values["accuracy"]) / 2
    )
    np.testing.assert_allclose(
        both.draws["accuracy"], (each[0].draws["accuracy"] + each[1].draws["accuracy"]) / 2
    )
