"""Export an encoder as a folder: weights, specification, model card, head, training audio record.

The layout is that of Hugging Face: ``config.json``, ``model.safetensors``, ``README.md``.
"""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from torch import nn

from semisupcon.checkpoints import export_encoder, find_checkpoint, load_encoder
from semisupcon.configuration import read_yaml
from semisupcon.errors import UserError
from semisupcon.files import atomic_open, write_text
from semisupcon.frontends import Frontend, Normalization
from semisupcon.hub import CARD, CONFIG, HEAD, RECORD, WEIGHTS
from semisupcon.outputs import check_folder, refuse_existing
from semisupcon.torch_files import read_checkpoint
from semisupcon.versions import versions_of

PACKAGES = ("semisupcon", "torch", "numpy", "soundfile", "soxr", "timm")
SETTINGS = {  # option of a run -> name in the card
    "model.criterion": "objective",
    "model.optimizer": "optimizer",
    "data.init_args.batch_size": "batch size",
    "data.init_args.sl_task": "labelled task",
    "data.init_args.ssl_task": "unlabelled task",
    "data.init_args.aug_list": "augmentations",
    "data.init_args.severity_modifier": "strength of augmentations",
    "data.init_args.supervised_data_p": "share of labels",
    "seed_everything": "seed",
}


def export_folder(given: Namespace, stated: dict[str, str]) -> str:
    """Export an encoder as a folder, and return a sentence about it.

    Args:
        given: options of ``semisupcon export``.
        stated: what the user states in the card, by option.

    Raises:
        UserError: if the checkpoint, head or results cannot be read, or files exist.
    """
    out, card = Path(given.out), not given.no_card
    names = [WEIGHTS, CONFIG, RECORD, *([CARD] if card else []), *([HEAD] if given.head else [])]
    refuse_existing([out / name for name in names], given.overwrite)
    check_folder(given.out)
    source = find_checkpoint(given.run)
    encoder = load_encoder(source, given.trust)
    head, about = head_for(given, source)
    # The card is written in full before any file.
    text = card_of(given, stated, source, encoder, about).text() if card else ""
    folder = export_encoder(encoder, out, {"exported_from": source.name, "run": run_name(source)})
    if (source if source.is_dir() else source.parent).joinpath(RECORD).is_file():
        # Imported here, because only these lines need pandas.
        from semisupcon.data.heard import find_record, write_record

        if (heard := find_record(source)) is not None:
            write_record(heard, folder / RECORD)
    if head:
        with atomic_open(folder / HEAD, "wb") as file:
            file.write(head)
    kept = ""
    if card and not is_other(folder / CARD):
        write_text(folder / CARD, text)
    elif card:
        kept = f" {CARD} was there before and is no model card of semisupcon; it is kept."
    count = sum(p.numel() for p in encoder.parameters())
    return f"Wrote {folder}: {type(encoder).__name__}, {count:,} parameters.{kept}"


def run_name(source: Path) -> str:
    """Return the name of the run of a checkpoint, or of an exported folder."""
    return source.name if source.is_dir() else source.resolve().parent.name


def head_for(given: Namespace, source: Path) -> tuple[bytes, dict[str, Any]]:
    """Return the file of the head that is exported with the encoder, and its header.

    Raises:
        CheckpointError: if the file is not a head, or belongs to another encoder.
    """
    if given.head is None:
        return b"", {}
    from semisupcon.labelling.tagger import load_tagger, representation_in
    from semisupcon.probing.embeddings.encoders import load_subject
    from semisupcon.probing.methods.head import load_head

    subject = load_subject(str(source), representation_in(given.head), given.trust)
    load_tagger(given.head, subject)
    return Path(given.head).read_bytes(), load_head(given.head)[1]


def is_other(path: Path) -> bool:
    """Return whether a file exists that is not a model card of semisupcon."""
    from semisupcon.exporter.card import MARK

    try:
        beginning = path.read_text(encoding="utf-8", errors="replace")[:200]
    except OSError:
        return path.exists()
    return not beginning.startswith(f"---\n{MARK}\n")


def card_of(
    given: Namespace,
    stated: dict[str, str],
    source: Path,
    encoder: nn.Module,
    head: dict[str, Any],
) -> Any:
    """Collect the content of the model card.

    Raises:
        UserError: if the results cannot be read.
    """
    from semisupcon.exporter.card import Card, read_results
    from semisupcon.spec import spec_of

    name = run_name(source)
    folder = source if source.is_dir() else source.parent
    run, settings = read_run(folder)
    measured = given.results_name or name
    results = read_results(given.results, measured) if given.results else []
    versions: dict[str, Any] = dict(versions_of(PACKAGES))
    if trained := run.get("packages", {}).get("torch"):
        versions["torch, in training"] = trained
    return Card(
        stated.get("title", name),
        spec_of(encoder),
        facts_of(encoder),
        training_of(settings),
        run.get("data", {}),
        head.get("classes") or classes_of(source),
        HEAD if head else "",
        stated,
        results,
        measured,
        versions,
    )


def facts_of(encoder: Any) -> dict[str, str]:
    """Return what the card says about the encoder."""
    seconds = encoder.segment_samples / encoder.sample_rate
    facts = {
        "class": type(encoder).__name__,
        "parameters": f"{sum(p.numel() for p in encoder.parameters()):,}",
        "sample rate": f"{encoder.sample_rate:,} Hz",
        "embedding": f"{encoder.embedding_dim} values",
        "segment": f"{encoder.segment_samples:,} samples ({seconds:.3g} s)",
        "shortest input": f"{encoder.min_samples:,} samples",
        "normalisation": kinds_of(encoder, Normalization),
        "front end": kinds_of(encoder, Frontend),
    }
    if encoder.tasks:
        parts = (f"{name} ({width})" for name, width in encoder.task_dims.items())
        facts["parts of the embedding"] = ", ".join(parts)
    return facts


def kinds_of(encoder: nn.Module, kind: type[nn.Module]) -> str:
    """Return the names of the classes of an encoder's modules of one kind."""
    names = dict.fromkeys(type(m).__name__ for m in encoder.modules() if isinstance(m, kind))
    return ", ".join(names)


def read_run(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return run.json and run_config.yaml of a run; {} for files that are missing or damaged.

    They are read as data; classes in the configuration are not imported.
    """
    try:
        state = json.loads((folder / "run.json").read_text())
    except (OSError, ValueError, RecursionError):
        state = {}
    settings: dict[str, Any] = {}
    if (folder / "run_config.yaml").is_file():
        try:
            settings = read_yaml(folder / "run_config.yaml")
        except (UserError, ModuleNotFoundError):
            settings = {}
    state = state if isinstance(state, dict) else {}
    parts = {key: state.get(key) for key in ("data", "packages")}
    return {k: v for k, v in parts.items() if isinstance(v, dict)}, settings


def training_of(settings: dict[str, Any]) -> dict[str, str]:
    """Return the settings of a run that the card lists."""
    found = {}
    for path, name in SETTINGS.items():
        value: Any = settings
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, dict):
            value = str(value.get("class_path", "")).rpartition(".")[2]
        if isinstance(value, list):
            value = ", ".join(str(v.get("class_path") if isinstance(v, dict) else v) for v in value)
        if value not in (None, ""):
            found[name] = str(value)
    return found


def classes_of(source: Path) -> list[str]:
    """Return the classes of the criterion of a training checkpoint, in the order of the targets."""
    if source.is_dir():
        return []
    written = read_checkpoint(source).get("semisupcon")
    facts = written.get("facts") if isinstance(written, dict) else None
    classes = facts.get("classes") if isinstance(facts, dict) else None
    return [str(name) for name in classes] if isinstance(classes, list | tuple) else []
