"""Every kind of label: one loss in torch and NumPy, decisions that fit the activation, and metrics
that `evaluate` gives."""

import numpy as np
import pytest
import torch

from semisupcon.kinds import KINDS
from semisupcon.probing.scores.metrics import evaluate, metric_names

draw = np.random.default_rng(0)


def example(kind, n=12, classes=3):
    outputs = draw.standard_normal((n, 1 if kind == "binary" else classes))
    if kind == "multiclass":
        return outputs, np.eye(classes)[np.arange(n) % classes]
    return outputs, draw.standard_normal(outputs.shape) if kind == "regression" else np.arange(
        outputs.size
    ).reshape(outputs.shape) % 2.0


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_in_numpy_is_that_of_torch(kind):
    outputs, targets = example(kind)
    x, y = torch.from_numpy(outputs).requires_grad_(), torch.from_numpy(targets)
    loss = KINDS[kind].loss(x, y)
    loss.backward()
    value, gradient = KINDS[kind].loss_and_gradient(outputs, targets)
    assert value == pytest.approx(loss.item())
    np.testing.assert_allclose(gradient, x.grad, atol=1e-12)
    rows = KINDS[kind].losses(x, y)
    assert rows.shape == (12,)
    assert rows.mean().item() == pytest.approx(loss.item())
    assert KINDS[kind].losses(x[:0], y[:0]).shape == (0,)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_decisions_are_the_likely_classes(kind):
    outputs = torch.from_numpy(example(kind)[0])
    likely = KINDS[kind].activation(outputs)
    expected = likely == likely.amax(dim=1, keepdim=True) if kind == "multiclass" else likely > 0.5
    assert torch.equal(KINDS[kind].decisions(outputs).bool(), expected)


def test_values_are_not_changed():
    outputs = torch.randn(4, 2)
    assert torch.equal(KINDS["regression"].activation(outputs), outputs)


@pytest.mark.parametrize("kind", KINDS)
def test_metrics_are_those_that_are_computed(kind):
    scores, targets = example(kind)
    for classes in (("C major", "A minor", "G major"), ("a", "b", "c")):
        found = list(evaluate(kind, targets, scores, classes[: targets.shape[1]]))
        assert set(found) == set(metric_names(kind, classes[: targets.shape[1]]))
        assert found[0] == KINDS[kind].main
        assert {name.split()[0] for name in found} <= set(KINDS[kind].metrics)
    assert set(KINDS[kind].shown) <= set(KINDS[kind].metrics)
