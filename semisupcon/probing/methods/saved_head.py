"""The method of ``semisupcon probe --test_only --head PATH``: score clips with a saved head."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semisupcon.errors import CheckpointError, ConfigError
from semisupcon.probing.embeddings.embedder import Features
from semisupcon.probing.embeddings.encoders import Subject
from semisupcon.probing.methods.base import Case, Method, Outcome
from semisupcon.probing.methods.head import load_head, predict
from semisupcon.probing.methods.head_header import calibration_in
from semisupcon.probing.methods.imported_head import imported_folder, score_with_classifier


class SavedHead(Method):
    """Method that scores test clips with a saved head, without training.

    Args:
        path: file of the head, or folder of an imported checkpoint.
        classes: names of the outputs of an imported head.
    """

    name = "saved head"
    depends = ("aggregation",)
    probabilities = True

    def __init__(self, path: Path, classes: Sequence[str] = ()):
        self.path, self.classes = path, classes

    def run(self, case: Case) -> list[Outcome]:
        if folder := imported_folder(self.path):
            how = case.settings.aggregation, self.classes
            return [score_with_classifier(case.subject, case.features, folder, *how)]
        if self.classes:
            raise ConfigError("--head_classes is for heads of imported checkpoints only.")
        return [score_with_head(case.subject, case.features, self.path)]


def score_with_head(subject: Subject, features: Features, path: Path) -> Outcome:
    """Predict the test clips of a task with a saved head.

    Args:
        subject: encoder on whose embeddings the head was trained.
        features: embeddings of the task.
        path: file of the head.

    Raises:
        CheckpointError: if the file is not a head, or the head belongs to another encoder.
        ConfigError: if the head and the task have different classes.
    """
    head, about = load_head(path)
    task = features.task
    if about.get("encoder") != subject.fingerprint():
        raise CheckpointError(
            "The head was trained on embeddings of another encoder (or representation) than "
            f"'{subject.name}'.\nHead: {path}"
        )
    known = about.get("classes", [])
    if about["kind"] != task.kind or set(known) != set(task.classes):
        raise ConfigError(
            f"The head predicts {about['kind']} labels of {_few(known)}; task '{task.name}' has "
            f"{task.kind} labels of {_few(task.classes)}.\n"
            f"Give a head with the same classes, or train one without --test_only.\nHead: {path}"
        )
    # Head and task may have their classes in different orders.
    order = [known.index(name) for name in task.classes]
    how, found = about.get("aggregation", "embedding"), calibration_in(about)

    def scores(temperature: float) -> np.ndarray:
        values = predict(head, features.test.chunks, how, temperature)
        return np.ascontiguousarray(values[:, order])

    return Outcome(
        scores(1.0),
        label=f"{about['method']}, saved head",
        detail=f"trained on {about.get('task', '?')}",
        calibration=found,
        calibrated=None if found is None else scores(found.temperature),
    )


def _few(names: Sequence[str]) -> str:
    return f"{len(names)} classes ({', '.join(map(str, names[:4]))}{', ...' if len(names) > 4 else ''})"
