"""Settings of a resumed run: what is recorded, and the state of a schedule that stays the same."""

import pytest
import torch
from torch.optim.lr_scheduler import ExponentialLR, StepLR

from semisupcon.training.settling import optimizer_settings, plain, schedule_settings, settle


def test_settings_are_plain():
    assert plain({"a": torch.tensor([1.0, 2.0]), 1: (None, True), "c": torch.nn.ReLU()}) == {
        "a": [1.0, 2.0],
        "1": [None, True],
        "c": "ReLU",
    }


def made(lr):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=lr)
    return optimizer, StepLR(optimizer, 2, 0.5)


def settings(optimizer, schedule):
    return {"optimizer": optimizer_settings(optimizer), "schedule": schedule_settings(schedule)}


@pytest.mark.parametrize("recorded", [True, False])
def test_the_state_of_an_unchanged_schedule_is_restored(recorded):
    """It was stepped by epochs, three times in 30 steps."""
    optimizer, schedule = made(0.4)
    configured = settings(*made(0.4))
    content = {
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [schedule.state_dict() | {"last_epoch": 3}],
        "global_step": 30,
    }
    if recorded:
        content["semisupcon"] = {"training": configured}
    settle(optimizer, schedule, lambda o: StepLR(o, 2, 0.5), configured, content)
    assert schedule.last_epoch == 3
    assert optimizer.param_groups[0]["lr"] == 0.4


def test_another_schedule_stands_where_the_old_one_stood():
    optimizer, old = made(0.4)
    content = {
        "semisupcon": {"training": settings(*made(0.4))},
        "lr_schedulers": [old.state_dict() | {"last_epoch": 3}],
        "global_step": 30,
    }
    new = ExponentialLR(optimizer, 0.5)
    configured = {
        "optimizer": content["semisupcon"]["training"]["optimizer"],
        "schedule": schedule_settings(new),
    }
    settle(optimizer, new, lambda o: ExponentialLR(o, 0.5), configured, content)
    assert new.last_epoch == 3
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.4 * 0.5**3)
