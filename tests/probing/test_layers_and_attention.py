"""Probes of blocks, their mixture, and attention on frames: found where the class is."""

import csv

import numpy as np
import pytest
import torch

import semisupcon.encoders as encoders
from semisupcon.commands.probe import main
from semisupcon.encoders.base import freeze
from semisupcon.probing.embeddings.cache import Chunks
from semisupcon.probing.embeddings.layers import blocks, framed, layered
from semisupcon.probing.embeddings.subject import Subject
from semisupcon.probing.methods.attentive import QueryPerClass, attend
from semisupcon.probing.methods.layers import Mixture, MixtureHead
from semisupcon.probing.methods.linear import probe
from semisupcon.probing.methods.settings import Settings, Training
from tests.probing.conftest import gaussian_features, tiny_encoder


def test_blocks_are_the_outputs_of_the_trunk():
    encoder = freeze(tiny_encoder())
    subject = layered(Subject("tiny", encoder, "pretrained"))
    x = torch.randn(3, 1, 2000)
    widths = subject.widths("cpu")
    found = subject(x)
    assert found.shape == (3, sum(widths.values()))
    hidden, means = encoder.features(x), []
    for part in encoder.trunk:
        hidden = part(hidden)
        means.append(hidden.mean(dim=2))
    assert torch.allclose(found, torch.cat(means, dim=1), atol=1e-6)
    # The mean of the last block is the embedding of an encoder with average pooling.
    assert torch.allclose(found[:, -16:], encoder(x), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "count", "last"),
    [
        ("ResNet1d", 9, 512),
        ("SplitResNet1d", 9, 512),
        ("DilatedCNN", 3, 512),
        ("SampleCNN", 11, 512),
    ],
)
def test_encoders_have_blocks(name, count, last):
    with torch.device("meta"):
        found = list(blocks(getattr(encoders, name)().trunk))
    assert len(found) == count
    assert len({n for n, _ in found}) == count


def test_frames_are_those_of_the_encoder():
    encoder = freeze(tiny_encoder())
    subject = framed(Subject("tiny", encoder, "pretrained"))
    x = torch.randn(2, 1, 2000)
    width = subject.frame_width("cpu")
    assert width == 16
    frames = subject(x).reshape(2, -1, width)
    assert torch.equal(frames, encoder.frames(x).transpose(1, 2))


def test_a_mixture_is_convex_and_finds_the_layer():
    draw = torch.Generator().manual_seed(0)
    head = MixtureHead([3, 3, 3], 2)
    mixture = head.net[0]
    x = torch.randn(5, 9, generator=draw)
    assert torch.allclose(mixture(x), x.reshape(5, 3, 3).mean(dim=1), atol=1e-6)
    other = Mixture([2, 3])
    assert [p.weight.shape for p in other.projections] == [(3, 2), (3, 3)]
    # Only the second layer has the classes.
    y = torch.randint(0, 2, (400,), generator=draw)
    x = torch.randn(400, 9, generator=draw)
    x[:, 3:6] += 2 * (2 * y[:, None] - 1)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(head(x), y).backward()
        optimizer.step()
    assert mixture.weights.argmax() == 1
    assert mixture.weights.sum().item() == pytest.approx(1)


def test_attention_is_the_formula_and_ignores_padding():
    draw = torch.Generator().manual_seed(1)
    net = QueryPerClass(4, 3)
    x = torch.randn(2, 5, 4, generator=draw)
    mask = torch.arange(5) < torch.tensor([[5], [2]])
    linear = net.answer(torch.stack([x[0].mean(dim=0), x[1, :2].mean(dim=0)]))
    assert torch.allclose(net(x, mask), linear, atol=1e-6)
    with torch.no_grad():
        net.query.normal_(generator=draw)
    for c in range(3):
        a = (x[1, :2] @ net.query[c] / 2).softmax(dim=0)
        expected = a @ (x[1, :2] @ net.answer.weight[c]) + net.answer.bias[c]
        assert net(x, mask)[1, c].item() == pytest.approx(expected.item(), abs=1e-5)


def test_attention_finds_the_frame_that_matters():
    """One frame of ten tells the class, marked by its first value; a mean hides it."""
    features = gaussian_features(n=400, classes=4, distance=0.0)
    draw = np.random.default_rng(0)
    for part in (features.train, features.val, features.test):
        n = len(part)
        frames = draw.standard_normal((n, 2, 5, 6)).astype(np.float32)
        frames[..., 0] = -1
        label, where = part.targets.argmax(axis=1), draw.integers(0, 10, n)
        flat = frames.reshape(n, 10, 6)
        # The sign of two values; other frames have the same values at random.
        flat[np.arange(n), where, 0] = 4
        flat[np.arange(n), where, 1] = 2 * (label % 2) - 1
        flat[np.arange(n), where, 2] = 2 * (label // 2) - 1
        object.__setattr__(
            part, "chunks", Chunks(flat.reshape(2 * n, 30), np.arange(0, 2 * n + 1, 2))
        )
    training = Training(max_epochs=60, patience=60, lr=0.03)
    scores = attend(features, 6, Settings(training=training)).scores
    truth = features.test.targets.argmax(axis=1)
    assert (scores.argmax(axis=1) == truth).mean() > 0.9
    for part in (features.train, features.val, features.test):
        mean = part.chunks.values.reshape(-1, 10, 6).mean(axis=1)
        object.__setattr__(part, "chunks", Chunks(mean, np.arange(len(part) + 1)))
    plain = probe(features, "linear", Settings()).scores
    assert (plain.argmax(axis=1) == truth).mean() < 0.75


def test_the_command_probes_layers_and_attention(tones, exported, cache, tmp_path):
    given = [f"--data_dirs.csv={tones}", f"--checkpoints=[{exported},random]", "--tasks=csv"]
    where = [f"--out={tmp_path}", f"--cache_dir={cache}", "--projection=none", "--resamples=20"]
    short = ["--training.max_epochs=20"]
    assert main([*given, *where, *short, "--layers=all"]) == 0
    assert main([*given, *where, *short, "--layers=weighted"]) == 0
    assert main([*given, *where, *short, "--methods=[attentive,linear]"]) == 0
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    methods = {r["method"] for r in rows if r["checkpoint"] == "tiny"}
    count = sum(m.startswith("linear, layer ") for m in methods)
    assert count >= 2
    assert methods == {
        "attentive",
        "linear",
        "linear, weighted layers",
        *(f"linear, layer {i + 1} of {count}" for i in range(count)),
    }
    detail = next(r["detail"] for r in rows if r["method"] == "linear, weighted layers")
    weights = [float(w) for w in detail.removeprefix("layer weights ").split(",")[0].split()]
    assert len(weights) == count
    assert sum(weights) == pytest.approx(1, abs=0.01)
    page = (tmp_path / "report.html").read_text()
    assert "linear: accuracy by layer" in page
    assert "weight of each layer" in page
    # Single layers have no figures of their own.
    assert "linear: loss by epoch" in page
    assert "layer 1 of 2: " not in page.partition("<h2>Classes")[0]


def test_mistakes_about_layers(tones, exported, cache, tmp_path, capsys):
    given = [f"--data_dirs.csv={tones}", "--tasks=csv", f"--out={tmp_path}"]
    where = [f"--cache_dir={cache}", "--projection=none"]
    assert main([*given, *where, "--checkpoints=mfcc", "--layers=all"]) == 2
    assert "'mfcc' has no blocks that --layers can read" in capsys.readouterr().err
    assert main([*given, *where, f"--checkpoints={exported}", "--layers=every"]) == 2
    assert "--layers takes last, all, weighted" in capsys.readouterr().err
