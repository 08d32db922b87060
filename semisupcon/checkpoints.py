"""Save and load, safely: nothing that a file says is ever executed.

A training checkpoint (``.ckpt``) is Lightning's own, with the written form of encoder and criterion beside the weights; an exported
model is a folder with ``model.safetensors`` and ``config.json``. Files appear under their final name only when complete.
"""

import json
import pickle
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from semisupcon.batch import DataFacts
from semisupcon.errors import CheckpointError, UserError, first_line
from semisupcon.files import atomic_open, make_folders, write_text
from semisupcon.locks import folder_lock
from semisupcon.spec import build, spec_of

Model = TypeVar("Model", bound=nn.Module)
FORMAT = 2  # of checkpoints and exports: 1 (version 0.1) names classes by import paths, 2 by public names
BEST, LAST = "best.ckpt", "last.ckpt"
AVERAGED = "averaged.ckpt"  # weights that stochastic weight averaging made at the end of training
REQUEUED = "hpc_ckpt_*.ckpt"  # by Lightning, when it requeues a job of SLURM
WEIGHTS, CONFIG = "model.safetensors", "config.json"


def save_atomically(content: Any, path: str | Path) -> None:
    """``torch.save`` that leaves an older file whole if the process crashes or the disk is full.

    Raises:
        DiskError: if the disk is full or read-only.
    """
    with atomic_open(path, "wb", needed=_bytes_of(content)) as file:
        torch.save(content, file)


def _bytes_of(content: Any) -> int:
    """What the tensors of a checkpoint take."""
    if isinstance(content, torch.Tensor):
        return content.nbytes
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, list | tuple) else ()
    return sum(map(_bytes_of, parts))


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a ``.ckpt`` file, tensors and plain types only.

    Raises:
        CheckpointError: if it is missing, cut off or damaged, or holds anything that would have to be executed to be loaded.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"No checkpoint at {path}.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        if _is_archive(path):
            raise CheckpointError(f"{path} is a zip archive; unpack it first.") from error
        said = str(error).lower()
        # The word of torch for a class or call that is not plain data; "operand" it also says of any byte that begins no instruction.
        if "unsupported" in said and ("operand" not in said or _is_pickled(path)):
            raise CheckpointError(f"{path} holds more than tensors and plain values; it was refused and nothing was run.") from error
        reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        raise CheckpointError(f"{path} is no checkpoint, or one that is cut off or damaged{reason}.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no model but a {type(content).__name__}.")
    return content


def _is_archive(path: Path) -> bool:
    """Whether it is a zip file, but not one as ``torch.save`` writes it."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return not any(name.endswith("/data.pkl") for name in archive.namelist())


def _is_pickled(path: Path) -> bool:
    """Whether it begins as ``torch.save`` and ``pickle`` begin their files."""
    with path.open("rb") as file:
        return file.read(1) == b"\x80" or zipfile.is_zipfile(file)


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
        CheckpointError: if there is none, it is damaged or unsafe, or its weights do not fit the encoder it names.
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
    return load_weights(build(spec, trust), weights, path).eval()


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
        criterion.connect(encoder)
        criterion.prepare(facts_from(written["facts"]))
    except UserError:
        raise
    except Exception as error:  # What the file says may have any type and size.
        raise CheckpointError(f"{path} does not describe its heads: {first_line(error, 200)}") from error
    return encoder, load_weights(criterion, _below(_state(content, path), "criterion."), path).eval()


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
    config = {"format": FORMAT, "encoder": spec_of(encoder), "about": about or {}}
    with folder_lock(folder, "export", "give another folder", wait=60):  # Both files are of one encoder.
        # Its own save_file writes under another temporary name.
        with atomic_open(folder / WEIGHTS, "wb", needed=_bytes_of(weights)) as file:
            file.write(save(weights))
        write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")
    return folder


def _read_exported(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config, weights = json.loads((folder / CONFIG).read_text()), load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError, RecursionError) as error:
        raise CheckpointError(f"{folder} is no complete exported model: {first_line(error, 200)}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{folder / CONFIG} holds no description but a {type(config).__name__}.")
    check_format(config.get("format", 1), folder / CONFIG)
    return config, weights


def _below(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
