"""The base class of probe methods, what a method is given, and what it returns."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from semisupcon.errors import ConfigError
from semisupcon.kinds import AGGREGATIONS, KINDS

if TYPE_CHECKING:
    from semisupcon.encoders.base import Encoder
    from semisupcon.probing.embeddings.embedder import Embedder, Features
    from semisupcon.probing.embeddings.encoders import Subject
    from semisupcon.probing.methods.head import ProbeHead


@dataclass(frozen=True)
class Training:
    """How heads are trained.

    Attributes:
        lr: Adam's learning rate; None is 0.01 for the linear head, which is convex, and 0.001 for the MLP and for fine-tuning.
        weight_decay: Adam's, as in SemiSupCon and CLMR.
        batch_size: tracks a step (segments, unless embeddings are averaged first).
        max_epochs: at most.
        patience: epochs without a better validation loss before it stops; the best epoch's head is kept.
        hidden: width of the MLP probe's hidden layer.
    """

    lr: float | None = None
    weight_decay: float = 1e-6
    batch_size: int = 128
    max_epochs: int = 300
    patience: int = 20
    hidden: int = 512


@dataclass(frozen=True)
class FineTuning:
    """How an encoder is fine-tuned.

    Attributes:
        lr: Adam's learning rate of the head.
        encoder_rate: of the encoder's last block, as a share of the head's.
        decay: of the rate from each block to the one before it.
        weight_decay: Adam's.
        batch_size: clips a step.
        max_epochs: at most.
        patience: epochs without a better validation loss before it stops; the best epoch's weights are kept.
        init_from: weights that the encoder starts from instead of its own, as for ``pretrain --model.init_from``: a run, checkpoint or export,
            ``clmr:FILE`` (or semisupcon, mtslvr, panns), ``timm:FILE`` or ``timm``. Untrained encoders keep their own.
        init_parts: submodules that take them; None is ``[encoder]``.
        init_strict: whether all their tensors must be found in their shapes; false takes what fits.
        freeze: submodules that are not trained and stay in evaluation mode, such as ``encoder.trunk.0``.
        head_epochs: epochs at the beginning in which only the head is trained.
    """

    lr: float = 1e-3
    encoder_rate: float = 0.1
    decay: float = 0.8
    weight_decay: float = 1e-6
    batch_size: int = 32
    max_epochs: int = 50
    patience: int = 10
    # Left out of the written form, which identifies results of earlier versions.
    init_from: str | None = field(default=None, repr=False)
    init_parts: list[str] | None = field(default=None, repr=False)
    init_strict: bool = field(default=True, repr=False)
    freeze: list[str] | None = field(default=None, repr=False)
    head_epochs: int = field(default=0, repr=False)


@dataclass(frozen=True)
class Settings:
    """How tracks are judged, whatever the method.

    Attributes:
        aggregation: what is averaged over the segments of a track, one of `AGGREGATIONS`: their embeddings (heads then also train on
            averages), or the logits, probabilities or votes of a head trained on segments.
        training: of heads.
        distance: of kNN and prototypes, "cosine" or "euclidean".
        neighbours: numbers of neighbours among which cross-validation chooses.
        shares: of the training clips, from which prototypes are made.
        way: classes of a few-shot episode.
        shot: clips of each class that it learns from.
        queries: clips of each class that it is tested on.
        episodes: few-shot episodes.
        standardise: few-shot embeddings, by mean and standard deviation of the training clips; false takes them as they are, as MT-SLVR does.
    """

    aggregation: str = "embedding"
    training: Training = field(default_factory=Training)
    distance: str = "cosine"
    neighbours: tuple[int, ...] = (1, 3, 5, 10, 20, 50)
    shares: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    way: int = 5
    shot: int = 1
    queries: int = 1
    episodes: int = 10_000
    standardise: bool = True

    def check(self, kind: str) -> None:
        """Refuse what cannot be done for a kind of label."""
        if self.aggregation not in AGGREGATIONS:
            raise ConfigError(f"No aggregation '{self.aggregation}'; there are: {', '.join(AGGREGATIONS)}.")
        if self.aggregation in ("probability", "vote") and kind == "regression":
            raise ConfigError(
                f"A regression has no {self.aggregation} to average; use --aggregation embedding, or logit for its predicted values."
            )
        if self.distance not in ("cosine", "euclidean"):
            raise ConfigError(f"The distance is cosine or euclidean, got '{self.distance}'.")


@dataclass(frozen=True)
class Outcome:
    """What a method found.

    Attributes:
        scores: ``[n_test, C]`` of the test tracks; None for methods that give numbers only.
        label: what tables call it, where the method's name does not say it all.
        detail: what was chosen on the way (``k=5``).
        head: the trained head, where there is one.
        encoder: the encoder, where it was trained too.
        curve: per epoch the training and validation loss.
        intervals: ready numbers, name to (value, low, high), of methods without scores.
        share: of the training clips that was used.
        n_test: how many were tested, where it is not the number of test tracks.
        chance: chance level of the first of ``intervals``; None is that of the task, where this is the task's main metric.
    """

    scores: np.ndarray | None = None
    label: str = ""
    detail: str = ""
    head: "ProbeHead | None" = None
    encoder: "Encoder | None" = None
    curve: list[dict[str, float]] = field(default_factory=list)
    intervals: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    share: float = 1.0
    n_test: int | None = None
    chance: float | None = None


@dataclass(frozen=True)
class Case:
    """One encoder at one task with one seed.

    Attributes:
        subject: the frozen encoder.
        features: its embeddings of the training, validation and test clips, with their targets, and the task.
        embedder: embeds other audio with it.
        settings, fine_tuning: of the command line.
        seed: of whatever the method draws.
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
    """Base of all probe methods. A subclass gives a ``name`` and writes ``run``; it is made without arguments.

    Attributes:
        name: on the command line and in tables.
        depends: fields of `Settings` that the answer depends on. A result is computed anew when one of them changes.
        kinds: kinds of label that the method answers.
        one_seed: whether further seeds say nothing new of a given encoder.
        rerun: whether the robustness study runs the method again on corrupted test clips. Trained heads need no second run.
    """

    name: str = ""
    depends: tuple[str, ...] = ()
    kinds: tuple[str, ...] = tuple(KINDS)
    one_seed: bool = False
    rerun: bool = False

    def run(self, case: Case) -> list[Outcome]:
        """Probe one encoder.

        Returns:
            Usually one outcome; several where the method gives several results, each with its own ``label`` or ``share``.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no run(case)")

    def check(self, subject: "Subject", fine_tuning: FineTuning, trust: tuple[str, ...] = ()) -> None:
        """Refuse an encoder that the method cannot probe with these options; called before anything is embedded."""

    def options(self, settings: Settings, fine_tuning: FineTuning) -> object:
        """The values that identify a result of this method beside clips, encoder and seed."""
        return [getattr(settings, name) for name in self.depends]
