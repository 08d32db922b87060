"""Load initial weights from a run, checkpoint or export, a published checkpoint, or timm.

``--model.init_from`` and ``--finetune.init_from`` accept a path, ``SYSTEM:FILE`` for a published
checkpoint (clmr, semisupcon, mtslvr, panns), ``timm:FILE`` for a state dictionary of the encoder's
timm model, or ``timm`` for weights that timm downloads. Code in files is never executed
(docs/security.md).
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from semisupcon.checkpoints import find_checkpoint, load_encoder, read_checkpoint
from semisupcon.encoders.vision import TimmEncoder
from semisupcon.errors import CheckpointError, ConfigError
from semisupcon.frontends import Normalization
from semisupcon.hub import local
from semisupcon.importer import SYSTEMS, import_checkpoint

log = logging.getLogger(__name__)


def read_weights(
    source: str,
    encoder: nn.Module,
    trust: Sequence[str] = (),
    option: str = "--model",
) -> dict[str, Tensor]:
    """Read initial weights; names are those of an `Objective` (``encoder.trunk...``,
    ``criterion...``).

    Args:
        source: value of ``init_from``, see the docstring of the module.
        encoder: encoder that will get the weights. For timm weights, it determines the timm model.
        trust: modules outside this package whose classes the file may name.
        option: section of the option ``init_from``, for messages.

    Raises:
        CheckpointError: if the file is missing, damaged or of another system.
        ConfigError: if the weights are from timm but the encoder is not.
    """
    system, colon, file = source.partition(":")
    if system == "timm" and not Path(source).exists():
        return {f"encoder.trunk.model.{k}": v for k, v in _timm(encoder, file, option).items()}
    if colon and system in SYSTEMS:
        imported = import_checkpoint(system, file)
        if imported.encoder is None:
            raise CheckpointError(
                f"{option}.init_from {source}: the file holds heads but no encoder.",
            )
        heads = {
            f"criterion.{name}.{k}": v
            for name, head in imported.heads.items()
            for k, v in head.state_dict().items()
        }
        return {f"encoder.{k}": v for k, v in imported.encoder.state_dict().items()} | heads
    path = find_checkpoint(Path(local(source)).expanduser())
    weights = {f"encoder.{k}": v for k, v in load_encoder(path, trust).state_dict().items()}
    if path.is_file():
        weights |= {
            k: v
            for k, v in read_checkpoint(path)["state_dict"].items()
            if k.startswith("criterion.")
        }
    return weights


def digest(source: str) -> str:
    """Return an identifier of initial weights: a hash of the file, or ``timm`` for a download."""
    system, colon, file = source.partition(":")
    if source == "timm" and not Path(source).exists():
        return source
    path = (
        Path(file).expanduser()
        if colon and system in (*SYSTEMS, "timm")
        else find_checkpoint(Path(local(source)).expanduser())
    )
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return hashlib.sha256(
        b"".join(hashlib.sha256(f.read_bytes()).digest() for f in files if f.is_file()),
    ).hexdigest()[:16]


def _timm(encoder: nn.Module, file: str, option: str) -> dict[str, Tensor]:
    if not isinstance(encoder, TimmEncoder):
        raise ConfigError(
            f"{option}.init_from timm needs an encoder from timm, but {type(encoder).__name__} is "
            "not from timm.",
        )
    if file:
        path = Path(file).expanduser()
        if path.suffix != ".safetensors":
            content = read_checkpoint(path)
            return {
                k: v for k, v in content.get("state_dict", content).items() if isinstance(v, Tensor)
            }
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"{option}.init_from {path} cannot be read: {str(error).splitlines()[0][:160]}",
            ) from error
    import timm

    try:
        return timm.create_model(encoder.model_name, pretrained=True).state_dict()
    except Exception as error:  # timm raises many types of errors
        raise CheckpointError(
            f"timm could not fetch the weights of {encoder.model_name}: "
            f"{' '.join(str(error).split())[:200]}\n"
            f"Give a local file: {option}.init_from timm:FILE"
        ) from error


def start_from(
    module: nn.Module,
    weights: Mapping[str, Tensor],
    parts: Sequence[str],
    strict: bool,
    source: str,
    option: str = "--model",
) -> None:
    """Copy the weights of some submodules into a module, and log loaded and left-out tensors.

    If a convolution has three input channels in the weights but one in the module, its weights are
    summed over the input channels, as timm does.

    Args:
        module: an `Objective`, or a module with submodules ``encoder`` and ``criterion``.
        weights: tensors by their names in the module, as `read_weights` returns them.
        parts: names of submodules, such as ``encoder``, ``encoder.trunk`` or
            ``criterion.projector``.
        strict: whether the weights must have every tensor of these parts, with its shape.
        source: origin of the weights, for messages.
        option: section of the option ``init_from``, for messages.

    Raises:
        ConfigError: if the module does not have a part.
        CheckpointError: if ``strict`` is set and tensors are missing. The message lists them.
    """
    state = module.state_dict()
    known = {name for name, _ in module.named_modules()}
    if unknown := [part for part in parts if part not in known]:
        raise ConfigError(
            f"{option}.init_parts names {unknown[0]}, which the model does not have. Its parts: "
            "encoder, encoder.trunk, criterion, ..."
        )
    below = tuple(f"{part}." for part in parts)
    wanted = {name: value for name, value in state.items() if name.startswith(below)}
    # The statistics of input waveforms are a property of the data. If the file does not have them,
    # use those of this run.
    of_data = tuple(
        f"{name}." for name, part in module.named_modules() if isinstance(part, Normalization)
    )
    taken, problems, measured = {}, [], []
    for name, value in wanted.items():
        found = weights.get(name)
        if (
            found is not None
            and found.ndim == value.ndim == 4
            and found.shape[1] == 3
            and value.shape[1] == 1
            and found.shape != value.shape
        ):
            found = found.sum(dim=1, keepdim=True)
        if found is None and name.startswith(of_data):
            measured.append(name)
        elif found is None:
            problems.append(f"{name} (not in the file)")
        elif found.shape != value.shape:
            problems.append(f"{name} ({list(found.shape)} in the file, {list(value.shape)} here)")
        else:
            taken[name] = found.to(value.dtype)
    left = sorted(name for name in weights if name not in taken)
    if strict and problems:
        raise CheckpointError(
            f"{len(problems)} of {len(wanted)} tensors of {', '.join(parts)} cannot be loaded from "
            f"{source}: {_few(problems)}.\n"
            f"Load the tensors that fit with {option}.init_strict false, or other parts with "
            f"{option}.init_parts."
        )
    with torch.no_grad():
        for name, value in taken.items():
            state[name].copy_(value)
    log.info("Started from %s: %d tensors loaded for %s.", source, len(taken), ", ".join(parts))
    told = {
        "kept as initialised": problems,
        "measured on the training clips": measured,
        "left out of the file": left,
    }
    for what, names in told.items():
        if names:
            log.info("  %d %s: %s", len(names), what, _few(names))


def freeze_parts(
    module: nn.Module,
    names: Sequence[str],
    option: str = "--model",
) -> list[nn.Module]:
    """Freeze submodules given by name (``encoder``, ``encoder.trunk.0``) and return them.

    The caller must keep the returned modules in eval mode.

    Raises:
        ConfigError: if the module has no submodule with a given name.
    """
    modules = dict(module.named_modules())
    if unknown := [name for name in names if name not in modules]:
        below = sorted(
            name for name in modules if name.startswith("encoder.") and name.count(".") <= 2
        )
        raise ConfigError(
            f"{option}.freeze names {unknown[0]}, which the model does not have. There are: "
            f"encoder, {_few(below, 12)}.",
        )
    return [modules[name].requires_grad_(False).eval() for name in names]


def _few(names: Sequence[Any], most: int = 4) -> str:
    return ", ".join(map(str, names[:most])) + (", ..." if len(names) > most else "")
