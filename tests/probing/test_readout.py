"""The quick read-outs equal scikit-learn's, and never see the clips that they score."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from semisupcon.probing.methods import readout


def drawn(kind, n=90, width=24, seed=0):
    rng = np.random.default_rng(seed)
    targets = {
        "multiclass": np.eye(4)[rng.integers(4, size=n)],
        "multilabel": (rng.random((n, 3)) < 0.3).astype(float),
        "regression": rng.normal(size=(n, 2)),
    }[kind]
    weights = rng.normal(size=(targets.shape[1], width))
    return targets @ weights + rng.normal(size=(n, width)), targets


@pytest.mark.parametrize("width", [24, 200])  # fewer and more dimensions than clips
@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression"])
def test_they_equal_scikit_learn_fold_by_fold(kind, width, monkeypatch):
    x, y = drawn(kind, width=width)
    fold = readout.cross_validation(y, [str(i) for i in range(len(y))], kind)
    monkeypatch.setattr(readout, "PENALTIES", (30.0,))
    found = readout.read_out(x, y, fold)
    standardised = (x - x.mean(axis=0)) / x.std(axis=0)
    for number in range(readout.FOLDS):
        inside = fold == number
        ridge = Ridge(30.0).fit(standardised[~inside], y[~inside])
        assert found["linear"][inside] == pytest.approx(ridge.predict(standardised[inside]))
        near = KNeighborsRegressor(5, metric="cosine").fit(x[~inside], y[~inside])
        assert found["knn"][inside] == pytest.approx(near.predict(x[inside]), abs=2e-5)
    if kind == "multiclass":
        inside = fold == 0
        votes = KNeighborsClassifier(5, metric="cosine").fit(x[~inside], y[~inside].argmax(axis=1))
        best = found["knn"][inside].argmax(axis=1)
        assert (best == votes.predict(x[inside])).mean() > 0.9  # other ties


def test_the_penalty_of_a_fold_does_not_depend_on_its_labels():
    """Other labels in one fold leave the scores of this fold unchanged."""
    x, y = drawn("multiclass")
    fold = np.arange(len(y)) % 5
    changed = y.copy()
    changed[fold == 2] = np.roll(y[fold == 2], 1, axis=1)
    a, b = readout.read_out(x, y, fold), readout.read_out(x, changed, fold)
    for how in readout.NAMES:
        assert a[how][fold == 2] == pytest.approx(b[how][fold == 2], abs=1e-9)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression"])
def test_folds_keep_groups_whole_and_spread_labels(kind):
    _, y = drawn(kind, n=100)
    groups = [f"speaker {i // 5}" for i in range(100)]
    fold = readout.cross_validation(y, groups, kind)
    assert all(len(set(fold[i : i + 5])) == 1 for i in range(0, 100, 5))
    assert np.bincount(fold).tolist() == [20] * 5
    alone = readout.cross_validation(y, [str(i) for i in range(100)], kind)
    if kind != "regression":
        counts = np.array([y[alone == f].sum(axis=0) for f in range(5)])
        assert (counts.max(axis=0) - counts.min(axis=0)).max() <= 3


def test_labels_without_relation_are_at_chance_and_nan_stays_nan():
    x, _ = drawn("multiclass", n=400)
    y = np.eye(4)[np.random.default_rng(5).integers(4, size=400)]
    fold = readout.cross_validation(y, [str(i) for i in range(400)], "multiclass")
    about = "multiclass", "accuracy", ("a", "b", "c", "d")
    found = readout.read_out_scores(*about, x, y, fold)
    assert all(0.15 < value < 0.37 for value in found.values())
    assert 0.15 < readout.by_guessing(*about, y, fold) < 0.37
    x[3, 3] = np.nan
    assert all(np.isnan(value) for value in readout.read_out_scores(*about, x, y, fold).values())
