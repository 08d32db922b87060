"""`Encode` in chunks: the gradient of the whole batch from the memory of a part, and batch-norm
statistics that count each chunk once."""

import copy

import pytest
import torch

from semisupcon.encoders import SampleCNNSmall
from semisupcon.objectives.base import Encode
from semisupcon.random import uniform


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return SampleCNNSmall(widths=[4, 4, 6], stem=9, sample_rate=8000, segment_samples=400).double()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(7, 1, 400, generator=generator, dtype=torch.float64)
    return {
        "x": x,
        "length": torch.tensor([400, 300, 400, 250, 400, 390, 400]),
        "key": torch.arange(7) * 256,
    }


def scaled(features, key):
    """An augmentation of the front end's output that draws from the keys."""
    return features * (1 + uniform(key, "scale")[..., None])


def gradients(encoder, encode):
    encoder.zero_grad()
    embeddings = encode()
    # Every embedding matters to every other, as in a contrastive loss.
    (embeddings @ embeddings.T).exp().mean().backward()
    return embeddings.detach(), [p.grad.clone() for p in encoder.parameters()]


@pytest.mark.parametrize("chunk_size", [1, 3, 7, 100])
@pytest.mark.parametrize("kind", ["embeddings", "frames"])
def test_gradients_equal_those_of_the_whole_batch(encoder, batch, chunk_size, kind):
    # Batch norm with running statistics: those of a chunk are not those of the batch.
    encoder.eval()

    def run(size):
        encode = Encode(encoder, size)
        if kind == "frames":
            return lambda: encode.frames(batch["x"]).flatten(1)
        return lambda: encode(batch["x"], batch["length"], augment=scaled, key=batch["key"])

    whole, expected = gradients(encoder, run(None))
    chunked, got = gradients(encoder, run(chunk_size))
    torch.testing.assert_close(chunked, whole, rtol=0, atol=1e-14)
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


def test_running_statistics_count_a_chunk_once(encoder, batch):
    plain = copy.deepcopy(encoder).train()
    encoder.train()
    gradients(encoder, lambda: Encode(encoder, 3)(batch["x"]))
    for part in batch["x"].split(3):
        plain(part)
    assert encoder.state_dict().keys() == plain.state_dict().keys()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(encoder.state_dict()[name], value, rtol=0, atol=0, msg=name)
    assert all(
        n == 3 for name, n in encoder.state_dict().items() if name.endswith("num_batches_tracked")
    )


def test_dropout_is_the_same_when_computed_again(encoder, batch):
    encoder.eval()
    dropout = torch.nn.Dropout(0.5)
    seen = []

    def dropped(features, key):
        seen.append(dropout(features))
        return seen[-1]

    torch.manual_seed(2)
    gradients(encoder, lambda: Encode(encoder, 4)(batch["x"], augment=dropped, key=batch["key"]))
    first, second, *again = seen
    assert {tuple(x.shape) for x in again} == {tuple(first.shape), tuple(second.shape)}
    for x in again:
        assert any(x.shape == y.shape and torch.equal(x == 0, y == 0) for y in (first, second))


def test_without_gradients_the_batch_goes_through_whole(encoder, batch):
    calls = []
    features = encoder.features
    encoder.features = lambda x, *more: calls.append(len(x)) or features(x, *more)
    with torch.no_grad():
        Encode(encoder.eval(), 2)(batch["x"])
    assert calls == [7]
