"""Load the encoders to be probed, and build untrained encoders for comparison.

An encoder comes from a checkpoint, from the class path of any module, or from the name of a
baseline (`semisupcon.probing.baselines`). The untrained encoder with the same architecture is
called "random" in tables. The batch norm layers of a new network divide by 1, so the results would
depend more on the initialisation than on the architecture. Therefore the running statistics of an
untrained encoder are measured on the training clips of each task, without labels.
"""

import copy
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from semisupcon.batch_norm import statistics_measured, tracking
from semisupcon.checkpoints import load_encoder, load_parts
from semisupcon.encoders.base import WHOLE, Encoder, freeze
from semisupcon.errors import ConfigError
from semisupcon.frontends import Normalization
from semisupcon.hub import address_of, is_hub
from semisupcon.probing.baselines import FOLDER, extractor, in_transformers_folder, is_named
from semisupcon.probing.baselines.base import Extractor
from semisupcon.probing.embeddings.any_module import (
    class_of,
    from_class,
    from_yaml,
    read_description,
)
from semisupcon.probing.embeddings.identity import described, foreign_classes
from semisupcon.probing.embeddings.subject import Subject
from semisupcon.probing.embeddings.tasks import named
from semisupcon.probing.embeddings.untrained import seeded, untrained
from semisupcon.spec import remake

if TYPE_CHECKING:
    from semisupcon.objectives.base import Criterion

RANDOM = "random"


def load_subject(
    text: str, representation: str = "embedding", trust: Sequence[str] = ()
) -> Subject:
    """Load a pretrained encoder and freeze it.

    Args:
        text: a checkpoint, run folder or exported folder; the name of a baseline; the class path of
            an encoder, which is used as constructed; or a YAML file that describes any module
            (`semisupcon.probing.embeddings.any_module`). ``name=text`` sets the name in tables.
        representation: name of the representation.
        trust: modules outside this package whose classes may be named.

    Raises:
        CheckpointError: if the file is missing, damaged, or not a model of semisupcon, or a class
            is not trusted or cannot be imported.
        ConfigError: for an unknown representation, with a list of the known representations.
    """
    name, what = named(text)
    if is_hub(what) and name == what:
        name = address_of(what).repo.rpartition("/")[2]
    if in_transformers_folder(what):
        name = name if name != what else _short_name(Path(what))
        what = f"{FOLDER}{what}"
    if is_named(what):
        name = name if name != what else _short_name(Path(what.removeprefix(FOLDER)))
        return _of_extractor(name, extractor(what), representation)
    if Path(what).suffix in (".yaml", ".yml"):
        name = name if name != what else Path(what).stem
        content = read_description(Path(what))
        path = str(content["class_path"])
        if is_named(path) or path == "hf":
            made = extractor(path, content["init_args"], Path(what).parent)
            return _of_extractor(name, made, representation)
        found = from_yaml(Path(what), trust)
        source = "pretrained" if content.get("weights") else "as constructed"
    elif not Path(what).exists() and _is_class_path(what):
        found, source = from_class(class_of(what, trust)), "as constructed"
    else:
        return _from_checkpoint(
            name if name != what else _short_name(Path(what)), what, representation, trust
        )
    return Subject(
        name,
        freeze(found.encoder),
        source,
        _checked(found.encoder, representation, ()),
        make=found.make,
        described=found.described,
        shape=found.shape,
    )


def _from_checkpoint(name: str, what: str, representation: str, trust: Sequence[str]) -> Subject:
    """Load a representation of the encoder of a checkpoint, run folder or exported folder."""
    encoder = cast("Encoder", load_encoder(what, trust))
    head, task = None, None
    if representation not in (*WHOLE, *encoder.tasks):
        encoder, criterion = cast("tuple[Encoder, Criterion]", load_parts(what, trust))
        heads = criterion.representations()
        _checked(encoder, representation, heads)
        head, task = (
            heads[representation].requires_grad_(False).eval(),
            criterion.reads(representation),
        )
    elif representation in WHOLE:
        representation = "embedding"
    make, code = None, ""
    if classes := foreign_classes(encoder):
        code = described(type(encoder).__qualname__, {}, classes)

        def make(seed: int) -> Encoder:
            return untrained(lambda: cast("Encoder", remake(encoder)), seed, name)

    return Subject(
        name, freeze(encoder), "pretrained", representation, head, task, None, make, code, code
    )


def _of_extractor(name: str, encoder: Extractor, representation: str) -> Subject:
    """Return the subject of a baseline, identified by its code and the version of its package."""
    text = json.dumps([encoder.version(), encoder.code()])
    return Subject(
        name,
        freeze(encoder),
        encoder.source,
        _checked(encoder, representation, ()),
        make=encoder.untrained if encoder.has_untrained else None,
        described=text,
        shape=text,
    )


def _is_class_path(text: str) -> bool:
    """Return whether a text can be the import path of a class, not the name of a missing file."""
    return (
        "." in text
        and all(part.isidentifier() for part in text.split("."))
        and Path(text).suffix not in (".ckpt", ".pt", ".pth", ".safetensors", ".bin", ".json")
    )


def random_twin(subject: Subject, seed: int) -> Subject:
    """Build an untrained encoder with the architecture of a subject, initialised from ``seed``.

    The statistics of its batch norm layers are not measured yet (`calibrated`).

    Raises:
        ConfigError: if the representation is a head, which untrained encoders do not have.
    """
    if subject.head is not None:
        raise ConfigError(
            f"'{RANDOM}' has no representation '{subject.representation}'; probe it on the "
            "embedding."
        )
    if subject.make:
        encoder = subject.make(seed)
    else:
        with seeded(seed):
            encoder = remake(subject.encoder)
    for trained, fresh in zip(subject.encoder.modules(), encoder.modules(), strict=True):
        # Copy the input statistics, which are a property of the data, not of training.
        if isinstance(trained, Normalization):
            fresh.load_state_dict(trained.state_dict())
    return Subject(
        RANDOM,
        freeze(encoder),
        "random",
        subject.representation,
        seed=seed,
        described=subject.shape,
        shape=subject.shape,
    )


def calibrated(subject: Subject, batches: Iterable[Tensor]) -> Subject:
    """Measure the batch-norm statistics of an encoder on batches of waveforms ``[N, 1, T]``.

    Returns a copy of the subject, whose statistics are averaged over the batches. Layers other than
    batch norm stay in eval mode. Without batch norm, the subject itself is returned.
    """
    encoder = copy.deepcopy(subject.encoder)
    if not tracking(encoder):
        return subject
    with statistics_measured(encoder), torch.no_grad():
        for batch in batches:
            encoder(batch)
    return replace(subject, encoder=freeze(encoder))


def _checked(encoder: Encoder, representation: str, heads: Iterable[str]) -> str:
    if representation in WHOLE:
        return "embedding"
    if representation in (*encoder.tasks, *heads):
        return representation
    offered = ", ".join(("embedding", *encoder.tasks, *heads))
    raise ConfigError(
        f"No representation '{representation}' in {type(encoder).__name__}; it has: {offered}."
    )


def _short_name(path: Path) -> str:
    """Return the name of a checkpoint for tables.

    This is the name of the run folder for "best.ckpt" and "last.ckpt", else the name of the file
    without its extension.
    """
    return (
        path.parent.name
        if path.suffix == ".ckpt" and path.stem in ("best", "last") and path.parent.name
        else path.stem
    )
