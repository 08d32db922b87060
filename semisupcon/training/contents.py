"""Check the content of an untrusted checkpoint before a run resumes from it."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from semisupcon.configuration import read_yaml
from semisupcon.errors import CheckpointError, UserError, first_line


def check_run(content: dict[str, Any], path: Path) -> None:
    """Check that a checkpoint has all parts, with the right types.

    Raises:
        CheckpointError: for the first part that is missing or has a wrong type.
    """
    written = content.get("semisupcon", {})
    sound = {
        "state_dict": isinstance(content.get("state_dict"), Mapping),
        "global_step": _is_count(content.get("global_step")),
        "epoch": _is_count(content.get("epoch")),
        "optimizer_states": _are_states(content.get("optimizer_states", []), "param_groups"),
        "lr_schedulers": _are_states(content.get("lr_schedulers", [])),
        "callbacks": _is_named(content.get("callbacks", {})),
        "loops": _is_named(content.get("loops", {})),
        "semisupcon": isinstance(written, Mapping)
        and all(
            written.get(k) is None or isinstance(written[k], Mapping)
            for k in ("config", "training", "facts")
        ),
    }
    if bad := [name for name, is_sound in sound.items() if not is_sound]:
        what = (
            f"its {bad[0]} has the type {type(content[bad[0]]).__name__} or unexpected parts"
            if bad[0] in content
            else f"it has no {bad[0]}"
        )
        raise CheckpointError(
            f"{path} cannot be resumed: {what}.\nIt is damaged, or has only a model: start from "
            f"its weights with --model.init_from {path}"
        )


def configuration_of(content: dict[str, Any], file: Path) -> dict[str, Any] | None:
    """Return the configuration that a checkpoint was trained with, or None if it is unknown.

    Checkpoints of version 0.1 do not contain it. For them it is read from ``file``, if this exists.

    Raises:
        ConfigError: if the file is not valid YAML.
    """
    before = (content.get("semisupcon") or {}).get("config")
    return read_yaml(file) if before is None and file.is_file() else before


@contextmanager
def parts_of(path: Path) -> Iterator[None]:
    """Context manager that converts all errors in its block to a `CheckpointError`.

    The values in an untrusted file may have any type and size, so code that uses them may fail with
    any exception.

    Raises:
        CheckpointError: for any exception in the block that is not a `UserError`.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be resumed, its parts are damaged: {type(error).__name__}: "
            f"{first_line(error, 160)}"
        ) from error


def check_optimizer(state: dict[str, Any], optimizer: Optimizer, path: Path) -> None:
    """Check that an optimizer can make a step with the state of a checkpoint.

    Args:
        state: optimizer state from the checkpoint.
        optimizer: optimizer of a copy of the model, whose weights may change.
        path: path of the checkpoint.

    Raises:
        CheckpointError: if the optimizer fails with this state.
    """

    def step() -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        optimizer.step(lambda: 0.0)

    try:
        step()
    except Exception:  # The optimizer cannot step without real gradients: nothing to check.
        return
    try:
        # Load a copy: a step changes the tensors of the state, which the run needs.
        optimizer.load_state_dict(copy.deepcopy(state))
        step()
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be resumed: the state of its optimizer is damaged: "
            f"{type(error).__name__}: {first_line(error, 160)}"
        ) from error


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_states(value: Any, *keys: str) -> bool:
    return isinstance(value, list) and all(
        isinstance(v, Mapping) and all(isinstance(v.get(key), list) for key in keys) for v in value
    )


def _is_named(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(part, Mapping) for part in value.values())
