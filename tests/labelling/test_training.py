"""The probe of `tag`: as scikit-learn's, nested cross-validation, groups, few labels."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from semisupcon.datasets.base import LabelledClips
from semisupcon.errors import ConfigError
from semisupcon.labelling.estimating import estimates, sentences
from semisupcon.labelling.linear import STRENGTHS, fit, folds_of
from semisupcon.labelling.suggesting import suggest, uncertainty
from semisupcon.labelling.tagger import Tagger
from semisupcon.labelling.training import head_of, train
from tests.marks import mostly_slow


def clips(kind="multiclass", n=60, classes=3, spread=1.0, seed=0):
    """Embeddings ``[n, 8]`` around a centre a class, and their labels."""
    draw = np.random.default_rng(seed)
    label = np.arange(n) % classes
    x = 2 * np.random.default_rng(99).standard_normal((classes, 8))[label]
    x = (x + spread * draw.standard_normal((n, 8))).astype(np.float32)
    targets = np.eye(classes, dtype=np.float32)[label]
    if kind == "multilabel":
        targets = np.maximum(targets, np.roll(targets, 1, axis=1))
    elif kind == "binary":
        targets = (label[:, None] > 0).astype(np.float32)
    elif kind == "regression":
        targets = (x[:, :1] * 3 + 5 + 0.1 * draw.standard_normal((n, 1))).astype(np.float32)
    names = [f"{draw.integers(1 << 30)}-{i}.wav" for i in range(n)]
    table = pd.DataFrame({"path": names, "split": "train"})
    return x, LabelledClips(table, targets, tuple(f"c{c}" for c in range(targets.shape[1])), kind)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "binary", "regression"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_fit_is_that_of_scikit_learn(kind, classes):
    x, found = clips(kind, classes=classes)
    x, y = x.astype(float), found.targets.astype(float)
    new = clips(kind, classes=classes, seed=5)[0].astype(float)
    line = fit(kind, x, y, 0.1)
    if kind == "regression":
        pipe = make_pipeline(StandardScaler(), Ridge(alpha=10))
        centre, spread = y.mean(axis=0), y.std(axis=0)
        expected = pipe.fit(x, (y - centre) / spread).predict(new).reshape(-1, 1) * spread + centre
        np.testing.assert_allclose(line(new), expected, atol=1e-6)
        return
    for c in np.flatnonzero(y.std(axis=0)):
        pipe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, tol=1e-9, max_iter=10000))
        truth = y.argmax(axis=1) if kind == "multiclass" else y[:, c]
        expected = pipe.fit(x, truth).predict_proba(new)
        logits = line(new)
        if kind == "multiclass":
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            ours, theirs = odds / odds.sum(axis=1, keepdims=True), expected
        else:
            ours, theirs = 1 / (1 + np.exp(-logits[:, c])), expected[:, 1]
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    "kind",
    mostly_slow(["multiclass", "multilabel", "binary", "regression"], ("multiclass", "regression")),
)
def test_no_clip_is_predicted_by_a_probe_that_saw_it(kind):
    """The labels of a clip do not change its own out-of-fold logits."""
    x, found = clips(kind, n=24, spread=1.5)
    before = train(x, found)
    assert before.folds == 5
    assert before.strength in STRENGTHS
    assert np.isfinite(before.scores).all()
    noise = np.random.default_rng(1).permutation(len(x))
    shuffled = LabelledClips(found.table, found.targets[noise], found.classes, kind)
    chance = train(x, shuffled)
    good, bad = (estimates(kind, t.targets, t.scores, found.classes) for t in (before, chance))
    main = next(iter(good))
    assert good[main][0] > 0.7
    level = {"multiclass": 1 / 3, "regression": 0.0}.get(kind, 0.5)
    assert bad[main][1] - 0.15 <= level <= bad[main][2] + 0.15
    assert good[main][1] <= good[main][0] <= good[main][2]


def test_folds_keep_groups_whole_and_do_not_depend_on_the_order():
    _, found = clips(n=90)
    groups = [f"g{i % 7}" for i in range(90)]
    fold = folds_of("multiclass", found.targets, found.paths, groups, 5)
    assert len(set(fold)) == 5
    for group in set(groups):
        assert len({f for f, g in zip(fold, groups, strict=True) if g == group}) == 1
    plain = folds_of("multiclass", found.targets, found.paths, None, 5)
    order = np.random.default_rng(3).permutation(90)
    again = folds_of("multiclass", found.targets[order], [found.paths[i] for i in order], None, 5)
    assert np.array_equal(plain[order], again)
    assert np.bincount(plain)[1:].tolist() == [18] * 5


def test_groups_make_the_estimate_honest():
    """Clips of a group are near-copies: random folds would know the answer."""
    draw = np.random.default_rng(0)
    centres, labels = draw.standard_normal((12, 30)), np.arange(12) % 2
    group = np.repeat(np.arange(12), 8)
    x = (centres[group] + 0.05 * draw.standard_normal((96, 30))).astype(np.float32)
    names = [f"{i:03d}.wav" for i in range(96)]
    table = pd.DataFrame({"path": names, "split": "train"})
    found = LabelledClips(table, np.eye(2)[labels[group]], ("a", "b"), "multiclass")
    groups = [str(g) for g in group]
    with_groups, without = train(x, found, groups), train(x, found)
    values = [
        estimates("multiclass", t.targets, t.scores, found.classes, g)["accuracy"]
        for t, g in ((with_groups, groups), (without, None))
    ]
    assert values[1][0] > 0.95
    assert values[0][0] < 0.85
    wide, narrow = (high - low for _, low, high in values)
    assert wide > narrow
    assert "whole groups" in sentences({"accuracy": values[0]}, 96, 5, True)[0]


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_few_labels_are_enough(n):
    x, found = clips(n=n, classes=2)
    trained = train(x, found)
    assert trained.scores.shape == (n, 2)
    assert np.isfinite(trained.scores).all()
    assert trained.tagger.scores(x).sum(axis=1) == pytest.approx(np.ones(n), abs=1e-5)


def test_labels_that_train_nothing_are_refused():
    x, found = clips(n=6)
    with pytest.raises(ConfigError, match="Only 1 readable clip is labelled"):
        train(x[:1], found.select([0]))
    with pytest.raises(ConfigError, match="have the same label"):
        train(x[:2], found.select([0, 3]))
    with pytest.raises(ConfigError, match="belong to one group"):
        train(x, found, ["a"] * 6)


def test_a_class_with_one_clip_is_never_predicted_without_it():
    x, found = clips(n=31)
    targets = np.zeros((31, 4), np.float32)
    targets[:, :3] = found.targets
    targets[0] = (0, 0, 0, 1)
    rare = LabelledClips(found.table, targets, ("a", "b", "c", "d"), "multiclass")
    trained = train(x, rare)
    assert trained.scores[0].argmax() != 3
    assert trained.tagger.calibration.temperature < 5  # the clip without a class is left out


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "binary", "regression"])
def test_suggestions_are_those_of_a_plain_loop(kind):
    x, found = clips(kind, n=12)
    y = found.targets.astype(float)
    tagger = Tagger(head_of(fit(kind, x.astype(float), y, 0.1), kind, y), found.classes)
    new, _ = clips(kind, n=40, spread=2.0, seed=7)
    others = [(f"{i}", row, tagger.scores(row[None])[0]) for i, row in enumerate(new)]

    def unit(rows):
        rows = (rows - tagger.head.mean.numpy()) / tagger.head.scale.numpy()
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    near, rows = list(unit(x)), unit(new)
    doubt = uncertainty(kind, np.stack([s for _, _, s in others]))
    assert ((doubt >= 0) & (doubt <= 1)).all()
    expected = []
    for _ in range(6):
        rates = [
            -1 if str(i) in expected else doubt[i] * min(1 - np.dot(row, k) for k in near)
            for i, row in enumerate(rows)
        ]
        expected.append(str(int(np.argmax(rates))))
        near.append(rows[int(np.argmax(rates))])
    suggested = suggest(6, x, iter(others), tagger)
    assert [s.file for s in suggested] == expected
    assert [s.file for s in suggest(6, x, iter(others), tagger)] == expected
    assert len(suggest(99, x, iter(others), tagger)) == 40
