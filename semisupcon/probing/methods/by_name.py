"""The methods of `probe.py` by name."""

from collections.abc import Callable
from dataclasses import dataclass, field

from semisupcon.probing.embeddings.embedder import Embedder, Features
from semisupcon.probing.embeddings.encoders import Subject
from semisupcon.probing.methods.base import FineTuning, Outcome, Settings
from semisupcon.probing.methods.few_shot import few_shot
from semisupcon.probing.methods.knn import knn
from semisupcon.probing.methods.linear import probe
from semisupcon.probing.methods.prototypes import prototypes


@dataclass(frozen=True)
class Case:
    """One encoder at one task with one seed."""

    subject: Subject
    features: Features
    embedder: Embedder
    settings: Settings
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    seed: int = 0


def _finetune(case: Case) -> list[Outcome]:
    from semisupcon.probing.methods.finetune import finetune  # Brings in Lightning, which no other method needs.

    return [finetune(case.subject, case.features, case.embedder, case.fine_tuning, case.seed)]


METHODS: dict[str, Callable[[Case], list[Outcome]]] = {
    "linear": lambda case: [probe(case.features, "linear", case.settings, case.seed)],
    "mlp": lambda case: [probe(case.features, "mlp", case.settings, case.seed)],
    "finetune": _finetune,
    "knn": lambda case: [knn(case.features, case.settings, case.seed)],
    "prototypes": lambda case: prototypes(case.features, case.settings, case.seed),
    "few_shot": lambda case: few_shot(case.features, case.settings, case.seed),
}
# What of the settings a method's answer depends on.
DEPENDS: dict[str, tuple[str, ...]] = {
    "linear": ("aggregation", "training"),
    "mlp": ("aggregation", "training"),
    "finetune": (),
    "knn": ("distance", "neighbours"),
    "prototypes": ("aggregation", "distance", "shares"),
    "few_shot": ("way", "shot", "queries", "episodes", "standardise"),
}
KINDS = {"prototypes": ("multiclass", "multilabel", "binary"), "few_shot": ("multiclass",)}
# A second seed says nothing new of a given encoder: k nearest neighbours draw folds only, episodes are ten thousand draws already.
ONE_SEED = ("knn", "few_shot")


def applies(method: str, kind: str) -> bool:
    """Whether a method can answer for a kind of label."""
    return kind in KINDS.get(method, (kind,))
