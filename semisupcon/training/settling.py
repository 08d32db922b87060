"""Optimizer and schedule of a resumed run: restored state, with the settings configured now.

Lightning restores the hyperparameters of optimizer and schedule from the checkpoint and overwrites
the configured ones. Here the state of a run (moments, step counts) is restored, and the settings
are the configured ones:

- An unchanged setting keeps its restored value, so an unchanged run continues bit for bit.
- A changed hyperparameter of the optimizer takes effect at the first step.
- A changed learning rate or schedule continues at the step of the checkpoint, as if the run had
  started with it.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from semisupcon.training.optimization import _Closed

# Attributes of a schedule that are state, not settings.
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
_MEASURED = ("best", "num_bad_epochs", "cooldown_counter")  # state of ReduceLROnPlateau
_PER_STEP = ("params", "lr", "initial_lr", "swa_lr")


def plain(value: Any) -> Any:
    """Convert a setting to numbers, text, lists and dictionaries for a checkpoint; other objects
    become their type's name.
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
    """Class, hyperparameters and group sizes of an optimizer before a schedule changes them."""
    groups = [
        {k: plain(v) for k, v in group.items() if k not in ("params", "initial_lr")}
        for group in optimizer.param_groups
    ]
    sizes = [len(group["params"]) for group in optimizer.param_groups]
    return {"class": type(optimizer).__name__, "groups": groups, "sizes": sizes}


def schedule_settings(scheduler: Any) -> dict[str, Any] | None:
    """Class and settings of a schedule; None without a schedule."""
    if scheduler is None:
        return None
    settings = {
        k: plain(v)
        for k, v in vars(scheduler).items()
        if k not in (*_POSITION, *_MEASURED) and not callable(v)
    }
    return {"class": type(scheduler).__name__, "settings": settings}


def recorded_settings(content: dict[str, Any]) -> dict[str, Any]:
    """Settings ``optimizer`` and ``schedule`` of a checkpoint.

    For version 0.1, they are derived from its state.
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
    """Apply configured settings that differ from the checkpoint's to a restored optimizer and its
    schedule.

    Args:
        optimizer: optimizer with the state restored from ``content``.
        scheduler: the configured schedule, not restored; None without one.
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
    # `_Closed` schedules use the configured settings anyway.
    spared = scheduler.settings if isinstance(scheduler, _Closed) and old["class"] is None else ()
    theirs, ours = (
        {k: v for k, v in part["settings"].items() if k not in spared} for part in (old, new)
    )
    return (
        all(ours.get(k) == v for k, v in theirs.items()) if old["class"] is None else theirs == ours
    )


def steps_of(states: list[dict[str, Any]], content: dict[str, Any]) -> int:
    """Number of steps of the schedule."""
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
    """Advance a schedule by ``steps``, as if the run had started with it."""
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
            warnings.simplefilter("ignore")  # Torch warns that the optimizer makes no steps.
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
