"""Heads on frozen embeddings: exact gradients, aggregation over tracks, saving."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from semisupcon.errors import CheckpointError
from semisupcon.kinds import KINDS
from semisupcon.probing.embeddings.cache import Chunks
from semisupcon.probing.methods.gradients import Adam, loss_and_gradients
from semisupcon.probing.methods.head import load_head, new_head, predict, save_head
from semisupcon.probing.methods.linear import best_epoch, fit, probe
from semisupcon.probing.methods.settings import AGGREGATIONS, Settings, Training
from semisupcon.probing.scores.metrics import evaluate
from tests.probing.conftest import gaussian_features

LOSSES = {
    "multiclass": F.cross_entropy,
    "multilabel": F.binary_cross_entropy_with_logits,
    "binary": F.binary_cross_entropy_with_logits,
    "regression": F.mse_loss,
}


@pytest.mark.parametrize("method", ["linear", "mlp"])
@pytest.mark.parametrize("kind", LOSSES)
def test_gradients_are_those_of_autograd(kind, method):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(7, 5, generator=generator), torch.rand(7, 3, generator=generator)
    y = (
        y.round()
        if kind == "multilabel"
        else F.one_hot(y.argmax(1), 3).float()
        if kind == "multiclass"
        else y
    )
    head = new_head(method, 5, 3, kind, hidden=4)
    loss = LOSSES[kind](head.net(x), y)
    expected = torch.autograd.grad(loss, list(head.net.parameters()))
    ours, slopes = loss_and_gradients(
        [p.detach().numpy() for p in head.net.parameters()], x.numpy(), y.numpy(), kind
    )
    assert ours == pytest.approx(loss.item(), rel=1e-5)
    for a, b in zip(slopes, expected, strict=True):
        assert torch.allclose(torch.from_numpy(a), b, atol=1e-6)


def test_adam_is_torch_adam():
    start = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    theirs = torch.nn.Parameter(torch.from_numpy(start.copy()))
    ours, optimizer = (
        Adam([start], lr=0.05, weight_decay=0.1),
        torch.optim.Adam([theirs], lr=0.05, weight_decay=0.1),
    )
    for step in range(20):
        gradient = np.sin(np.arange(12, dtype=np.float32) + step).reshape(3, 4)
        theirs.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
        ours.step([gradient])
    assert torch.allclose(torch.from_numpy(start), theirs.detach(), atol=1e-5)


@pytest.mark.parametrize("method", ["linear", "mlp"])
@pytest.mark.parametrize("kind", LOSSES)
def test_probes_solve_a_problem_that_can_be_solved(kind, method):
    features = gaussian_features(kind, distance=5.0)
    outcome = probe(features, method, Settings(), seed=0)
    value = evaluate(kind, features.test.targets, outcome.scores, features.task.classes)[
        KINDS[kind].main
    ][0]
    assert value > 0.95
    assert outcome.scores.shape == features.test.targets.shape


def test_a_probe_is_a_function_of_its_seed():
    features = gaussian_features(distance=1.0)
    first, again, other = (probe(features, "mlp", Settings(), seed=s).scores for s in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_embeddings_of_any_scale_and_constant_dimensions_are_handled():
    features = gaussian_features(distance=5.0)
    for part in (features.train, features.val, features.test):
        part.chunks.values[:] = part.chunks.values * 1e4 + 1e5
        part.chunks.values[:, 0] = 7
    scores = probe(features, "linear", Settings()).scores
    assert (
        evaluate("multiclass", features.test.targets, scores, features.task.classes)["accuracy"][0]
        > 0.9
    )


def test_best_epoch_is_kept_and_patience_ends():
    draw = torch.Generator().manual_seed(0)
    x, y = (
        torch.randn(40, 30, generator=draw),
        F.one_hot(torch.randint(0, 2, (40,), generator=draw), 2).float(),
    )
    x_val, y_val = (
        torch.randn(40, 30, generator=draw),
        F.one_hot(torch.randint(0, 2, (40,), generator=draw), 2).float(),
    )
    head = new_head("linear", 30, 2, "multiclass")
    curve = fit(head, x, y, x_val, y_val, Training(patience=5, max_epochs=200), seed=0)
    assert len(curve) == best_epoch(curve) + 5
    kept = loss_and_gradients(
        [p.detach().numpy() for p in head.net.parameters()],
        *head.standardised(x_val, y_val),
        "multiclass",
    )[0]
    assert kept == pytest.approx(min(e["val_loss"] for e in curve), rel=1e-6)


def test_aggregations_are_what_they_say():
    chunks = Chunks(
        np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32), np.array([0, 3, 7])
    )
    head = new_head("mlp", 5, 3, "multiclass", hidden=8)
    with torch.no_grad():
        logits = head(torch.from_numpy(chunks.values))
        tracks = logits.split([3, 4])
        expected = {
            "embedding": [
                head(torch.from_numpy(chunks.values[a:b]).mean(0, keepdim=True))[0].softmax(0)
                for a, b in ((0, 3), (3, 7))
            ],
            "logit": [t.mean(0).softmax(0) for t in tracks],
            "probability": [t.softmax(1).mean(0) for t in tracks],
            "vote": [F.one_hot(t.argmax(1), 3).float().mean(0) for t in tracks],
        }
    assert set(expected) == set(AGGREGATIONS)
    for name, rows in expected.items():
        assert np.allclose(predict(head, chunks, name), torch.stack(rows).numpy(), atol=1e-6)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_heads_train_on_what_they_aggregate(aggregation):
    features = gaussian_features(distance=5.0)
    scores = probe(features, "linear", Settings(aggregation=aggregation)).scores
    assert (
        evaluate("multiclass", features.test.targets, scores, features.task.classes)["accuracy"][0]
        > 0.95
    )


def test_heads_are_saved_and_read_without_pickle(tmp_path):
    head = probe(gaussian_features("regression"), "mlp", Settings()).head
    save_head(head, tmp_path / "head.safetensors", {"task": "affect", "classes": ["a", "b"]})
    again, about = load_head(tmp_path / "head.safetensors")
    x = torch.randn(4, 6)
    assert torch.equal(again(x), head(x))
    assert (about["task"], about["kind"], about["classes"]) == ("affect", "regression", ["a", "b"])


def test_a_file_that_is_no_head_is_refused(tmp_path):
    (tmp_path / "head.safetensors").write_bytes(b"not a head")
    with pytest.raises(CheckpointError, match="not a saved probe head"):
        load_head(tmp_path / "head.safetensors")
    with pytest.raises(CheckpointError, match="not a saved probe head"):
        load_head(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("aggregation", ["embedding", "logit"])
def test_the_head_is_standardised_by_the_training_clips_alone(aggregation):
    """Validation and test clips that lie elsewhere do not move its constants."""
    features, settings = (
        gaussian_features("regression", distance=5.0),
        Settings(aggregation=aggregation, training=Training(max_epochs=2)),
    )
    for part, shift in ((features.val, 40), (features.test, -90)):
        part.chunks.values[:] = 3 * part.chunks.values + shift
        part.targets[:] = 5 * part.targets + shift
    head = probe(features, "linear", settings).head
    train = (
        features.train.chunks.mean() if aggregation == "embedding" else features.train.chunks.values
    )
    repeated = (
        features.train.targets
        if aggregation == "embedding"
        else features.train.targets[features.train.chunks.clip_of_row()]
    )
    for ours, expected in (
        (head.mean, train.mean(axis=0)),
        (head.scale, train.std(axis=0)),
        (head.target_mean, repeated.mean(axis=0)),
        (head.target_scale, repeated.std(axis=0)),
        (head.target_low, repeated.min(axis=0)),
        (head.target_high, repeated.max(axis=0)),
    ):
        np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_the_test_clips_do_not_move_the_head():
    features = gaussian_features(distance=1.0)
    before = probe(features, "linear", Settings()).head.state_dict()
    features.test.chunks.values[:] += 100
    features.test.targets[:] = np.roll(features.test.targets, 1, axis=1)
    after = probe(features, "linear", Settings()).head.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
