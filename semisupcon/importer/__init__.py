"""Import published checkpoints of CLMR, SemiSupCon, MT-SLVR and PANNs.

The command is ``semisupcon import <clmr|semisupcon|mtslvr|panns> FILE --out
DIR``. Files are read with ``weights_only=True``. Loading is strict: the file must have every tensor
of the model of this package, under its published name and with its shape, and every tensor of the
file must be used. Duplicates, and tensors that the published code never uses, are dropped and
reported.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from semisupcon.checkpoints import export_encoder, load_weights, make_folder
from semisupcon.digests import DIGEST, digest_of_json
from semisupcon.errors import CheckpointError, first_line
from semisupcon.files import atomic_open, write_text
from semisupcon.heads import Head
from semisupcon.importer import mtslvr, panns, samplecnn
from semisupcon.importer.reader import Imported, Reader, tensors
from semisupcon.locks import folder_lock
from semisupcon.spec import build, spec_of

SYSTEMS = {
    "clmr": samplecnn.clmr,
    "semisupcon": samplecnn.semisupcon,
    "mtslvr": mtslvr.mtslvr,
    "panns": panns.panns,
}
# Tensors in the file that the published code never uses: the last layer of encoders of SemiSupCon.
DEAD = {"semisupcon": ("fc.weight", "fc.bias")}
DROPPED = {"semisupcon": "never uses them", "clmr": "stores them twice"}
HEADS, HEADS_CONFIG = "heads.safetensors", "heads.json"


def import_checkpoint(system: str, path: str | Path) -> Imported:
    """Read a published checkpoint.

    Args:
        system: ``clmr``, ``semisupcon``, ``mtslvr`` or ``panns``.
        path: a training checkpoint, a state dictionary, or the state dictionary of a single head.

    Returns:
        The encoder and the heads, in evaluation mode.

    Raises:
        CheckpointError: if the file is missing, damaged, unsafe or of another system. If tensors
            are missing or unknown, the message lists all of them.
    """
    reader = Reader(path, tensors(path))
    imported = SYSTEMS[system](reader)
    dead = {reader.prefix + name for name in DEAD.get(system, ())}
    imported.dropped = sorted([*reader.copies, *(dead & reader.state.keys())])
    reader.refuse_problems(system, leftover=[name for name in reader.state if name not in dead])
    if imported.encoder is None and not imported.heads:
        raise CheckpointError(f"{path} holds no model of {system}: it has no tensors.")
    for module in imported.modules():
        module.eval()
    return imported


def write(imported: Imported, folder: str | Path, about: dict[str, str]) -> Path:
    """Write an encoder and heads as files for `semisupcon.checkpoints.load_encoder` and
    `load_heads`.

    Raises:
        UserError: if the folder cannot be created.
    """
    with folder_lock(make_folder(folder), "import", "give another --out"):
        return _write(imported, Path(folder), about)


def _write(imported: Imported, folder: Path, about: dict[str, str]) -> Path:
    from safetensors.torch import save

    if imported.encoder is not None:
        export_encoder(imported.encoder, folder, about)
    if imported.heads:
        weights = {
            f"{name}.{key}": value.contiguous()
            for name, head in imported.heads.items()
            for key, value in head.state_dict().items()
        }
        written = save(weights)
        with atomic_open(folder / HEADS, "wb") as file:
            file.write(written)
        specs = {name: spec_of(head) for name, head in imported.heads.items()}
        config = {
            "heads": specs,
            DIGEST: digest_of_json(json.loads(json.dumps(specs)), written),
            "about": about,
        }
        write_text(folder / HEADS_CONFIG, json.dumps(config, indent=2) + "\n")
    return folder


def load_heads(folder: str | Path, trust: Sequence[str] = ()) -> dict[str, Head]:
    """Return the heads of an imported model by name, in evaluation mode; {} if it has no heads.

    Raises:
        CheckpointError: if the files are damaged, or if they name classes outside this package and
            ``trust``.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    if not (folder / HEADS_CONFIG).is_file():
        return {}
    try:
        config, weights = json.loads((folder / HEADS_CONFIG).read_text()), load_file(folder / HEADS)
        specs = dict(config["heads"])
        if DIGEST in config and config[DIGEST] != digest_of_json(specs, folder / HEADS):
            raise ValueError("they are not what was written")
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        SafetensorError,
        RecursionError,
        MemoryError,
    ) as error:
        raise CheckpointError(f"{folder} holds damaged heads: {first_line(error, 160)}") from error
    heads: dict[str, Head] = {name: build(spec, trust) for name, spec in specs.items()}
    for name, head in heads.items():
        if not isinstance(head, Head):
            raise CheckpointError(
                f"{folder} holds damaged heads: {name!r} does not describe a head.",
            )
        load_weights(head, _below(weights, name), folder / HEADS).eval()
    return heads


def _below(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(f"{name}."): value
        for key, value in weights.items()
        if key.startswith(f"{name}.")
    }


def describe(module: torch.nn.Module) -> str:
    """Return a text with the class name and the number of parameters of a module."""
    return f"{type(module).__name__}, {sum(p.numel() for p in module.parameters()):,} parameters"
