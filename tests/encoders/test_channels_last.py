"""Layers that compute channels last on a GPU give what torch.nn's layers give."""

import copy

import pytest
import torch
from torch import nn

from semisupcon.encoders import SampleCNN, SampleCNNSmall
from semisupcon.encoders.channels_last import BatchNorm1d, ChannelsLast, Conv1d, MaxPool1d


def as_images(layers: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    """What `ChannelsLast` does on a GPU."""
    return nn.Sequential.forward(layers, x.unsqueeze(2)).squeeze(2)


@pytest.mark.parametrize(
    "layer",
    [Conv1d(6, 8, 3, 2, 1), Conv1d(6, 6, 5, dilation=2, groups=3), MaxPool1d(3), BatchNorm1d(6)],
)
def test_a_layer_of_images_is_that_of_sequences(layer):
    x = torch.randn(4, 6, 50)
    torch.testing.assert_close(layer(x[:, :, None]).squeeze(2), layer(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "make", [lambda: SampleCNN(segment_samples=59049), lambda: SampleCNNSmall([8, 8, 16])]
)
def test_training_as_images_is_training(make):
    torch.manual_seed(0)
    one = make().double()
    other = copy.deepcopy(one)
    x = 0.1 * torch.randn(3, 1, one.segment_samples, dtype=torch.float64)
    assert isinstance(one.trunk, ChannelsLast)
    ours, theirs = as_images(one.trunk, x), other.trunk(x)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    ours.mean().backward()
    theirs.mean().backward()
    for (name, buffer), expected in zip(
        one.state_dict().items(), other.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(buffer, expected, rtol=1e-9, atol=1e-9, msg=name)
    assert list(one.state_dict()) == list(other.state_dict())
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-6, atol=1e-9)


def test_the_memory_format_is_set_behind_the_first_convolution():
    x = Conv1d(1, 4, 3, 3)(torch.randn(2, 1, 1, 30))
    assert x.is_contiguous(memory_format=torch.channels_last)


def test_batch_norm_refuses_other_shapes():
    with pytest.raises(ValueError, match="5D"):
        BatchNorm1d(4)(torch.randn(2, 4, 1, 1, 5))
