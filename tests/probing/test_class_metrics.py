"""LRAP, d-prime, calibration and the metrics of every class are those of scikit-learn, torchmetrics
and the definition, and the command writes them."""

import csv

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn import metrics as sk
from torchmetrics.classification import BinaryCalibrationError, MulticlassCalibrationError

from semisupcon.commands.probe import main
from semisupcon.probing.scores.bootstrap import average, bootstrap
from semisupcon.probing.scores.calibration import calibration_error, of_multiclass
from semisupcon.probing.scores.metrics import evaluate
from semisupcon.probing.scores.ranks import d_prime, lrap

CLASSES = tuple("abcde")


def drawn(kind, n=200):
    """Targets, scores and weights of five classes, with ties among the scores."""
    draw = np.random.default_rng(3)
    weights = draw.integers(0, 4, (6, n)).astype(float)
    if kind == "multiclass":
        targets = np.eye(5)[draw.integers(0, 5, n)]
        logits = targets + draw.standard_normal((n, 5))
        return targets, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), weights
    targets = (draw.random((n, 5)) < 0.4).astype(float)
    targets[:3], targets[3] = 0, 1
    scores = np.round(np.clip(0.3 * targets + 0.7 * draw.random((n, 5)), 0, 0.999), 2)
    return targets, scores, weights


def test_lrap_is_scikit_learns_for_every_weighting():
    targets, scores, weights = drawn("multilabel")
    ours = lrap(targets, scores, weights)
    for value, w in zip(ours, weights, strict=True):
        theirs = sk.label_ranking_average_precision_score(targets, scores, sample_weight=w)
        assert value == pytest.approx(theirs, abs=1e-9)


def test_every_class_has_scikit_learns_metrics():
    targets, scores, weights = drawn("multilabel")
    each = {}
    evaluate("multilabel", targets, scores, CLASSES, weights, each)
    for c in range(5):
        for b, w in enumerate(weights):
            auc = sk.roc_auc_score(targets[:, c], scores[:, c], sample_weight=w)
            ap = sk.average_precision_score(targets[:, c], scores[:, c], sample_weight=w)
            assert each["roc_auc"][b, c] == pytest.approx(auc, abs=1e-9)
            assert each["average_precision"][b, c] == pytest.approx(ap, abs=1e-9)
    targets, scores, weights = drawn("multiclass")
    each = {}
    evaluate("multiclass", targets, scores, CLASSES, weights, each)
    for b, w in enumerate(weights):
        found = sk.precision_recall_fscore_support(
            targets.argmax(axis=1), scores.argmax(axis=1), sample_weight=w, zero_division=0
        )
        for name, values in zip(("precision", "recall", "f1"), found[:3], strict=True):
            assert each[name][b] == pytest.approx(values, abs=1e-9)


def test_calibration_error_is_torchmetrics_and_repeats_weigh():
    targets, scores, weights = drawn("multiclass")
    truth = torch.from_numpy(targets.argmax(axis=1))
    theirs = MulticlassCalibrationError(5, n_bins=15)(torch.from_numpy(scores), truth)
    result = evaluate("multiclass", targets, scores, CLASSES)
    assert result["ece"][0] == pytest.approx(float(theirs), abs=1e-6)
    repeated = np.repeat(np.arange(200), weights[0].astype(int))
    theirs = MulticlassCalibrationError(5, n_bins=15)(
        torch.from_numpy(scores[repeated]), truth[torch.from_numpy(repeated)]
    )
    assert of_multiclass(targets, scores, weights)[0] == pytest.approx(float(theirs), abs=1e-6)
    targets, scores, _ = drawn("multilabel")
    each = [
        float(
            BinaryCalibrationError(n_bins=15)(
                torch.from_numpy(scores[:, c]), torch.from_numpy(targets[:, c]).long()
            )
        )
        for c in range(5)
    ]
    assert evaluate("multilabel", targets, scores, CLASSES)["ece"][0] == pytest.approx(
        np.mean(each), abs=1e-6
    )


def test_calibrated_probabilities_have_a_small_error_and_scores_have_none():
    draw = np.random.default_rng(0)
    p = draw.random(50_000)
    hit, ones = draw.random(50_000) < p, np.ones((1, 50_000))
    assert calibration_error(p, hit, ones)[0] < 0.01
    assert calibration_error(np.sqrt(p), hit, ones)[0] > 0.1
    targets, scores, _ = drawn("multiclass")
    assert np.isnan(evaluate("multiclass", targets, 3 * scores, CLASSES)["ece"][0])


def test_d_prime_is_the_distance_of_two_normal_distributions():
    draw = np.random.default_rng(0)
    positive = np.arange(20_000) % 2 == 0
    score = draw.standard_normal(20_000) + 1.5 * positive
    auc = sk.roc_auc_score(positive, score)
    assert d_prime(np.array([auc]), 20_000)[0] == pytest.approx(1.5, abs=0.05)
    assert d_prime(np.array([0.5, 1.0]), 100) == pytest.approx([0, np.sqrt(2) * norm.ppf(0.995)])


def test_intervals_of_classes_are_percentiles_of_resamples():
    targets, scores, _ = drawn("multilabel")
    found = bootstrap("multilabel", targets, scores, CLASSES, count=100)
    value, low, high = found.by_class["average_precision"][2]
    assert low < value < high
    draw = np.random.default_rng(0)
    theirs = []
    for _ in range(150):
        rows = draw.integers(0, 200, 200)
        theirs.append(sk.average_precision_score(targets[rows, 2], scores[rows, 2]))
    assert [low, high] == pytest.approx(np.percentile(theirs, [2.5, 97.5]), abs=0.04)
    other = bootstrap("multilabel", targets, 1 - scores, CLASSES, count=100)
    both = average([found, other]).by_class["roc_auc"]
    assert both[:, 0] == pytest.approx(0.5, abs=1e-9)


def test_the_command_writes_a_row_per_tag(tones, exported, cache, tmp_path):
    options = ["--task_kwargs.csv.label=tags", "--task_kwargs.csv.kind=multilabel"]
    given = ["--tasks=csv", f"--data_dirs.csv={tones}", f"--checkpoints=[{exported},random]"]
    where = [f"--out={tmp_path}", f"--cache_dir={cache}", "--projection=none", "--resamples=50"]
    assert main([*given, *options, *where, "--methods=[linear,prototypes]", "--shares=[1]"]) == 0
    rows = list(csv.DictReader((tmp_path / "classes.csv").open(newline="")))
    mine = [r for r in rows if r["method"] == "linear" and r["checkpoint"] == "tiny"]
    assert {(r["label"], r["metric"]) for r in mine} == {
        (label, metric)
        for label in ("tone", "low", "middle", "high")
        for metric in ("roc_auc", "average_precision")
    }
    results = list(csv.DictReader((tmp_path / "results.csv").open(newline="")))
    of = [r for r in results if r["method"] == "linear" and r["checkpoint"] == "tiny"]
    macro = {r["metric"]: float(r["value"]) for r in of}
    each = [float(r["value"]) for r in mine if r["metric"] == "average_precision"]
    assert macro["mAP"] == pytest.approx(np.mean(each), abs=1e-4)
    assert {"lrap", "d_prime", "ece"} <= set(macro)
    # Similarities are no probabilities.
    assert "ece" not in {r["metric"] for r in results if r["method"] == "prototypes"}
    page = (tmp_path / "report.html").read_text()
    assert "AP, tiny" in page
    assert "ROC-AUC, random" in page
    assert "lrap" in page
