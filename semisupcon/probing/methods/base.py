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
        scores: ``[n_test, C]``, scores of the test clips; None for methods that return
            ``intervals``.
        label: name in tables, if it differs from the name of the method.
        detail: values that the method has chosen, such as ``k=5``.
        head: the trained head, if any.
        calibration: temperature and thresholds of the head, from validation clips.
        calibrated: ``scores`` after temperature scaling; None without a calibration.
        encoder: the fine-tuned encoder, if any.
        curve: training and validation loss of each epoch.
        intervals: metric name -> (value, low, high), for methods without scores.
        share: share of the training clips that was used, in (0, 1].
        n_test: number of tests, if it differs from the number of test clips.
        chance: chance level of the first metric in ``intervals``. None for the chance level of the
            task, if this metric is the main metric of the task.
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
    """Input of a method: one encoder on one task with one seed.

    Attributes:
        subject: the frozen encoder.
        features: the task, and the embeddings and targets of its training, validation and test
            clips.
        embedder: object that embeds further audio.
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
        depends: names of the fields of `Settings` that affect results. If the value of such a field
            changes, results are computed again.
        kinds: supported label kinds.
        one_seed: whether a suite runs the method with its first seed only.
        rerun: whether the robustness study runs the method again on corrupted test clips. Methods
            with a head do not need this, because the head is applied to the corrupted clips.
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
            One outcome per result. If there are several, they must differ in ``label`` or
            ``share``.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no run(case)")

    def check(
        self, subject: "Subject", fine_tuning: FineTuning, trust: tuple[str, ...] = ()
    ) -> None:
        """Check that the method can probe an encoder with these options.

        A suite calls it before clips are embedded. An overriding method raises a ``ConfigError``.
        """

    def options(self, settings: Settings, fine_tuning: FineTuning) -> object:
        """Return the settings that affect the results of this method.

        Together with clips, encoder and seed, they identify a result.
        """
        return [getattr(settings, name) for name in self.depends]
