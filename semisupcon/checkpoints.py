"""Save and load checkpoints safely: loading a file never executes code from it.

A training checkpoint (``.ckpt``) is a Lightning checkpoint that also stores the specs (class and
arguments) of encoder and criterion. An exported model is a folder with ``model.safetensors`` and
``config.json``. Files are written atomically, and their checksums are verified when they are read.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from semisupcon.batch import DataFacts
from semisupcon.digests import DIGEST, digest_of_json
from semisupcon.errors import CheckpointError, UserError, first_line
from semisupcon.files import atomic_open, make_folders, write_text
from semisupcon.hub import CONFIG, WEIGHTS, local
from semisupcon.locks import folder_lock
from semisupcon.spec import build, spec_of
from semisupcon.torch_files import UNREADABLE, read_checkpoint, save_atomically

__all__ = ["read_checkpoint", "save_atomically"]  # re-exported

Model = TypeVar("Model", bound=nn.Module)
# Format 1 of checkpoints and exports (version 0.1) stores classes by import path, 2 by public name.
FORMAT = 2
BEST, LAST = "best.ckpt", "last.ckpt"
AVERAGED = "averaged.ckpt"  # weights of stochastic weight averaging at the end of training
REQUEUED = "hpc_ckpt_*.ckpt"  # written by Lightning before it requeues a SLURM job
_ENCODER = ("sample_rate", "segment_samples", "embedding_dim", "embed")  # of every encoder


def find_checkpoint(path: str | Path) -> Path:
    """Return the checkpoint file or exported folder that a path refers to.

    For a run folder, this is the best checkpoint, else the last one; for ``hf://user/name``, the
    downloaded folder. Other paths are returned unchanged.

    Raises:
        CheckpointError: if no checkpoint is found. The message contains the path.
    """
    path = Path(local(path))
    if path.is_file() or (path / CONFIG).is_file():
        return path
    for name in (BEST, LAST):
        if (path / name).is_file():
            return path / name
    raise CheckpointError(
        f"No checkpoint at {path}.\nExpected a .ckpt file, a run folder with {BEST} or {LAST}, or "
        f"an exported folder with {CONFIG}."
    )


def load_encoder(path: str | Path, trust: Sequence[str] = ()) -> nn.Module:
    """Load the encoder of a checkpoint, run folder or exported folder, in eval mode on the CPU.

    Args:
        path: checkpoint, run folder or exported folder, or ``hf://user/name[@revision]``.
        trust: modules outside this package whose classes the file may name.

    Raises:
        CheckpointError: if the file is missing, damaged or unsafe, or if its weights do not match
            the encoder or are not finite.
    """
    path = find_checkpoint(path)
    if path.is_dir():
        config, weights = read_exported(path)
        spec = config.get("encoder")
    else:
        content = read_checkpoint(path)
        spec = _written(content, path).get("encoder")
        weights = _below(_state(content, path), "encoder.")
    if spec is None:
        raise CheckpointError(
            f"{path} was not made by semisupcon.\nFor published checkpoints of other systems: "
            "semisupcon import --help"
        )
    encoder = build(spec, trust)
    if not (isinstance(encoder, nn.Module) and all(hasattr(encoder, name) for name in _ENCODER)):
        raise CheckpointError(f"{path} is damaged: its encoder is described as {_short(spec)}.")
    _check_finite(encoder, weights, path)
    return load_weights(encoder, weights, path).eval()


def load_parts(path: str | Path, trust: Sequence[str] = ()) -> tuple[nn.Module, nn.Module]:
    """Load encoder and criterion (with heads) of a training checkpoint, both in eval mode.

    Raises:
        CheckpointError: for the reasons given in `load_encoder`, and for an exported folder, which
            contains only the encoder.
    """
    path = find_checkpoint(path)
    if path.is_dir():
        raise CheckpointError(
            f"{path} is an exported encoder without heads; give the training checkpoint."
        )
    content = read_checkpoint(path)
    encoder = load_encoder(path, trust)
    written = _written(content, path)
    try:
        criterion = build(written["criterion"], trust)
        if not isinstance(criterion, nn.Module):
            raise CheckpointError(
                f"{path} is damaged: its criterion is described as {_short(criterion)}."
            )
        # `Criterion` is in a higher layer, so its type is not available here.
        described: Any = criterion
        described.connect(encoder)
        described.prepare(facts_from(written["facts"]))
    except UserError:
        raise
    except Exception as error:  # Values in an untrusted file may have any type and size.
        raise CheckpointError(
            f"{path} does not describe its heads: {first_line(error, 200)}"
        ) from error
    weights = _below(_state(content, path), "criterion.")
    _check_finite(criterion, weights, path)
    return encoder, load_weights(criterion, weights, path).eval()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]} ..."


def _written(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the specs and data properties in a checkpoint; {} for files of other programs."""
    written = content.get("semisupcon", {})
    if not isinstance(written, dict):
        raise CheckpointError(
            f"{path} is damaged: the description of the model is a {type(written).__name__}."
        )
    check_format(written.get("version", 1) if written else 1, path)
    return written


def check_format(version: Any, path: str | Path) -> None:
    """Refuse a file that a later version of this package has written.

    Raises:
        CheckpointError: if the format number is newer than this version, or invalid.
    """
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise CheckpointError(
            f"{path} is damaged: its format is {version!r}, and formats are numbered from 1."
        )
    if version > FORMAT:
        raise CheckpointError(
            f"{path} has format {version}; this version of semisupcon reads formats up to "
            f"{FORMAT}.\nInstall a newer semisupcon to read it."
        )


def _state(content: dict[str, Any], path: Path) -> dict[str, torch.Tensor]:
    state = content.get("state_dict", {})
    if not isinstance(state, dict) or not all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()
    ):
        raise CheckpointError(f"{path} is damaged: its state_dict is not a dictionary of tensors.")
    return state


def plain_facts(facts: DataFacts) -> dict[str, Any]:
    """Convert the properties of the data that the heads need to plain types."""
    return {
        "classes": list(facts.classes),
        "kind": facts.kind,
        "operators": list(facts.operators),
        "parameter_names": [list(names) for names in facts.parameter_names],
    }


def facts_from(plain: dict[str, Any]) -> DataFacts:
    """Convert the output of `plain_facts` back to a `DataFacts`."""
    classes = tuple(plain["classes"])
    names = tuple(tuple(names) for names in plain["parameter_names"])
    return DataFacts(classes, plain["kind"], tuple(plain["operators"]), names)


def load_weights(module: Model, weights: dict[str, torch.Tensor], source: str | Path) -> Model:
    """Load weights into a module and return it. Names and shapes must match exactly.

    Raises:
        CheckpointError: if tensors are missing, unknown or of another shape. The message names the
            first of them.
    """
    problem = ""
    try:
        loaded = module.load_state_dict(weights, strict=False)
        parts = {"missing": loaded.missing_keys, "unknown": loaded.unexpected_keys}
        problem = "; ".join(
            f"{len(names)} {what} ({', '.join(sorted(names)[:3])})"
            for what, names in parts.items()
            if names
        )
    except RuntimeError as error:
        shapes = re.findall(r"size mismatch for ([\w.]+)", str(error))
        problem = f"{len(shapes)} of another shape ({', '.join(shapes[:3])})"
    if problem:
        raise CheckpointError(
            f"The weights in {source} do not match {type(module).__name__}: {problem}."
        )
    return module


def _check_finite(module: nn.Module, weights: dict[str, torch.Tensor], source: Path) -> None:
    """Refuse tensors with NaN or infinite values, unless the untrained module has them too."""
    spoilt = [name for name, value in weights.items() if not value.isfinite().all()]
    fresh = module.state_dict() if spoilt else {}
    spoilt = [name for name in spoilt if name not in fresh or fresh[name].isfinite().all()]
    if spoilt:
        raise CheckpointError(
            f"{len(spoilt)} of {len(weights)} tensors in {source} have NaN or infinite values, the "
            f"first is {spoilt[0]}.\n"
            "The run diverged, or the file is damaged. Use an earlier checkpoint."
        )


def make_folder(path: str | Path) -> Path:
    """Create a folder and its parents.

    Raises:
        UserError: if the folder cannot be created, for example because a file has the same name.
    """
    folder = Path(path)
    try:
        make_folders(folder)
    except OSError as error:
        raise UserError(
            f"--out must be a folder, but it cannot be created: {folder}: {error.strerror}."
        ) from error
    return folder


def export_encoder(
    encoder: nn.Module, folder: str | Path, about: dict[str, Any] | None = None
) -> Path:
    """Write an encoder as ``model.safetensors`` and ``config.json``.

    Args:
        encoder: a `Recorded` encoder.
        folder: folder to write; created if needed.
        about: further values of plain types for ``config.json`` (source, licence, results).
    """
    from safetensors.torch import save

    folder = make_folder(folder)
    # safetensors cannot write tensors that share memory, such as tied weights.
    weights = {k: v.detach().cpu().clone().contiguous() for k, v in encoder.state_dict().items()}
    written = save(weights)
    config = {"format": FORMAT, "encoder": spec_of(encoder)}
    # "about" may be edited, so it is not part of the digest.
    config |= {
        DIGEST: digest_of_json(json.loads(json.dumps(config)), written),
        "about": about or {},
    }
    # The lock ensures that both files are from the same encoder.
    with folder_lock(folder, "export", "give another folder", wait=60):
        # `save_file` of safetensors is not used, because its temporary files have other names.
        with atomic_open(folder / WEIGHTS, "wb", needed=len(written)) as file:
            file.write(written)
        write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")
    return folder


def read_exported(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return the content of an exported folder; raises a CheckpointError if it is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config, weights = json.loads((folder / CONFIG).read_text()), load_file(folder / WEIGHTS)
    except (SafetensorError, *UNREADABLE) as error:
        raise CheckpointError(
            f"{folder} is not a complete exported model: {first_line(error, 200)}"
        ) from error
    if not isinstance(config, dict):
        raise CheckpointError(
            f"{folder / CONFIG} must hold a dictionary, got a {type(config).__name__}."
        )
    check_format(config.get("format", 1), folder / CONFIG)
    described = {name: config[name] for name in ("format", "encoder") if name in config}
    if DIGEST in config and config[DIGEST] != digest_of_json(described, folder / WEIGHTS):
        raise CheckpointError(
            f"{folder} is damaged: {CONFIG} or {WEIGHTS} was changed after the export.\n"
            f'Export it again. If you have edited {CONFIG} on purpose, remove its "{DIGEST}".'
        )
    return config, weights


def _below(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
