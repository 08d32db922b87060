"""Temperature and thresholds of heads: fitted on validation clips, saved, checked, reported."""

import json

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from semisupcon.__main__ import main
from semisupcon.errors import CheckpointError
from semisupcon.kinds import AGGREGATIONS
from semisupcon.probing.methods.base import Settings
from semisupcon.probing.methods.calibrating import best_thresholds, fit_temperature
from semisupcon.probing.methods.head import load_head, new_head, predict, save_head
from semisupcon.probing.methods.head_header import calibration_in
from semisupcon.probing.methods.linear import probe
from semisupcon.probing.methods.settings import Training
from tests.probing.conftest import gaussian_features


def test_the_temperature_is_where_the_likelihood_of_a_grid_is_best():
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 4, 400)
    logits = 3 * draw.standard_normal((400, 4))
    logits[np.arange(400), truth] += 2.0
    targets = np.eye(4)[truth]
    grid = np.geomspace(0.1, 10, 4001)
    losses = [-(log_softmax(logits / t, axis=1) * targets).sum(axis=1).mean() for t in grid]
    found = fit_temperature("multiclass", logits, targets)
    assert found == pytest.approx(grid[int(np.argmin(losses))], rel=2e-3)
    assert found > 1.5  # the logits were drawn overconfident


def test_logits_that_separate_the_classes_have_no_temperature():
    targets = np.eye(3)[np.arange(30) % 3]
    assert fit_temperature("multiclass", 4 * targets, targets) == 1.0


def test_thresholds_have_the_best_f1_of_all_cuts():
    from sklearn.metrics import f1_score

    draw = np.random.default_rng(1)
    targets = (draw.random((80, 3)) < (0.1, 0.5, 0.8)).astype(float)
    probabilities = np.clip(0.4 * targets + 0.6 * draw.random((80, 3)), 0, 1).astype(np.float32)
    for c, threshold in enumerate(best_thresholds(probabilities, targets)):
        cuts = [*np.unique(probabilities[:, c]), 0.0]
        every = [f1_score(targets[:, c], probabilities[:, c] >= cut) for cut in cuts]
        ours = f1_score(targets[:, c], probabilities[:, c] >= threshold)
        assert ours == pytest.approx(max(every), abs=1e-12)
        assert np.abs(probabilities[:, c] - threshold).min() > 0  # between two clips
    assert best_thresholds(probabilities, np.zeros((80, 3))) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "binary"])
def test_a_head_keeps_what_it_learned_on_validation_clips(kind, aggregation, tmp_path):
    features = gaussian_features(kind, distance=0.7)
    settings = Settings(aggregation=aggregation, training=Training(max_epochs=5))
    outcome = probe(features, "linear", settings)
    about = {"classes": list(features.task.classes), "aggregation": aggregation}
    save_head(outcome.head, tmp_path / "a.safetensors", about, outcome.calibration)
    head, written = load_head(tmp_path / "a.safetensors")
    found = calibration_in(written)
    assert found == outcome.calibration
    assert len(found.thresholds) == (0 if kind == "multiclass" else len(features.task.classes))
    assert (found.temperature == 1.0) == (aggregation == "vote")
    again = predict(head, features.test.chunks, aggregation, found.temperature)
    assert np.array_equal(again, outcome.calibrated)
    if aggregation in ("embedding", "logit"):  # the temperature divides logits
        plain = np.log(outcome.scores.astype(float))
        if kind != "multiclass":
            plain -= np.log1p(-outcome.scores.astype(float))
        logits = torch.from_numpy(plain / found.temperature)
        expected = logits.softmax(1) if kind == "multiclass" else logits.sigmoid()
        np.testing.assert_allclose(again, expected.numpy(), atol=2e-5)


def test_heads_without_validation_clips_or_of_values_are_not_calibrated():
    assert probe(gaussian_features("regression"), "linear", Settings()).calibration is None


GOOD = {"classes": ["a", "b"], "aggregation": "embedding", "encoder": "x", "temperature": 1.5}


@pytest.mark.parametrize(
    ("kind", "change", "told"),
    [
        ("multilabel", {"temperature": "hot"}, "its temperature is 'hot'"),
        ("multilabel", {"temperature": True}, "its temperature is True"),
        ("multilabel", {"temperature": 0}, "its temperature is 0"),
        ("multilabel", {"temperature": float("nan")}, "its temperature is nan"),
        ("multilabel", {"temperature": 10**400}, "its temperature is 1000"),
        ("multilabel", {"thresholds": [0.5]}, "it has 1 thresholds for 2 multilabel outputs"),
        ("multilabel", {"thresholds": [0.5, 2]}, "its thresholds are not"),
        ("multilabel", {"thresholds": "ab"}, "its thresholds are not"),
        ("multiclass", {"thresholds": [0.5, 0.5]}, "2 thresholds for 2 multiclass outputs"),
        ("multilabel", {"classes": ["a", "b", "c"]}, "2 outputs and 3 different classes"),
        ("multilabel", {"classes": ["a", "a"]}, "2 outputs and 1 different classes"),
        ("multilabel", {"encoder": 7}, "its encoder is 7"),
        ("multilabel", {"representation": ["x"]}, "its representation is"),
        ("multilabel", {"hidden": -1}, "its hidden is -1"),
        ("multilabel", {"in_dim": 1 << 60}, "its in_dim is 11529"),
        ("multilabel", {"in_dim": 2.5}, "its in_dim is 2.5"),
        ("multilabel", {"in_dim": 1 << 20}, "its sizes are not those of its values"),
        ("multilabel", {"method": "mlp", "hidden": 1 << 20}, "its sizes are not"),
        ("multilabel", {"kind": []}, "does not name a known head"),
        ("multilabel", {"aggregation": ["x" * 99]}, "its aggregation is"),
        ("regression", {"aggregation": "vote", "temperature": 1}, "which values do not have"),
        ("regression", {"temperature": 2}, "it has a temperature"),
    ],
)
def test_each_field_of_a_head_is_checked(tmp_path, kind, change, told):
    head = new_head("linear", 6, 2, kind)
    save_head(head, tmp_path / "head.safetensors", GOOD | change)
    with pytest.raises(CheckpointError, match="not a saved probe head") as raised:
        load_head(tmp_path / "head.safetensors")
    assert told in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_an_edited_temperature_does_not_fit_the_digest(tmp_path):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    file = tmp_path / "head.safetensors"
    save_head(new_head("linear", 6, 2, "multilabel"), file, GOOD)
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    about = json.loads(metadata["head"]) | {"temperature": 3.0}
    save_file(load_file(file), file, metadata | {"head": json.dumps(about)})
    with pytest.raises(CheckpointError, match="damaged"):
        load_head(file)


def test_the_report_shows_the_calibration_error_before_and_after(tones, exported, cache, tmp_path):
    import pandas as pd

    options = ["--tasks", "[pitch=csv]", f"--data_dirs.pitch={tones}", "--cache_dir", str(cache)]
    options += ["--checkpoints", f"[{exported}]", "--methods", "[linear,knn]"]
    options += ["--training.max_epochs", "3", "--resamples", "20", "--projection", "none"]
    assert main(["probe", *options, "--out", str(tmp_path / "out")]) == 0
    rows = pd.read_csv(tmp_path / "out" / "results.csv").set_index(["method", "metric"])
    assert ("knn", "ece_scaled") not in rows.index
    before, after = (rows.loc[("linear", name)] for name in ("ece", "ece_scaled"))
    assert before["value"] != after["value"]
    assert after["low"] <= after["value"] <= after["high"]
    _, about = load_head(tmp_path / "out" / before["head"])
    assert f"temperature {about['temperature']:.3f}" in before["detail"]
    text = (tmp_path / "out" / "report.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith("| tiny | pitch | linear"))
    assert f"{before['value']:.3f} (" in line
    assert f"{after['value']:.3f} (" in line
    assert "Calibration" in (tmp_path / "out" / "report.html").read_text()
