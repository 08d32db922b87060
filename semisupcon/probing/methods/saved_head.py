"""`probe.py --test_only --head PATH`: a head that was saved scores another table of clips."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semisupcon.errors import CheckpointError, ConfigError
from semisupcon.probing.embeddings.embedder import Features
from semisupcon.probing.embeddings.encoders import Subject
from semisupcon.probing.methods.base import Case, Method, Outcome
from semisupcon.probing.methods.head import load_head, predict


class SavedHead(Method):
    """A head from a file, as a method: nothing is trained.

    Args:
        path: of the head.
    """

    name = "saved head"
    depends = ("aggregation",)

    def __init__(self, path: Path):
        self.path = path

    def run(self, case: Case) -> list[Outcome]:
        return [score_with_head(case.subject, case.features, self.path)]


def score_with_head(subject: Subject, features: Features, path: Path) -> Outcome:
    """Predict the test tracks of a task with a head that was trained on the embeddings of this very encoder.

    Raises:
        CheckpointError: if it is no head, or one of another encoder.
        ConfigError: if it answers other classes than the task asks for.
    """
    head, about = load_head(path)
    task = features.task
    if about.get("encoder") != subject.fingerprint():
        raise CheckpointError(
            f"The head was trained on the embeddings of another encoder (or representation) than '{subject.name}'.\nHead: {path}"
        )
    known = about.get("classes", [])
    if about["kind"] != task.kind or set(known) != set(task.classes):
        raise ConfigError(
            f"The head answers {about['kind']} of {_few(known)}; task '{task.name}' asks {task.kind} of {_few(task.classes)}.\nHead: {path}\n"
            "Give a head of the same classes, or train one without --test_only."
        )
    scores = predict(head, features.test.chunks, about.get("aggregation", "embedding"))
    # The same classes in another order are the same question.
    order = [known.index(name) for name in task.classes]
    return Outcome(
        np.ascontiguousarray(scores[:, order]), label=f"{about['method']}, saved head", detail=f"trained on {about.get('task', '?')}"
    )


def _few(names: Sequence[str]) -> str:
    return f"{len(names)} classes ({', '.join(map(str, names[:4]))}{', ...' if len(names) > 4 else ''})"
