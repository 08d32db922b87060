"""Running statistics of batch norm do in each block what its name says, and nothing after it."""

import pytest
import torch
from torch import nn

from semisupcon.batch_norm import (
    batch_norms,
    mean_and_scale,
    standardiser,
    statistics_kept,
    statistics_learned,
    statistics_measured,
)


@pytest.fixture
def net():
    return nn.Sequential(
        nn.Linear(3, 4),
        nn.BatchNorm1d(4),
        nn.Dropout(),
        nn.BatchNorm1d(4, track_running_stats=False),
    )


def batch(seed, scale=1.0):
    return scale * torch.randn(16, 3, generator=torch.Generator().manual_seed(seed))


def state(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def assert_equal(one, other):
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_kept_statistics_do_not_move_and_the_output_is_that_of_training(net):
    net[2].p = 0.0
    before, expected = state(net), net(batch(0))
    net.load_state_dict(before)
    with statistics_kept(net):
        assert torch.equal(net(batch(0)), expected)
    assert_equal(state(net), before)
    assert net[1].momentum == 0.1


def test_learned_statistics_move_while_other_layers_stay_in_evaluation_mode(net):
    net.eval()
    before = state(net)
    with statistics_learned(net):
        assert [layer.training for layer in net] == [False, True, False, True]
        net(batch(0))
    assert not any(layer.training for layer in net)
    assert net[1].num_batches_tracked == before["1.num_batches_tracked"] + 1
    assert not torch.equal(net[1].running_mean, before["1.running_mean"])


def test_measured_statistics_are_the_mean_over_batches(net):
    net.train()
    net(batch(9, 50.0))  # forgotten
    net.eval()
    with statistics_measured(net), torch.no_grad():
        for seed in range(3):
            net(batch(seed))
    inputs = [net[0](batch(seed)) for seed in range(3)]
    torch.testing.assert_close(
        net[1].running_mean, torch.stack([x.mean(dim=0) for x in inputs]).mean(dim=0)
    )
    torch.testing.assert_close(
        net[1].running_var, torch.stack([x.var(dim=0) for x in inputs]).mean(dim=0)
    )
    assert net[1].momentum == 0.1
    assert not net[1].training


@pytest.mark.parametrize("block", [statistics_kept, statistics_learned, statistics_measured])
def test_an_exception_restores_momentum(net, block):
    with pytest.raises(ZeroDivisionError), block(net.eval()):
        _ = 1 / 0
    assert net[1].momentum == 0.1
    assert not net[1].training


def test_all_kinds_of_batch_norm_are_found():
    layers = nn.ModuleList(
        [
            nn.BatchNorm1d(2),
            nn.BatchNorm2d(2),
            nn.SyncBatchNorm(2),
            nn.GroupNorm(1, 2),
            nn.LazyBatchNorm1d(),
        ]
    )
    assert batch_norms(layers, nn.Linear(1, 1)) == [layers[i] for i in (0, 1, 2, 4)]


def test_a_standardiser_starts_at_the_given_constants():
    mean, scale = torch.tensor([1.0, -2.0]), torch.tensor([2.0, torch.inf])
    layer = standardiser(mean, scale).eval()
    torch.testing.assert_close(
        layer(torch.tensor([[3.0, 5.0]])), torch.tensor([[1.0, 7e-6]]), rtol=1e-3, atol=0
    )
    found = mean_and_scale(layer)
    torch.testing.assert_close(found[0], mean)
    torch.testing.assert_close(found[1], torch.tensor([2.0, 1e6]))
