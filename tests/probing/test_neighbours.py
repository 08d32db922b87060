"""kNN against scikit-learn, prototypes against their definition."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from semisupcon.errors import ConfigError
from semisupcon.kinds import KINDS
from semisupcon.probing.methods.base import Settings
from semisupcon.probing.methods.knn import FOLDS, knn, nearest, predict, similarity
from semisupcon.probing.methods.prototypes import class_means, prototypes
from semisupcon.probing.scores.metrics import evaluate
from tests.probing.conftest import gaussian_features

draw = np.random.default_rng(0)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [1, 4])
def test_knn_is_scikit_learns(distance, k):
    gallery, queries, labels = (
        draw.standard_normal((60, 5)),
        draw.standard_normal((700, 5)),
        draw.integers(0, 3, 60),
    )
    shares = predict(queries, gallery, np.eye(3)[labels], [k], distance)[0]
    theirs = (
        KNeighborsClassifier(k, metric=distance, algorithm="brute")
        .fit(gallery, labels)
        .predict_proba(queries)
    )
    assert np.allclose(shares, theirs, atol=2e-5)
    values = draw.standard_normal((60, 2))
    mean = (
        KNeighborsRegressor(k, metric=distance, algorithm="brute")
        .fit(gallery, values)
        .predict(queries)
    )
    assert np.allclose(predict(queries, gallery, values, [k], distance)[0], mean)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_blocks_and_left_out_rows_change_nothing(distance, monkeypatch):
    gallery, queries = draw.standard_normal((500, 4)), draw.standard_normal((30, 4))
    gallery[100:200] = gallery[:100]  # copies, which are equally near
    rows = np.flatnonzero(np.arange(500) % 3 > 0)
    by_hand = np.argsort(-similarity(queries, gallery[rows], distance), axis=1, kind="stable")
    expected = rows[by_hand[:, :20]]
    for size in (7, 64, 1000):
        monkeypatch.setattr("semisupcon.probing.methods.knn._GALLERY", size)
        found = nearest(queries, gallery, 20, distance, rows)
        np.testing.assert_array_equal(found[:, :19], expected[:, :19])
        # The last one may be a copy of the expected row.
        np.testing.assert_array_equal(gallery[found[:, 19]], gallery[expected[:, 19]])


def test_k_is_chosen_on_a_sample_of_many_clips(monkeypatch):
    """The other folds are whole; only the clips that are predicted are sampled."""
    features = gaussian_features(distance=4.0, n=600)
    asked = []
    monkeypatch.setattr("semisupcon.probing.methods.knn.CHOOSING", 100)
    monkeypatch.setattr(
        "semisupcon.probing.methods.knn.predict",
        lambda *args: (
            asked.append((len(args[0]), len(args[5]))) or predict(*args)
            if len(args) > 5
            else predict(*args)
        ),
    )
    outcome = knn(features, Settings())
    known = len(features.train) + len(features.val)
    assert sum(queries for queries, _ in asked) == 100
    assert sum(rows for _, rows in asked) == (FOLDS - 1) * known
    assert int(outcome.detail.removeprefix("k=")) in Settings().neighbours


def test_a_draw_goes_to_the_nearest_neighbour():
    gallery = np.array([[0.0], [1.0], [5.0], [6.0]])
    scores = predict(np.array([[2.9], [3.1]]), gallery, np.eye(2)[[1, 1, 0, 0]], [4], "euclidean")[
        0
    ]
    assert scores.argmax(axis=1).tolist() == [1, 0]


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "binary", "regression"])
def test_knn_probe_of_every_kind(kind):
    features = gaussian_features(kind, distance=5.0)
    outcome = knn(features, Settings())
    assert (
        evaluate(kind, features.test.targets, outcome.scores, features.task.classes)[
            KINDS[kind].main
        ][0]
        > 0.95
    )
    assert int(outcome.detail.removeprefix("k=")) in Settings().neighbours


def test_k_is_chosen_by_cross_validation_on_training_clips():
    """Where labels are noisy, one neighbour is worse than many; test labels have no part in the
    choice."""
    features = gaussian_features(distance=4.0, n=600)
    train = features.train.targets
    wrong = draw.random(len(train)) < 0.35
    train[wrong] = np.roll(train[wrong], 1, axis=1)
    chosen = knn(features, Settings()).detail
    assert chosen not in ("k=1", "k=3")
    features.test.targets[:] = np.roll(features.test.targets, 1, axis=1)
    assert knn(features, Settings()).detail == chosen


def test_prototypes_are_class_means_and_empty_classes_are_never_predicted():
    embeddings, targets = (
        draw.standard_normal((30, 4)).astype(np.float32),
        np.eye(3)[draw.integers(0, 2, 30)],
    )
    centres, empty = class_means(embeddings, targets)
    assert np.allclose(centres[0], embeddings[targets[:, 0] == 1].mean(axis=0), atol=1e-6)
    assert empty.tolist() == [False, False, True]


def test_prototype_probe_from_one_percent_to_all():
    features = gaussian_features(distance=5.0, classes=6, n=600)
    outcomes = prototypes(features, Settings())
    assert [o.share for o in outcomes] == list(Settings().shares)
    accuracy = [
        evaluate("multiclass", features.test.targets, o.scores, features.task.classes)["accuracy"][
            0
        ]
        for o in outcomes
    ]
    assert accuracy[-1] > 0.95
    assert accuracy[-1] > accuracy[0]
    assert "classes empty" in outcomes[0].detail
    assert np.isfinite(outcomes[0].scores).all()


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_binary_prototypes_decide_at_one_half(distance):
    features = gaussian_features("binary", distance=5.0, classes=2)
    scores = prototypes(features, Settings(distance=distance, shares=(1.0,)))[0].scores
    assert evaluate("binary", features.test.targets, scores, ("yes",))["accuracy"][0] > 0.95


def test_segments_may_be_compared_before_they_are_averaged():
    features = gaussian_features(distance=5.0)
    scores = prototypes(features, Settings(aggregation="logit", shares=(1.0,)))[0].scores
    centres, _ = class_means(features.train.chunks.mean(), features.train.targets)
    first = features.test.chunks.values[:2]
    cosine = (
        first @ centres.T / np.linalg.norm(first, axis=1)[:, None] / np.linalg.norm(centres, axis=1)
    )
    assert np.allclose(scores[0], cosine.mean(axis=0), atol=1e-5)


def test_prototypes_refuse_a_regression():
    with pytest.raises(ConfigError, match="prototypes need classes"):
        prototypes(gaussian_features("regression"), Settings())


def loud_and_soft():
    """One class far out along the first axis, the other near the origin along the second; queries
    point to the first and lie by the second."""
    features = gaussian_features(classes=2, width=2)
    for part in (features.train, features.val, features.test):
        label = np.repeat(part.targets.argmax(axis=1), 2)
        part.chunks.values[:] = np.where(
            label[:, None] == 0, [10, 0], [0, 1]
        ) + 0.05 * draw.standard_normal((len(label), 2))
    features.test.chunks.values[:] = [1, 0.2]
    features.test.targets[:] = [1, 0]
    return features


@pytest.mark.parametrize(("distance", "answer"), [("cosine", 0), ("euclidean", 1)])
@pytest.mark.parametrize("method", ["knn", "prototypes"])
def test_the_distance_that_is_set_decides(method, distance, answer):
    features = loud_and_soft()
    if method == "knn":
        scores = knn(features, Settings(distance=distance)).scores
    else:
        scores = prototypes(features, Settings(distance=distance, shares=(1.0,)))[0].scores
    assert set(scores.argmax(axis=1)) == {answer}


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_one_distance_chooses_k_and_tests(distance, monkeypatch):
    used = []
    monkeypatch.setattr(
        "semisupcon.probing.methods.knn.similarity",
        lambda a, b, name: used.append(name) or similarity(a, b, name),
    )
    knn(gaussian_features(), Settings(distance=distance))
    assert used == [distance] * (FOLDS + 1)
