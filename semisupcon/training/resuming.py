"""Check that the options of a resumed run match its checkpoint, and list the changed options.

`check` refuses changes that do not match the stored state, such as another optimizer or other
parameters. Other changes take effect (`semisupcon.training.settling`).
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from semisupcon.checkpoints import facts_from
from semisupcon.errors import CheckpointError
from semisupcon.spec import spec_of, with_modules
from semisupcon.training.contents import check_optimizer, check_run, parts_of
from semisupcon.training.optimization import optimizer_of
from semisupcon.training.settling import optimizer_settings, recorded_settings


def check(content: dict[str, Any], model: Any, path: Path) -> None:
    """Check that a checkpoint matches a model and its optimizer.

    Args:
        content: content of the checkpoint.
        model: an `Objective`; it is not modified.
        path: path of the checkpoint, for messages.

    Raises:
        CheckpointError: if an option has changed that a resumed run must keep, or if a part of the
            checkpoint is damaged.
    """
    check_run(content, path)
    with parts_of(path):
        _check(content, model, path)


def _check(content: dict[str, Any], model: Any, path: Path) -> None:
    written, state = content.get("semisupcon") or {}, content.get("state_dict") or {}
    trial = copy.deepcopy(model)
    _same_class(written.get("encoder"), trial.encoder, "model.encoder", path)
    _same_class(written.get("criterion"), trial.criterion, "model.criterion", path)
    if written.get("facts"):
        trial.criterion.prepare(facts_from(written["facts"]))
    for part in ("encoder", "criterion"):
        _same_shapes(_below(state, part), getattr(trial, part), written.get(part), part, path)
    _same_optimizer(content, optimizer_of(trial), path)


def _below(state: dict[str, torch.Tensor], part: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(f"{part}."): v for k, v in state.items() if k.startswith(f"{part}.")}


def _same_class(written: Any, module: nn.Module, option: str, path: Path) -> None:
    name = str((written or {}).get("class_path", type(module).__name__)).rpartition(".")[2]
    if name != type(module).__name__:
        raise CheckpointError(
            f"--{option} is {type(module).__name__}, but the checkpoint has {name}; a resumed run "
            f"keeps its class.\nCheckpoint: {path}\n"
            f"To start a new run from its weights, leave out --resume_from_checkpoint."
        )


def _same_shapes(
    theirs: dict[str, torch.Tensor], module: nn.Module, written: Any, part: str, path: Path
) -> None:
    ours = module.state_dict()
    missing, unknown = sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
    shapes = [
        f"{k} {list(theirs[k].shape)} -> {list(ours[k].shape)}"
        for k in ours
        if k in theirs and theirs[k].shape != ours[k].shape
    ]
    problems = {
        "other shapes": shapes,
        "not in the checkpoint": missing,
        "only in the checkpoint": unknown,
    }
    if any(problems.values()):
        told = "; ".join(
            f"{what}: {', '.join(names[:3])}{', ...' * (len(names) > 3)}"
            for what, names in problems.items()
            if names
        )
        changed = changes(
            {f"--model.{part}": with_modules(written)},
            {f"--model.{part}": with_modules(spec_of(module))},
        )
        raise CheckpointError(
            f"The options give another {part} than the checkpoint: "
            f"{', '.join(changed[:3]) or f'--model.{part}'}.\n"
            f"Weights of {told}.\nCheckpoint: {path}"
        )


def _same_optimizer(content: dict[str, Any], optimizer: Optimizer, path: Path) -> None:
    states = content.get("optimizer_states") or []
    if not states:
        return
    recorded, ours = recorded_settings(content)["optimizer"], optimizer_settings(optimizer)
    if recorded["sizes"] != ours["sizes"]:
        raise CheckpointError(
            f"The optimizer would have parameter groups of {ours['sizes']} tensors, the checkpoint "
            f"has {recorded['sizes']}.\n"
            "Keep --model.decay_norm_and_bias, the frozen parameters and the model of the "
            f"run.\nCheckpoint: {path}"
        )
    # Checkpoints of version 0.1 have no optimizer class: compare the names of hyperparameters.
    names = [
        set(group) - {"initial_lr", "swa_lr"}
        for group in (recorded["groups"][0], ours["groups"][0])
    ]
    if recorded["class"] not in (None, ours["class"]) or (
        recorded["class"] is None and names[0] != names[1]
    ):
        raise CheckpointError(
            f"--model.optimizer is {ours['class']}, but the checkpoint has the state of "
            f"{recorded['class'] or 'another optimizer'}.\n"
            "A resumed run keeps its optimizer class; hyperparameters may change.\nCheckpoint: "
            f"{path}"
        )
    check_optimizer(states[0], optimizer, path)


def changes(
    before: Mapping[str, Any], now: Mapping[str, Any], spared: Sequence[str] = ()
) -> list[str]:
    """List the options that differ between two configurations, each as ``name: old -> new``.

    Args:
        before, now: nested mappings of plain values.
        spared: names of options to leave out, or first parts of their names.
    """
    old, new = flat(before), flat(now)
    names = [n for n in dict.fromkeys([*old, *new]) if old.get(n) != new.get(n)]
    return [
        f"{n}: {old.get(n, 'not set')} -> {new.get(n, 'not set')}"
        for n in names
        if not n.startswith(tuple(spared))
    ]


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings to ``{"a.b": value}``.

    Names do not contain ``init_args``, as on the command line.
    """
    if not isinstance(config, Mapping):
        return {prefix: config}
    parts = (
        flat(v, prefix if k == "init_args" else f"{prefix}.{k}".lstrip("."))
        for k, v in config.items()
    )
    return {name: value for part in parts for name, value in part.items()}
