"""Metrics are scikit-learn's, for every weighting of the clips."""

import numpy as np
import pytest
from sklearn import metrics as sk

from semisupcon.errors import UserError
from semisupcon.probing.scores.bootstrap import bootstrap, difference, resamples
from semisupcon.probing.scores.metrics import (
    chance,
    confusion,
    evaluate,
    key_scores,
)
from semisupcon.probing.scores.ranks import blocks, ranking

draw = np.random.default_rng(0)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.98])
@pytest.mark.parametrize("levels", [1000, 4, 1])
def test_rank_metrics_with_ties_and_weights(levels, share):
    positive, score = draw.random(200) < share, draw.integers(0, levels, 200) / levels
    positive[:2] = True, False
    weights = draw.integers(0, 4, (5, 200)).astype(float)
    weights[:, :2] += 1
    auc, ap = ranking(positive, score, [*blocks(weights[:2]), *blocks(weights[2:])])
    for b, w in enumerate(weights):
        assert auc[b] == pytest.approx(
            sk.roc_auc_score(positive, score, sample_weight=w), abs=1e-12
        )
        assert ap[b] == pytest.approx(
            sk.average_precision_score(positive, score, sample_weight=w), abs=1e-12
        )


def test_multilabel_leaves_out_a_class_without_positives():
    targets, scores = (draw.random((100, 4)) < 0.4).astype(float), draw.random((100, 4))
    targets[:, 2] = 0
    result, kept = evaluate("multilabel", targets, scores, tuple("abcd")), [0, 1, 3]
    assert result["roc_auc"][0] == pytest.approx(
        sk.roc_auc_score(targets[:, kept], scores[:, kept], average="macro")
    )
    assert result["mAP"][0] == pytest.approx(
        sk.average_precision_score(targets[:, kept], scores[:, kept], average="macro")
    )


def test_multiclass_macro_metrics_and_confusion():
    truth, guess = draw.integers(0, 5, 300), draw.integers(0, 5, 300)
    guess[guess == 4] = truth[guess == 4]
    targets, scores = np.eye(5)[truth], np.eye(5)[guess]
    weights = draw.integers(0, 3, (3, 300)).astype(float)
    result = evaluate("multiclass", targets, scores, tuple("abcde"), weights)
    for b, w in enumerate(weights):
        precision, recall, f1, _ = sk.precision_recall_fscore_support(
            truth, guess, average="macro", sample_weight=w, zero_division=0
        )
        assert [result[k][b] for k in ("precision", "recall", "f1")] == pytest.approx(
            [precision, recall, f1]
        )
        assert result["accuracy"][b] == pytest.approx(
            sk.accuracy_score(truth, guess, sample_weight=w)
        )
    assert (confusion(targets, scores) == sk.confusion_matrix(truth, guess)).all()


def test_regression():
    targets = draw.standard_normal((81, 2))
    scores, weights = (
        targets + 0.5 * draw.standard_normal((81, 2)),
        draw.integers(0, 3, (2, 81)).astype(float),
    )
    result = evaluate("regression", targets, scores, ("arousal", "valence"), weights)
    for b, w in enumerate(weights):
        each = sk.r2_score(targets, scores, sample_weight=w, multioutput="raw_values")
        assert [result["r2 arousal"][b], result["r2 valence"][b]] == pytest.approx(each)
        assert result["r2"][b] == pytest.approx(each.mean())
        repeated = np.repeat(np.arange(81), w.astype(int))
        errors = np.abs(targets - scores)[repeated, 1]
        assert result["median_error valence"][b] == pytest.approx(np.median(errors))


def test_binary_has_accuracy_too():
    targets, scores = (draw.random((60, 1)) < 0.5).astype(float), draw.random((60, 1))
    result = evaluate("binary", targets, scores, ("loud",))
    assert result["accuracy"][0] == pytest.approx(
        sk.accuracy_score(targets[:, 0], scores[:, 0] > 0.5)
    )


def test_keys_get_the_mirex_score():
    keys = ("C major", "G major", "A minor", "C minor", "F# major")
    table = key_scores(keys)
    assert table[0].tolist() == [1.0, 0.5, 0.3, 0.2, 0.0]
    targets, scores = np.eye(5)[[0, 0, 3]], np.eye(5)[[0, 1, 4]]
    assert evaluate("multiclass", targets, scores, keys)["mirex_weighted"][0] == pytest.approx(
        (1 + 0.5 + 0) / 3
    )
    assert key_scores(("dog", "rain")) is None


def test_a_test_set_of_one_class_is_refused():
    one = np.eye(3)[[1, 1, 1]]
    with pytest.raises(UserError, match="All 3 test clips have the class 'b'"):
        evaluate("multiclass", one, one, tuple("abc"))
    with pytest.raises(UserError, match="have the same labels"):
        evaluate("multilabel", np.ones((4, 1)), draw.random((4, 1)), ("a",))
    with pytest.raises(UserError, match="same value of 'a'"):
        evaluate("regression", np.ones((4, 1)), draw.random((4, 1)), ("a",))


def test_chance_is_the_commonest_training_class():
    train, test = np.eye(3)[[0, 0, 1, 2]], np.eye(3)[[0, 1, 1, 2]]
    assert chance("multiclass", "accuracy", train, test, tuple("abc")) == 0.25
    assert chance("multilabel", "roc_auc", train, test, tuple("abc")) == 0.5
    assert chance("multilabel", "mAP", train, test, tuple("abc")) == pytest.approx(1 / 3)
    assert chance("binary", "accuracy", train[:, :1], test[:, :1], ("a",)) == 0.75
    assert chance("regression", "r2", train[:, :1], test[:, :1], ("a",)) == 0
    assert chance("regression", "median_error a", train[:, :1], test[:, :1] + 1, ("a",)) == 0.5
    keys = ("G major", "C major", "F# minor")
    assert chance("multiclass", "mirex_weighted", train, test, keys) == pytest.approx(
        (1 + 0.5 + 0.5) / 4
    )


def test_resamples_draw_each_track_once_on_average():
    weights = np.concatenate(list(resamples(50, 400)))
    assert weights.shape == (400, 50)
    assert (weights.sum(axis=1) == 50).all()
    assert weights.var(axis=0).mean() == pytest.approx(1, abs=0.1)


def test_interval_covers_the_true_accuracy():
    """Of 200 test sets with a known accuracy of 0.7, about 95 % of the intervals hold it."""
    held = 0
    for seed in range(200):
        hits = np.random.default_rng(seed).random(100) < 0.7
        targets, scores = (
            np.eye(2)[np.arange(100) % 2],
            np.eye(2)[np.where(hits, np.arange(100) % 2, 1 - np.arange(100) % 2)],
        )
        low, high = bootstrap(
            "multiclass", targets, scores, ("a", "b"), count=200, seed=seed
        ).interval("accuracy")
        held += low <= 0.7 <= high
    assert 180 <= held <= 199


def test_paired_comparison():
    truth = np.arange(200) % 4
    targets = np.eye(4)[truth]
    good, bad = (
        np.eye(4)[np.where(draw.random(200) < p, truth, (truth + 1) % 4)] for p in (0.8, 0.5)
    )
    ours, theirs = (
        bootstrap("multiclass", targets, scores, tuple("abcd")) for scores in (good, bad)
    )
    assert difference(ours, theirs, "accuracy")[3] == "better"
    assert difference(theirs, ours, "accuracy")[3] == "worse"
    assert difference(ours, ours, "accuracy") == (0, 0, 0, "same")


def test_pairing_sees_what_intervals_do_not():
    """One encoder is right wherever the other is, and on a few tracks more: the intervals overlap,
    the difference is sure."""
    truth = np.arange(200) % 4
    right = draw.random(200) < 0.5
    more = right | (draw.random(200) < 0.12)
    ours, theirs = (
        bootstrap(
            "multiclass",
            np.eye(4)[truth],
            np.eye(4)[np.where(r, truth, (truth + 1) % 4)],
            tuple("abcd"),
        )
        for r in (more, right)
    )
    assert ours.interval("accuracy")[0] < theirs.interval("accuracy")[1]
    assert difference(ours, theirs, "accuracy")[3] == "better"


def test_a_smaller_error_is_better():
    targets = draw.standard_normal((100, 1))
    near, far = (
        bootstrap("regression", targets, targets + s * draw.standard_normal((100, 1)), ("pitch",))
        for s in (0.1, 1.0)
    )
    assert difference(near, far, "median_error pitch")[3] == "better"
    assert difference(near, far, "r2")[3] == "better"
