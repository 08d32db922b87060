"""Schedules are the curves they say, and parameters that are not to be decayed are not."""

import math

import pytest
import torch
from torch import nn

from semisupcon.errors import ConfigError
from semisupcon.training.optimization import OscillatingCosine, WarmupCosine, parameter_groups


def curve(schedule, steps):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = schedule(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_warmup_is_linear_and_the_rest_half_a_cosine():
    rates = curve(lambda o: WarmupCosine(o, warmup_steps=4, total_steps=24, final_factor=0.1), 30)
    assert rates[:4] == pytest.approx([0.5, 1.0, 1.5, 2.0])
    expected = [2.0 * (0.1 + 0.9 * (1 + math.cos(math.pi * k / 20)) / 2) for k in range(21)]
    assert rates[4:25] == pytest.approx(expected)
    assert rates[25:] == pytest.approx([0.2] * 5)


def test_the_published_mtslvr_schedule_falls_and_rises():
    rates = curve(lambda o: OscillatingCosine(o, half_period=10), 41)
    assert [rates[k] for k in (0, 5, 10, 20, 30, 40)] == pytest.approx(
        [2.0, 1.0, 0.0, 2.0, 0.0, 2.0], abs=1e-12
    )


def test_a_restored_schedule_goes_by_its_new_length():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    short, long = WarmupCosine(optimizer, 0, 4), WarmupCosine(optimizer, 0, 8)
    for _ in range(4):
        short.step()
    long.load_state_dict(short.state_dict())
    assert long.last_epoch == 4
    assert long.get_lr() == pytest.approx([0.5])
    written_before = short.state_dict() | {"warmup_steps": 0, "total_steps": 4, "final_factor": 0.0}
    long.load_state_dict(written_before)
    assert long.total_steps == 8


@pytest.mark.parametrize(
    "make",
    [
        lambda o: WarmupCosine(o, -1),
        lambda o: WarmupCosine(o, 0, -1),
        lambda o: WarmupCosine(o, 0, 0),
        lambda o: WarmupCosine(o, 20, 20),
        lambda o: OscillatingCosine(o, 0),
    ],
)
def test_schedules_refuse_lengths_that_are_none(make):
    with pytest.raises(ConfigError):
        make(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0))


def test_a_restored_schedule_continues():
    def build():
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        return optimizer, WarmupCosine(optimizer, 3, 20)

    optimizer, scheduler = build()
    for _ in range(7):
        optimizer.step()
        scheduler.step()
    again, restored = build()
    restored.load_state_dict(scheduler.state_dict())
    again.load_state_dict(optimizer.state_dict())
    for o, s in ((optimizer, scheduler), (again, restored)):
        o.step()
        s.step()
    assert again.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


def test_norms_and_biases_are_spared_from_decay_and_nothing_is_lost():
    model = nn.Sequential(
        nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2), nn.Flatten(), nn.Linear(2, 2), nn.LayerNorm(2)
    )
    groups = parameter_groups(model, model.named_parameters(), decay_norm_and_bias=False)
    spared = {id(p) for p in groups[1]["params"]}
    assert groups[1]["weight_decay"] == 0.0
    assert spared == {
        id(p)
        for p in (model[0].bias, *model[1].parameters(), model[3].bias, *model[4].parameters())
    }
    assert {id(p) for g in groups for p in g["params"]} == {id(p) for p in model.parameters()}
    assert len(parameter_groups(model, model.named_parameters())) == 1


def test_biases_of_recurrent_layers_are_spared_too():
    model = nn.GRU(2, 3)
    groups = parameter_groups(model, model.named_parameters(), decay_norm_and_bias=False)
    assert {id(p) for p in groups[1]["params"]} == {id(model.bias_ih_l0), id(model.bias_hh_l0)}


def test_lars_leaves_the_spared_group_unadapted():
    from timm.optim import Lars

    model = nn.Linear(3, 3)
    optimizer = Lars(
        parameter_groups(model, model.named_parameters(), False),
        lr=0.5,
        weight_decay=0.1,
        momentum=0.0,
    )
    before = model.bias.detach().clone()
    model.bias.grad, model.weight.grad = torch.ones(3), torch.ones(3, 3)
    optimizer.step()
    assert torch.allclose(model.bias, before - 0.5)
