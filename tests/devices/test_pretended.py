"""The pretended device counts what a GPU would have to do, and computes what the CPU computes."""

import pytest
import torch
from torch import nn

from tests.devices.pretended import Pretended, Recorder, standing_in, to_pretended


def test_computes_as_the_cpu_forwards_and_backwards():
    torch.manual_seed(0)
    here = nn.Sequential(nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.ReLU())
    there = nn.Sequential(nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.ReLU())
    there.load_state_dict(here.state_dict())
    x = torch.randn(2, 1, 20)
    here(x).square().mean().backward()
    with Recorder() as recorder:
        y = to_pretended(there)(to_pretended(x))
        assert y.device == torch.device("cuda", 0)
        y.square().mean().backward()
    assert not recorder.syncs
    assert not recorder.mismatches
    for ours, theirs in zip(here.parameters(), there.parameters(), strict=True):
        assert isinstance(theirs.grad, Pretended)
        assert torch.equal(theirs.grad.held, ours.grad)
    assert torch.equal(there[1].running_var.held, here[1].running_var)


def test_a_recurrent_layer_costs_launches_for_each_time_step():
    torch.manual_seed(0)
    here, there = (nn.GRU(3, 4, batch_first=True) for _ in range(2))
    there.load_state_dict(here.state_dict())
    x = torch.randn(2, 7, 3)
    here(x)[0].sum().backward()
    with Recorder() as recorder:
        to_pretended(there)(to_pretended(x))[0].sum().backward()
    assert all(
        torch.equal(p.grad.held, q.grad)
        for p, q in zip(there.parameters(), here.parameters(), strict=True)
    )
    assert 3 * 7 <= recorder.launches <= 3 * 7 + 10


@pytest.mark.parametrize(
    ("ask", "kind"),
    [
        (lambda x: x.sum().item(), "_local_scalar_dense"),
        (lambda x: bool(x.any()), "_local_scalar_dense"),
        (lambda x: x.tolist(), "copy from the device"),
        (lambda x: x.cpu(), "copy from the device"),
        (lambda x: x.nonzero(), "nonzero"),
        (lambda x: x[x > 0], "index by a mask"),
        (lambda x: x.masked_select(x > 0), "masked_select"),
        (lambda x: x.unique(), "_unique2"),
        (lambda x: torch.bincount(x.long().flatten().abs()), "bincount"),
        (lambda x: torch.equal(x, x.clone()), "equal"),
        (lambda x: x.repeat_interleave(x[:, 0].long().abs(), dim=0), "repeat_interleave"),
        (lambda x: torch.tensor([1.0, 2.0], device=x.device), "copy to the device"),
        (lambda x: x.new_tensor(3.0), "copy to the device"),
        (lambda x: torch.ones(2).to(x.device), "copy to the device"),
        (lambda x: x[torch.tensor([0, 1])], "index by indices of the host"),
    ],
)
def test_counts_what_the_host_waits_for(ask, kind):
    with Recorder() as recorder:
        ask(to_pretended(torch.randn(3, 4)))
    assert {name for name, _ in recorder.syncs} == {kind}
    assert not recorder.mismatches


def test_counts_no_wait_for_what_stays_on_the_device():
    with Recorder() as recorder:
        x, rows = to_pretended((torch.randn(3, 4), torch.tensor([2, 0])))
        x[rows] = x[rows] * 2 + torch.arange(4, device=x.device)
        x.repeat_interleave(2, dim=0).masked_fill(x.repeat(2, 1) > 0, 0.0).sort()
        x.view(-1).new_full((), 3.0)
        torch.ones(3).to(x.device, non_blocking=True)
    assert not recorder.syncs
    assert not recorder.mismatches
    assert sum(recorder.copies.values()) == 1


def test_two_devices_do_not_mix():
    with Recorder() as recorder:
        x = to_pretended(torch.randn(3))
        x * 2.0 + torch.tensor(1.0)
        assert not recorder.mismatches
        x + torch.ones(3)
    assert sum(recorder.mismatches.values()) == 1


def test_a_kernel_of_our_own_is_one_launch(monkeypatch):
    double = standing_in("double", lambda x: (x + x) * 1)
    with Recorder() as recorder:
        x = to_pretended(torch.ones(3))
        y = double(x)
        with recorder.kernel("more"):
            y + y
    assert y.held.tolist() == [2, 2, 2]
    assert recorder.launches == 2
    assert recorder.operators == {"double": 1, "more": 1}
