"""Episodes: drawn fairly, classified as scikit-learn and theory say, and averaged with their
interval."""

import csv
import dataclasses
import math
import warnings

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier
from sklearn.neighbors import NearestCentroid

from semisupcon.commands.probe import main
from semisupcon.errors import ConfigError
from semisupcon.probing.embeddings.cache import Chunks
from semisupcon.probing.methods.base import Settings
from semisupcon.probing.methods.episodes import drawn_episodes, episodes, without_replacement
from semisupcon.probing.methods.few_shot import (
    few_shot,
    over_episodes,
    run_episodes,
    score_episodes,
)
from semisupcon.probing.methods.few_shot_classifiers import (
    PASSES,
    PATIENCE,
    RATE,
    TOLERANCE,
    logistic_regression,
    nearest_centroid,
)
from tests.probing.conftest import gaussian_features


def scikit_learns(x, y):
    """The classifier of MT-SLVR's evaluation, fitted."""
    options = {
        "loss": "log_loss",
        "learning_rate": "adaptive",
        "eta0": RATE,
        "max_iter": PASSES,
        "tol": TOLERANCE,
        "alpha": 0,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SGDClassifier(**options, n_iter_no_change=PATIENCE, random_state=0).fit(x, y)


def test_draws_are_different_and_equally_likely():
    drawn = without_replacement(np.full(30_000, 5), 3, np.random.default_rng(0))
    assert all(len(set(row)) == 3 for row in drawn[:1000].tolist())
    ordered, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(ordered) == 60
    assert abs(counts - 500).max() < 5 * math.sqrt(500)


def test_episodes_take_clips_of_their_class_and_small_classes_sit_out():
    labels = np.array([0] * 4 + [1] * 1 + [2] * 6 + [3] * 2)
    settings = Settings(way=3, shot=1, queries=1, episodes=50)
    for clips in episodes(labels, settings, np.random.default_rng(0)):
        classes = labels[clips]
        assert (classes == classes[:, :, :1]).all()
        assert (np.sort(classes[:, :, 0], axis=1) == [0, 2, 3]).all()
        assert all(len(set(row)) == 6 for row in clips.reshape(50, -1).tolist())


def test_too_few_classes_are_refused():
    with pytest.raises(ConfigError, match="Only 2 of 3 classes have the 4 test clips"):
        list(
            episodes(
                np.array([0] * 4 + [1] * 4 + [2] * 3),
                Settings(way=3, shot=3),
                np.random.default_rng(0),
            )
        )


def test_nearest_centroid_is_by_definition():
    draw = np.random.default_rng(0)
    support, query = draw.standard_normal((2, 6, 4)), draw.standard_normal((2, 3, 4))
    ours = nearest_centroid(
        support @ support.transpose(0, 2, 1), query @ support.transpose(0, 2, 1), way=3
    )
    centroids = support.reshape(2, 3, 2, 4).mean(axis=2)
    distance = ((query[:, :, None] - centroids[:, None]) ** 2).sum(axis=3)
    assert np.allclose(ours - ours[..., :1], -(distance - distance[..., :1]))


def test_gaussian_classes_meet_the_analytic_accuracy():
    """Two classes on a line, one clip each: with d the distance of the centres over sigma, the
    support's difference u ~ N(d, 2) and the query's offset from the midpoint v ~ N(d / 2, 3 / 2)
    are independent, and the answer is right when they have the same sign."""
    d, n = 2.0, 4000
    labels = np.arange(n) % 2
    embeddings = (labels * d + np.random.default_rng(0).standard_normal(n))[:, None]
    accuracy = run_episodes(
        embeddings, labels, Settings(way=2, shot=1, queries=1, episodes=20_000)
    )["nearest centroid"]
    below = lambda x: 0.5 * math.erfc(-x / math.sqrt(2))  # noqa: E731
    pu, pv = below(d / math.sqrt(2)), below(d / 2 / math.sqrt(1.5))
    expected = pu * pv + (1 - pu) * (1 - pv)
    _, low, high = over_episodes(accuracy)
    assert low - 0.005 < expected < high + 0.005


def test_interval_is_1_96_standard_errors():
    accuracy = np.array([0.2, 0.4, 0.6, 0.8])
    mean, low, high = over_episodes(accuracy)
    error = 1.96 * accuracy.std(ddof=1) / 2
    assert (mean, low, high) == pytest.approx((0.5, 0.5 - error, 0.5 + error))


def test_logistic_regression_is_as_good_as_scikit_learns():
    """The same rule in another order of clips: equal mean accuracy within the interval of the
    difference."""
    draw = np.random.default_rng(1)
    labels = np.repeat(np.arange(8), 20)
    embeddings = (
        0.25 * draw.standard_normal((8, 32))[labels] + 0.3 * draw.standard_normal((160, 32))
    ).astype(np.float32)
    settings = Settings(episodes=300)
    ours = run_episodes(embeddings, labels, settings, seed=0)["logistic regression"]
    theirs = []
    for clips in episodes(labels, settings, np.random.default_rng(0)):
        for episode in clips:
            model = scikit_learns(embeddings[episode[:, 0]], np.arange(5))
            theirs.append((model.predict(embeddings[episode[:, 1]]) == np.arange(5)).mean())
    difference = ours - np.array(theirs)
    assert abs(difference.mean()) < 1.96 * difference.std() / math.sqrt(len(difference)) + 0.005
    assert np.corrcoef(ours, theirs)[0, 1] > 0.8


def test_one_clip_a_class_gives_exactly_scikit_learns_weights():
    """With two clips, the order within a pass is fixed by symmetry: weights and bias are those of
    scikit-learn."""
    x = np.array([[1.0, 0.0], [-1.0, 0.0]])
    weights, bias = logistic_regression((x @ x.T)[None], 2, np.random.default_rng(0))
    model = scikit_learns(x, [0, 1])
    ours = weights[0] @ x
    assert ours[1, 0] == pytest.approx(model.coef_[0, 0], rel=0.02)
    assert abs(bias[0, 1]) == pytest.approx(abs(model.intercept_[0]), abs=0.03)


def test_probe_reports_both_classifiers_with_intervals():
    outcomes = few_shot(gaussian_features(classes=6, distance=5.0, n=600), Settings(episodes=200))
    assert [o.label for o in outcomes] == [
        "few_shot 5-way 1-shot, logistic regression",
        "few_shot 5-way 1-shot, nearest centroid",
    ]
    for outcome in outcomes:
        value, low, high = outcome.intervals["accuracy"]
        assert 0.9 < low <= value <= high
        assert outcome.n_test == 200


def test_the_scale_of_an_encoder_does_not_matter():
    features = gaussian_features(classes=6, distance=1.0, n=600)
    before = few_shot(features, Settings(episodes=300))
    for part in (features.train, features.val, features.test):
        part.chunks.values[:] = 1e-4 * part.chunks.values - 7e-4
    for a, b in zip(before, few_shot(features, Settings(episodes=300)), strict=True):
        assert a.intervals["accuracy"][0] == pytest.approx(b.intervals["accuracy"][0], abs=0.01)


def test_labels_without_meaning_give_chance():
    draw = np.random.default_rng(0)
    for accuracy in run_episodes(
        draw.standard_normal((200, 8)), draw.integers(0, 7, 200), Settings(episodes=3000)
    ).values():
        assert accuracy.mean() == pytest.approx(0.2, abs=0.02)


def test_few_shot_refuses_several_labels_a_clip():
    with pytest.raises(ConfigError, match="one class per clip"):
        few_shot(gaussian_features("multilabel"), Settings())


def test_episodes_are_standardised_by_the_training_clips_alone():
    features, settings = gaussian_features(classes=6, distance=1.0, n=600), Settings(episodes=200)
    scale = np.array(
        [0.01, 0.1, 1, 10, 1, 0.1], np.float32
    )  # other scales and centres than the training clips have
    for part, shift in ((features.test, 3), (features.val, -50)):
        part.chunks.values[:] = part.chunks.values * scale + shift
    train, test = (
        part.chunks.mean().astype(np.float64) for part in (features.train, features.test)
    )
    expected = run_episodes(
        (test - train.mean(axis=0)) / train.std(axis=0),
        features.test.targets.argmax(axis=1),
        settings,
        seed=0,
    )
    of_test = run_episodes(
        (test - test.mean(axis=0)) / test.std(axis=0),
        features.test.targets.argmax(axis=1),
        settings,
        seed=0,
    )
    for outcome, (name, accuracy) in zip(
        few_shot(features, settings), expected.items(), strict=True
    ):
        assert outcome.intervals["accuracy"][0] == pytest.approx(accuracy.mean(), abs=2e-3)
        assert abs(accuracy.mean() - of_test[name].mean()) > 0.02
    raw = few_shot(features, Settings(episodes=200, standardise=False))
    assert raw[1].intervals["accuracy"][0] == pytest.approx(
        run_episodes(test, features.test.targets.argmax(axis=1), settings, seed=0)[
            "nearest centroid"
        ].mean(),
        abs=2e-3,
    )


def segmented(seed=0):
    """Ten clips of each of four classes, of one to six segments, and their labels."""
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(4), 10)
    counts = draw.integers(1, 7, 40)
    centres = draw.standard_normal((4, 5))
    values = 1.5 * draw.standard_normal((counts.sum(), 5)) + np.repeat(
        centres[labels], counts, axis=0
    )
    return Chunks(values, np.concatenate([[0], np.cumsum(counts)])), labels


def test_every_segment_of_a_query_votes():
    """Against a loop over episodes with scikit-learn's nearest centroid, on the same draws."""
    chunks, labels = segmented()
    settings = Settings(way=3, shot=2, queries=2, episodes=80, aggregation="vote")
    ours = score_episodes(chunks, labels, settings, seed=4)[0]["nearest centroid"]
    generator = np.random.default_rng(4)
    (clips,) = episodes(labels, settings, generator)
    uniform = generator.random((80, 6))
    theirs, ties = np.zeros(80), np.zeros(80)
    for e, episode in enumerate(clips):
        support = episode[:, :2].reshape(-1)
        sizes = np.diff(chunks.offsets)[support]
        rows = chunks.offsets[support] + (uniform[e] * sizes).astype(int)
        model = NearestCentroid().fit(chunks.values[rows], np.repeat(np.arange(3), 2))
        answers = model.predict(chunks.values)
        for truth, clip in zip(np.repeat(np.arange(3), 2), episode[:, 2:].reshape(-1), strict=True):
            of_clip = answers[chunks.offsets[clip] : chunks.offsets[clip + 1]]
            votes = np.bincount(of_clip, minlength=3)
            ties[e] += (votes == votes.max()).sum() > 1
            theirs[e] += (votes.argmax() == truth) / 6
    assert np.allclose(ours[ties == 0], theirs[ties == 0])
    assert (ties == 0).sum() > 10
    mean = score_episodes(
        chunks, labels, dataclasses.replace(settings, aggregation="embedding"), seed=4
    )[0]["nearest centroid"]
    assert not np.allclose(ours, mean)


@pytest.mark.parametrize("aggregation", ["logit", "probability", "vote"])
def test_clips_of_one_segment_need_no_aggregation(aggregation):
    _, labels = segmented()
    values = np.random.default_rng(1).standard_normal((40, 5)) + labels[:, None]
    single = Chunks(values, np.arange(41))
    settings = Settings(way=3, episodes=200)
    expected = run_episodes(values, labels, settings)
    found, _ = score_episodes(
        single, labels, dataclasses.replace(settings, aggregation=aggregation)
    )
    for name, accuracy in expected.items():
        assert np.array_equal(accuracy, found[name])


def test_episodes_of_any_size():
    chunks, labels = segmented()
    settings = Settings(way=2, way_to=4, shot=1, shot_to=3, episodes=600)
    sizes = {}
    for size, clips in drawn_episodes(labels, settings, np.random.default_rng(0)):
        assert clips.shape[1:] == (size.way, size.shot + 1)
        sizes[size.way, size.shot] = len(clips)
    assert set(sizes) == {(way, shot) for way in (2, 3, 4) for shot in (1, 2, 3)}
    assert sum(sizes.values()) == 600
    assert all(30 < count < 110 for count in sizes.values())
    accuracies, by_chance = score_episodes(chunks, labels, settings)
    expected = sum(count / way for (way, _), count in sizes.items()) / 600
    assert by_chance == pytest.approx(expected)
    assert len(accuracies["nearest centroid"]) == 600
    with pytest.raises(ConfigError, match="5 are needed"):
        list(
            drawn_episodes(
                labels, dataclasses.replace(settings, way_to=5), np.random.default_rng(0)
            )
        )


def test_easy_episodes_are_easier_and_hard_ones_harder():
    chunks, labels = segmented()
    accuracy = {}
    for hardness in ("easy", "average", "hard"):
        settings = Settings(way=3, queries=2, episodes=60, hardness=hardness)
        accuracy[hardness] = score_episodes(chunks, labels, settings)[0]["nearest centroid"].mean()
    assert accuracy["easy"] > accuracy["average"] + 0.1
    assert accuracy["hard"] < accuracy["average"] - 0.1


def test_every_encoder_gets_the_same_episodes():
    labels = np.repeat(np.arange(6), 30)
    settings = Settings(way=3, episodes=4500)
    code = np.random.default_rng(0).standard_normal((180, 4))
    accuracy = run_episodes(code, labels, settings)["nearest centroid"]
    other = run_episodes(np.concatenate([code, 0 * code], axis=1), labels, settings)[
        "nearest centroid"
    ]
    assert np.array_equal(accuracy, other)


def test_the_command_votes(tones, exported, cache, tmp_path):
    given = [f"--data_dirs.csv={tones}", f"--checkpoints={exported}", "--tasks=csv"]
    where = [f"--out={tmp_path}", f"--cache_dir={cache}", "--projection=none"]
    few = ["--methods=few_shot", "--way=2", "--way_to=3", "--episodes=400", "--resamples=10"]
    assert main([*given, *where, *few]) == 0
    assert main([*given, *where, *few, "--aggregation=vote"]) == 0
    assert main([*given, *where, *few, "--hardness=easy", "--episodes=50"]) == 0
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = {(r["method"], r["aggregation"]): float(r["value"]) for r in csv.DictReader(file)}
    name = "few_shot 2-to-3-way 1-shot, nearest centroid"
    assert rows[name, "embedding"] != rows[name, "vote"]
    easy = rows["few_shot 2-to-3-way 1-shot easy, nearest centroid", "embedding"]
    assert easy > rows[name, "embedding"]
