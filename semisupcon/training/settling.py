"""Restore the optimizer and the schedule of a resumed run, and apply changed settings.

Lightning alone would also restore the hyperparameters and overwrite the configured ones. In this
module, the state (moments, step counts) comes from the checkpoint, and the settings come from the
configuration:

- An unchanged setting keeps its restored value, so an unchanged run continues bit for bit.
- A changed hyperparameter of the optimizer takes effect at the first step.
- A changed learning rate or schedule continues at the step of the checkpoint, with the values that
  it would have if the run had started with it.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from semisupcon.training.optimization import _Closed

# Attributes of a schedule that belong to its state, not to its settings.
_POSITION = (
    "base_lrs",
    "last_epoch",
    "_step_count",
    "_last_lr",
    "_get_lr_called_within_step",
    "_is_initial",
    "verbose",
    "optimizer",
)
_MEASURED = ("best", "num_bad_epochs", "cooldown_counter")  # the state of ReduceLROnPlateau
_PER_STEP = ("params", "lr", "initial_lr", "swa_lr")


def plain(value: Any) -> Any:
    """Convert a setting to numbers, text, lists and dictionaries that a checkpoint can store.

    Other objects become the name of their type.
    """
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [plain(v) for v in value]
    return type(value).__name__


def optimizer_settings(optimizer: Optimizer) -> dict[str, Any]:
    """Return the class, the hyperparameters and the group sizes of an optimizer.

    Call it before a schedule changes the hyperparameters.
    """
    groups = [
        {k: plain(v) for k, v in group.items() if k not in ("params", "initial_lr")}
        for group in optimizer.param_groups
    ]
    sizes = [len(group["params"]) for group in optimizer.param_groups]
    return {"class": type(optimizer).__name__, "groups": groups, "sizes": sizes}


def schedule_settings(scheduler: Any) -> dict[str, Any] | None:
    """Return the class and the settings of a schedule; None without a schedule."""
    if scheduler is None:
        return None
    settings = {
        k: plain(v)
        for k, v in vars(scheduler).items()
        if k not in (*_POSITION, *_MEASURED) and not callable(v)
    }
    return {"class": type(scheduler).__name__, "settings": settings}


def recorded_settings(content: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of optimizer and schedule that a checkpoint was trained with.

    Version 0.1 did not store them; they are derived from the states of optimizer and schedule.
    """
    if "training" in (content.get("semisupcon") or {}):
        return content["semisupcon"]["training"]
    groups = [
        dict(group)
        for group in (content.get("optimizer_states") or [{"param_groups": []}])[0]["param_groups"]
    ]
    sizes = [len(group.pop("params")) for group in groups]
    groups = [
        {k: plain(v) for k, v in group.items()}
        | {"lr": plain(group.pop("initial_lr", group["lr"]))}
        for group in groups
    ]
    groups = [{k: v for k, v in group.items() if k != "initial_lr"} for group in groups]
    schedules = content.get("lr_schedulers") or []
    settings = (
        {k: plain(v) for k, v in schedules[0].items() if k not in (*_POSITION, *_MEASURED)}
        if schedules
        else {}
    )
    schedule = {"class": None, "settings": settings} if schedules else None
    return {"optimizer": {"class": None, "groups": groups, "sizes": sizes}, "schedule": schedule}


def settle(
    optimizer: Optimizer,
    scheduler: Any,
    fresh: Any,
    configured: dict[str, Any],
    content: dict[str, Any],
) -> None:
    """Apply the settings that have changed since the checkpoint to optimizer and schedule.

    Args:
        optimizer: optimizer with the state restored from ``content``.
        scheduler: the configured schedule, before its state is restored; None without a schedule.
        fresh: function that builds the schedule for an optimizer.
        configured: ``{"optimizer": ..., "schedule": ...}`` from `optimizer_settings` and
            `schedule_settings`.
        content: content of the checkpoint.
    """
    before = recorded_settings(content)
    for group, old, new in zip(
        optimizer.param_groups,
        before["optimizer"]["groups"],
        configured["optimizer"]["groups"],
        strict=True,
    ):
        for name, value in new.items():
            if name not in _PER_STEP and old.get(name) != value:
                group[name] = tuple(value) if isinstance(group.get(name), tuple) else value
    rates = [
        [group["lr"] for group in part["optimizer"]["groups"]] for part in (before, configured)
    ]
    states = content.get("lr_schedulers") or []
    if scheduler is None:
        if rates[0] != rates[1] or before["schedule"] is not None:
            _set_rates(optimizer, rates[1])
    elif (
        rates[0] == rates[1]
        and states
        and _same_schedule(before["schedule"], configured["schedule"], scheduler)
    ):
        scheduler.load_state_dict(states[0])
    elif isinstance(scheduler, ReduceLROnPlateau):
        if states and "num_bad_epochs" in states[0]:
            scheduler.load_state_dict(
                {k: states[0][k] for k in (*_MEASURED, "last_epoch") if k in states[0]}
            )
        if rates[0] != rates[1]:
            _set_rates(optimizer, rates[1])
    else:
        _continue(optimizer, scheduler, fresh, rates[1], steps_of(states, content))


def _same_schedule(old: dict[str, Any] | None, new: dict[str, Any], scheduler: Any) -> bool:
    if old is None or old["class"] not in (None, new["class"]):
        return False
    # Settings of `_Closed` schedules are not restored, so their differences do not matter.
    spared = scheduler.settings if isinstance(scheduler, _Closed) and old["class"] is None else ()
    theirs, ours = (
        {k: v for k, v in part["settings"].items() if k not in spared} for part in (old, new)
    )
    return (
        all(ours.get(k) == v for k, v in theirs.items()) if old["class"] is None else theirs == ours
    )


def steps_of(states: list[dict[str, Any]], content: dict[str, Any]) -> int:
    """Return the number of steps that the schedule of a checkpoint has made."""
    return (
        int(states[0].get("last_epoch", content["global_step"]))
        if states
        else int(content["global_step"])
    )


def _set_rates(optimizer: Optimizer, rates: list[float]) -> None:
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
        group.pop("initial_lr", None)


def _continue(
    optimizer: Optimizer, scheduler: Any, fresh: Any, rates: list[float], steps: int
) -> None:
    """Advance a new schedule by ``steps``, as if the run had started with this schedule."""
    shadow = torch.optim.SGD(
        [{"params": [nn.Parameter(torch.zeros(()))], "lr": rate} for rate in rates], lr=rates[0]
    )
    for mine, theirs in zip(shadow.param_groups, optimizer.param_groups, strict=True):
        mine.update(
            {k: v for k, v in theirs.items() if k not in _PER_STEP and k in ("betas", "momentum")}
        )
    advanced = fresh(shadow)
    if isinstance(advanced, _Closed):
        advanced.last_epoch, advanced._step_count = steps, steps + 1
        for group, rate in zip(shadow.param_groups, advanced.get_lr(), strict=True):
            group["lr"] = rate
        advanced._last_lr = [group["lr"] for group in shadow.param_groups]
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Torch warns because the optimizer makes no steps.
            for _ in range(steps):
                advanced.step()
    scheduler.load_state_dict(advanced.state_dict())
    for mine, theirs in zip(optimizer.param_groups, shadow.param_groups, strict=True):
        mine["lr"] = theirs["lr"]
        mine |= {
            k: v
            for k, v in theirs.items()
            if k in ("initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum")
        }
