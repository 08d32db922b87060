"""The base class of probe methods, with their input and output types."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from semisupcon.kinds import KINDS
from semisupcon.probing.methods.settings import FineTuning, Settings

if TYPE_CHECKING:
    from semisupcon.encoders.base import Encoder
    from semisupcon.probing.embeddings.embedder import Embedder, Features
    from semisupcon.probing.embeddings.encoders import Subject
    from semisupcon.probing.methods.calibrating import Calibration
    from semisupcon.probing.methods.head import ProbeHead


@dataclass(frozen=True)
class Outcome:
    """One result of a method.

    Attributes:
        scores: scores of the test clips ``[n_test, C]``; None for methods that return
            ``intervals``.
        label: name in tables, if it is not the method's name.
        detail: values chosen by the method (``k=5``).
        head: the trained head, if any.
        calibration: temperature and thresholds of the head, from validation clips.
        calibrated: ``scores`` after the temperature; None without a calibration.
        encoder: the fine-tuned encoder, if any.
        curve: for each epoch, training and validation loss.
        intervals: metric name -> (value, low, high), for methods without scores.
        share: share of the training clips that was used.
        n_test: number of tests, if it is not the number of test clips.
        chance: chance level of the first of ``intervals``; None for the chance level of the task,
            if this is its main metric.
    """

    scores: np.ndarray | None = None
    label: str = ""
    detail: str = ""
    head: "ProbeHead | None" = None
    calibration: "Calibration | None" = None
    calibrated: np.ndarray | None = None
    encoder: "Encoder | None" = None
    curve: list[dict[str, float]] = field(default_factory=list)
    intervals: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    share: float = 1.0
    n_test: int | None = None
    chance: float | None = None


@dataclass(frozen=True)
class Case:
    """One encoder on one task with one seed.

    Attributes:
        subject: the frozen encoder.
        features: its embeddings of the training, validation and test clips, with targets, and the
            task.
        embedder: embeds further audio.
        settings, fine_tuning: settings from the command line.
        seed: seed of all random draws of the method.
        trust: modules outside this package whose classes a file may name.
    """

    subject: "Subject"
    features: "Features"
    embedder: "Embedder"
    settings: Settings
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    seed: int = 0
    trust: tuple[str, ...] = ()


class Method:
    """Base class of probe methods.

    A subclass defines ``name`` and ``run``; its constructor takes no arguments.

    Attributes:
        name: name on the command line and in tables.
        depends: fields of `Settings` that results depend on. If one of them changes, the result is
            computed again.
        kinds: supported label kinds.
        one_seed: whether one seed is enough for a given encoder.
        rerun: whether the robustness study runs the method again on corrupted test clips. Not
            needed for methods with a head.
        probabilities: whether scores are probabilities, so that their calibration is measured.
    """

    name: str = ""
    depends: tuple[str, ...] = ()
    kinds: tuple[str, ...] = tuple(KINDS)
    one_seed: bool = False
    rerun: bool = False
    probabilities: bool = False

    def run(self, case: Case) -> list[Outcome]:
        """Probe one encoder.

        Returns:
            One outcome per result; several outcomes must differ in ``label`` or ``share``.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no run(case)")

    def check(
        self, subject: "Subject", fine_tuning: FineTuning, trust: tuple[str, ...] = ()
    ) -> None:
        """Raise an error if the method cannot probe an encoder with these options; called before
        anything is embedded.
        """

    def options(self, settings: Settings, fine_tuning: FineTuning) -> object:
        """Values that identify a result of this method, in addition to clips, encoder and seed."""
        return [getattr(settings, name) for name in self.depends]
