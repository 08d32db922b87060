"""Find probe methods by name or import path. A method is imported only when it is used."""

import importlib
from dataclasses import fields
from typing import TYPE_CHECKING

from semisupcon.errors import ConfigError, import_failure, nearest
from semisupcon.probing.methods.base import Case, FineTuning, Method, Outcome, Settings

if TYPE_CHECKING:
    from semisupcon.probing.embeddings.encoders import Subject

METHODS: dict[str, str] = {
    "linear": "semisupcon.probing.methods.trained_heads.Linear",
    "mlp": "semisupcon.probing.methods.trained_heads.MLP",
    "attentive": "semisupcon.probing.methods.attentive.Attentive",
    "finetune": "semisupcon.probing.methods.by_name.FineTune",
    "knn": "semisupcon.probing.methods.knn.KNN",
    "prototypes": "semisupcon.probing.methods.prototypes.Prototypes",
    "few_shot": "semisupcon.probing.methods.few_shot.FewShot",
    "onsets": "semisupcon.probing.methods.frame_tasks.Onsets",
    "beats": "semisupcon.probing.methods.frame_tasks.Beats",
    "sound_events": "semisupcon.probing.methods.frame_tasks.SoundEvents",
    "pitch_track": "semisupcon.probing.methods.frame_tasks.PitchTrack",
}


class FineTune(Method):
    """Method that trains encoder and linear head together.

    The class is not in the module `finetune`, because that module imports Lightning.
    """

    name = "finetune"
    probabilities = True

    def check(
        self, subject: "Subject", fine_tuning: FineTuning, trust: tuple[str, ...] = ()
    ) -> None:
        from semisupcon.probing.methods.starting import check_start

        if subject.source in ("baseline", "public"):
            raise ConfigError(
                f"'{subject.name}' cannot be fine-tuned: it is a {subject.source} encoder that is "
                "only read. Use another method, or leave it out."
            )
        check_start(subject, fine_tuning, trust)

    def options(self, settings: Settings, fine_tuning: FineTuning) -> object:
        new: list[object] = [
            fine_tuning.init_parts,
            fine_tuning.init_strict,
            fine_tuning.freeze,
            fine_tuning.head_epochs,
        ]
        new += fine_tuning.newer()
        if fine_tuning.init_from is None and new == [None, True, None, 0]:
            return fine_tuning
        from semisupcon.importer.starting import digest

        return [fine_tuning, fine_tuning.init_from and digest(fine_tuning.init_from), *new]

    def run(self, case: Case) -> list[Outcome]:
        from semisupcon.probing.methods.finetune import finetune

        return [
            finetune(
                case.subject, case.features, case.embedder, case.fine_tuning, case.seed, case.trust
            )
        ]


def find_method(text: str | Method) -> Method:
    """Find a probe method.

    Args:
        text: name of a method, or import path of a subclass or instance of `Method`, such as
            ``my.module.MyMethod``. A `Method` object is returned unchanged.

    Raises:
        ConfigError: for an unknown name, with the most similar name, or for a path that is not a
            probe method.
    """
    if isinstance(text, Method):
        return text
    path = METHODS.get(text, text)
    module, _, name = path.rpartition(".")
    if not module or not path.replace(".", "").isidentifier():
        raise ConfigError(
            f"Unknown method '{text}'.{nearest(text, METHODS)} Give one of {', '.join(METHODS)}, "
            "or an import path."
        )
    try:
        found = getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ConfigError(f"Method '{text}' cannot be imported: {import_failure(error)}") from error
    if isinstance(found, type) and issubclass(found, Method):
        found = found()
    if not isinstance(found, Method) or not found.name:
        raise ConfigError(
            f"'{text}' is not a probe method: give a subclass of {Method.__module__}.Method with a "
            "name and run(case)."
        )
    known = [field.name for field in fields(Settings)]
    for setting in found.depends:
        if setting not in known:
            raise ConfigError(
                f"Method '{text}' depends on '{setting}', which is not a "
                f"setting.{nearest(setting, known)} Settings: {', '.join(known)}."
            )
    return found


def key_of(method: Method) -> str:
    """Return the text that identifies a method in results.

    This is the name for methods of the package, and class path and name for other methods.
    """
    path = f"{type(method).__module__}.{type(method).__qualname__}"
    return method.name if METHODS.get(method.name) == path else f"{path} {method.name}"
