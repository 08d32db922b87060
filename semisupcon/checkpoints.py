"""Save and load, safely: nothing that a file says is ever executed.

A training checkpoint (``.ckpt``) is Lightning's own, with the written form of encoder and criterion beside the weights; an exported
model is a folder with ``model.safetensors`` and ``config.json``. Files appear under their final name only when complete, and are compared with
the checksums in them when they are read.
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
from semisupcon.locks import folder_lock
from semisupcon.spec import build, spec_of
from semisupcon.torch_files import UNREADABLE, read_checkpoint, save_atomically

__all__ = ["read_checkpoint", "save_atomically"]  # Part of the interface of this module.

Model = TypeVar("Model", bound=nn.Module)
FORMAT = 2  # of checkpoints and exports: 1 (version 0.1) names classes by import paths, 2 by public names
BEST, LAST = "best.ckpt", "last.ckpt"
AVERAGED = "averaged.ckpt"  # weights that stochastic weight averaging made at the end of training
REQUEUED = "hpc_ckpt_*.ckpt"  # by Lightning, when it requeues a job of SLURM
WEIGHTS, CONFIG = "model.safetensors", "config.json"
_ENCODER = ("sample_rate", "segment_samples", "embedding_dim", "embed")  # what tells an encoder from other modules


def find_checkpoint(path: str | Path) -> Path:
    """The file or exported folder that a path means: itself, or the best (else the last) checkpoint of a run folder.

    Raises:
        CheckpointError: when there is none, naming where it was looked for.
    """
    path = Path(path)
    if path.is_file() or (path / CONFIG).is_file():
        return path
    for name in (BEST, LAST):
        if (path / name).is_file():
            return path / name
    raise CheckpointError(
        f"No checkpoint at {path}.\nExpected a .ckpt file, a run folder with {BEST} or {LAST}, or an exported folder with {CONFIG}."
    )


def load_encoder(path: str | Path, trust: Sequence[str] = ()) -> nn.Module:
    """The encoder of a checkpoint, run folder or exported folder, in evaluation mode on the CPU.

    Args:
        path: where it is.
        trust: modules outside this package whose classes the file may name.

    Raises:
        CheckpointError: if there is none, it is damaged or unsafe, or its weights do not fit the encoder it names or are not finite.
    """
    path = find_checkpoint(path)
    if path.is_dir():
        config, weights = _read_exported(path)
        spec = config.get("encoder")
    else:
        content = read_checkpoint(path)
        spec = _written(content, path).get("encoder")
        weights = _below(_state(content, path), "encoder.")
    if spec is None:
        raise CheckpointError(
            f"{path} was not made by semisupcon.\nFor published checkpoints of other systems: python -m semisupcon import --help"
        )
    encoder = build(spec, trust)
    if not (isinstance(encoder, nn.Module) and all(hasattr(encoder, name) for name in _ENCODER)):
        raise CheckpointError(f"{path} is damaged: where its encoder is described, it describes {_short(spec)}.")
    _check_finite(encoder, weights, path)
    return load_weights(encoder, weights, path).eval()


def load_parts(path: str | Path, trust: Sequence[str] = ()) -> tuple[nn.Module, nn.Module]:
    """Encoder and criterion (with its heads) of a training checkpoint, both in evaluation mode.

    Raises:
        CheckpointError: as `load_encoder`; also for an exported folder, which keeps the encoder only.
    """
    path = find_checkpoint(path)
    if path.is_dir():
        raise CheckpointError(f"{path} is an exported encoder without heads; give the training checkpoint.")
    content = read_checkpoint(path)
    encoder = load_encoder(path, trust)
    written = _written(content, path)
    try:
        criterion = build(written["criterion"], trust)
        if not isinstance(criterion, nn.Module):
            raise CheckpointError(f"{path} is damaged: where its criterion is described, it describes {_short(criterion)}.")
        # `Criterion` lies in a layer above: its methods are not known here.
        described: Any = criterion
        described.connect(encoder)
        described.prepare(facts_from(written["facts"]))
    except UserError:
        raise
    except Exception as error:  # What the file says may have any type and size.
        raise CheckpointError(f"{path} does not describe its heads: {first_line(error, 200)}") from error
    weights = _below(_state(content, path), "criterion.")
    _check_finite(criterion, weights, path)
    return encoder, load_weights(criterion, weights, path).eval()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]} ..."


def _written(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """What this package wrote into a checkpoint beside the weights; empty for files of others."""
    written = content.get("semisupcon", {})
    if not isinstance(written, dict):
        raise CheckpointError(f"{path} is damaged: where the model is described, it holds a {type(written).__name__}.")
    check_format(written.get("version", 1) if written else 1, path)
    return written


def check_format(version: Any, path: str | Path) -> None:
    """Refuse what a later version of this package wrote.

    Raises:
        CheckpointError: for a newer format, or none at all.
    """
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise CheckpointError(f"{path} is damaged: its format is {version!r}, and formats are numbered from 1.")
    if version > FORMAT:
        raise CheckpointError(
            f"{path} has format {version}; this version of semisupcon reads formats up to {FORMAT}.\nInstall a newer semisupcon to read it."
        )


def _state(content: dict[str, Any], path: Path) -> dict[str, torch.Tensor]:
    state = content.get("state_dict", {})
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()):
        raise CheckpointError(f"{path} is damaged: its state_dict is no dictionary of tensors.")
    return state


def plain_facts(facts: DataFacts) -> dict[str, Any]:
    """What a checkpoint keeps of the data: enough to shape the heads again, no labels."""
    return {
        "classes": list(facts.classes),
        "kind": facts.kind,
        "operators": list(facts.operators),
        "parameter_names": [list(names) for names in facts.parameter_names],
    }


def facts_from(plain: dict[str, Any]) -> DataFacts:
    """The facts of `plain_facts`."""
    classes = tuple(plain["classes"])
    names = tuple(tuple(names) for names in plain["parameter_names"])
    return DataFacts(classes, plain["kind"], tuple(plain["operators"]), names)


def load_weights(module: Model, weights: dict[str, torch.Tensor], source: str | Path) -> Model:
    """Load strictly.

    Raises:
        CheckpointError: listing the first tensors that are missing, left over or of another shape.
    """
    problem = ""
    try:
        loaded = module.load_state_dict(weights, strict=False)
        parts = {"missing": loaded.missing_keys, "unknown": loaded.unexpected_keys}
        problem = "; ".join(f"{len(names)} {what} ({', '.join(sorted(names)[:3])})" for what, names in parts.items() if names)
    except RuntimeError as error:
        shapes = re.findall(r"size mismatch for ([\w.]+)", str(error))
        problem = f"{len(shapes)} of another shape ({', '.join(shapes[:3])})"
    if problem:
        raise CheckpointError(f"The weights in {source} do not fit {type(module).__name__}: {problem}.")
    return module


def _check_finite(module: nn.Module, weights: dict[str, torch.Tensor], source: Path) -> None:
    """Refuse weights and statistics that are not finite, where those of the untrained module are."""
    spoilt = [name for name, value in weights.items() if not value.isfinite().all()]
    fresh = module.state_dict() if spoilt else {}
    spoilt = [name for name in spoilt if name not in fresh or fresh[name].isfinite().all()]
    if spoilt:
        raise CheckpointError(
            f"{len(spoilt)} of {len(weights)} tensors in {source} hold NaN or infinite values, the first is {spoilt[0]}.\n"
            "The run diverged, or the file is damaged. Take an earlier checkpoint."
        )


def make_folder(path: str | Path) -> Path:
    """A folder to write to, made with those above it.

    Raises:
        UserError: if it cannot be made, where a file has its name for instance.
    """
    folder = Path(path)
    try:
        make_folders(folder)
    except OSError as error:
        raise UserError(f"--out names a folder, and none can be made at {folder}: {error.strerror}.") from error
    return folder


def export_encoder(encoder: nn.Module, folder: str | Path, about: dict[str, Any] | None = None) -> Path:
    """Write an encoder as ``model.safetensors`` and ``config.json``: no code, readable anywhere.

    Args:
        encoder: a `Recorded` encoder.
        folder: made if need be.
        about: plain facts kept beside it (where it comes from, licence, results).
    """
    from safetensors.torch import save

    folder = make_folder(folder)
    # Clones: safetensors refuses tensors that share memory, which tied weights do.
    weights = {k: v.detach().cpu().clone().contiguous() for k, v in encoder.state_dict().items()}
    written = save(weights)
    config = {"format": FORMAT, "encoder": spec_of(encoder)}
    # What is said about the model may be edited, and is no part of the digest.
    config |= {DIGEST: digest_of_json(json.loads(json.dumps(config)), written), "about": about or {}}
    with folder_lock(folder, "export", "give another folder", wait=60):  # Both files are of one encoder.
        # Its own save_file writes under another temporary name.
        with atomic_open(folder / WEIGHTS, "wb", needed=len(written)) as file:
            file.write(written)
        write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")
    return folder


def _read_exported(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config, weights = json.loads((folder / CONFIG).read_text()), load_file(folder / WEIGHTS)
    except (SafetensorError, *UNREADABLE) as error:
        raise CheckpointError(f"{folder} is no complete exported model: {first_line(error, 200)}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{folder / CONFIG} holds no description but a {type(config).__name__}.")
    check_format(config.get("format", 1), folder / CONFIG)
    described = {name: config[name] for name in ("format", "encoder") if name in config}
    if DIGEST in config and config[DIGEST] != digest_of_json(described, folder / WEIGHTS):
        raise CheckpointError(
            f"{folder} is damaged: {CONFIG} and {WEIGHTS} are not what was exported.\n"
            f'Export it again. If you have edited {CONFIG} on purpose, remove its "{DIGEST}".'
        )
    return config, weights


def _below(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
