"""Score clips with the classifier of an imported checkpoint of CLMR or SemiSupCon.

``semisupcon import`` writes it beside the encoder (``heads.safetensors``). The published files hold
no class names: their order is given, or is that of the task.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from semisupcon.datasets.base import LabelledClips
from semisupcon.errors import CheckpointError, ConfigError
from semisupcon.heads import Head
from semisupcon.importer import HEADS, HEADS_CONFIG, load_heads
from semisupcon.kinds import AGGREGATIONS
from semisupcon.probing.embeddings.embedder import Features
from semisupcon.probing.embeddings.encoders import load_subject
from semisupcon.probing.embeddings.subject import Subject
from semisupcon.probing.methods.base import Outcome
from semisupcon.probing.methods.head import ProbeHead, predict

CLASSIFIER = "classifier"
log = logging.getLogger(__name__)


def imported_folder(path: Path) -> Path | None:
    """Return the folder of an imported checkpoint that has heads; None for any other path.

    Args:
        path: value of ``--head``: the folder, or the ``heads.safetensors`` in it.
    """
    folder = path.parent if path.name == HEADS else path
    return folder if folder.is_dir() and (folder / HEADS_CONFIG).is_file() else None


def score_with_classifier(
    subject: Subject,
    features: Features,
    folder: Path,
    aggregation: str = AGGREGATIONS[0],
    classes: Sequence[str] = (),
) -> Outcome:
    """Predict the test clips of a task with the classifier of an imported checkpoint.

    Args:
        subject: the encoder of the same checkpoint.
        features: its embeddings of the test clips.
        folder: folder that ``semisupcon import`` wrote.
        aggregation: quantity that is averaged over the segments of a clip: "probability" in
            CLMR, "embedding" in SemiSupCon.
        classes: names of the outputs in their order, or a text file with one per line; empty for
            the order of the task.

    Raises:
        CheckpointError, ConfigError: see `checked_classifier`.
    """
    task = features.task
    head, names = checked_classifier(subject, task, folder, classes)
    scores = predict(ProbeHead(head, task.label_kind).eval(), features.test.chunks, aggregation)
    return Outcome(
        scores[:, [names.index(name) for name in task.classes]],
        label="imported head",
        detail="given order of classes" if classes else "order of classes of the task",
    )


def checked_classifier(
    subject: Subject, task: LabelledClips, folder: Path, classes: Sequence[str] = ()
) -> tuple[Head, list[str]]:
    """Load the classifier of an imported checkpoint and check it against a task.

    Args:
        subject: encoder of the same checkpoint.
        task: task whose classes the classifier must have.
        folder: folder of the imported checkpoint.
        classes: names of the outputs in their order; empty for the classes of the task.

    Returns:
        The classifier and the names of its outputs.

    Raises:
        CheckpointError: if the folder has no classifier, or ``subject`` is another encoder.
        ConfigError: if the classes of the classifier are not those of the task.
    """
    head = _classifier(folder, subject)
    names = _names(classes) or list(task.classes)
    if not classes:
        log.info(
            "The published head names no classes: its outputs are taken in the order of task "
            "'%s' (%s, ...); --head_classes gives another order.",
            task.name,
            ", ".join(task.classes[:3]),
        )
    if set(names) != set(task.classes) or len(names) != len(task.classes):
        wrong = sorted(set(names) ^ set(task.classes)) or names
        raise ConfigError(
            f"--head_classes has {len(names)} names and task '{task.name}' {len(task.classes)} "
            f"classes; they must be the same. Not both have: {', '.join(wrong[:5])}."
        )
    if head.out_dim != len(names):
        raise ConfigError(
            f"The classifier in {folder} has {head.out_dim} outputs; task '{task.name}' has "
            f"{len(names)} classes ({', '.join(names[:4])}, ...).\nGive the task that it was "
            "trained on."
        )
    return head, names


def named_classifier(
    subject: Subject, folder: Path, classes: Sequence[str]
) -> tuple[Head, list[str]]:
    """Load the classifier of an imported checkpoint, with names for its outputs.

    Args:
        subject: encoder of the same checkpoint.
        folder: folder of the imported checkpoint.
        classes: names of the outputs in their order; one name can be the path of a text file
            with the names.

    Returns:
        The classifier and the names of its outputs.

    Raises:
        CheckpointError: if the folder has no classifier, or ``subject`` is another encoder.
        ConfigError: if the number of different names is not the number of outputs.
    """
    head, names = _classifier(folder, subject), _names(classes)
    if len(names) != head.out_dim or len(set(names)) < len(names):
        raise ConfigError(
            f"The classifier in {folder} has {head.out_dim} outputs and names none of them: give "
            f"--head_classes with {head.out_dim} different names in their order, or a text file "
            f"with one per line; got {len(set(names))}."
        )
    return head, names


def _classifier(folder: Path, subject: Subject) -> Head:
    heads = load_heads(folder)
    if CLASSIFIER not in heads:
        raise CheckpointError(
            f"{folder} holds no classifier, only: {', '.join(heads) or 'no heads'}.\nImport a "
            "checkpoint of supervised training or of a probe."
        )
    head = heads[CLASSIFIER]
    if (folder / "config.json").is_file():
        own = load_subject(str(folder), "embedding")
        if own.fingerprint() != subject.fingerprint():
            raise CheckpointError(
                f"The classifier belongs to the encoder in the same folder, not to "
                f"'{subject.name}'.\nGive --checkpoints {folder}."
            )
    if head.in_dim != subject.encoder.embedding_dim:
        raise CheckpointError(
            f"The classifier takes embeddings of width {head.in_dim}; those of '{subject.name}' "
            f"are {subject.encoder.embedding_dim} wide.\nHead: {folder}"
        )
    return head


def _names(classes: Sequence[str]) -> list[str]:
    if len(classes) == 1 and (file := Path(classes[0])).is_file():
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--head_classes {file} cannot be read as text.") from error
        return [line.strip() for line in lines if line.strip()]
    return list(classes)
