"""Settings of the probe methods: training of heads, fine-tuning, and other settings."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from semisupcon.errors import ConfigError, nearest
from semisupcon.kinds import AGGREGATIONS

HARDNESS, LAYERS = ("average", "easy", "hard"), ("last", "all", "weighted")
OPTIMIZERS, SCHEDULES = ("adam", "adamw"), ("constant", "cosine", "plateau")


def check_choice(option: str, given: str, known: Sequence[str]) -> None:
    """Check that the value of an option is one of the known choices.

    Raises:
        ConfigError: for an unknown value, with the most similar choice.
    """
    if given not in known:
        raise ConfigError(
            f"{option} takes {', '.join(known)}, got '{given}'.{nearest(given, known)}"
        )


@dataclass(frozen=True)
class Training:
    """Settings for the training of heads.

    Attributes:
        lr: learning rate of Adam; None for 0.01 (linear head, a convex problem) or 0.001 (MLP).
        weight_decay: weight decay of Adam; the default is that of SemiSupCon and CLMR.
        batch_size: clips per step; segments per step if the aggregation is not "embedding".
        max_epochs: maximum number of epochs.
        patience: epochs without a better validation loss before training stops. The head of the
            best epoch is kept.
        hidden: width of the hidden layer of the MLP probe.
        optimizer: "adam", which adds the weight decay to the gradient, or "adamw" (Loshchilov and
            Hutter 2019).
        schedule: schedule of the learning rate: "constant", "cosine" (falls to 0 at
            ``max_epochs``), or "plateau" (is divided by 10 after 5 epochs without a better
            validation loss).
        warmup_epochs: number of epochs at the start in which the learning rate rises linearly from
            0.
        standardise: whether embeddings are standardised by the statistics of the training
            embeddings.
    """

    lr: float | None = None
    weight_decay: float = 1e-6
    batch_size: int = 128
    max_epochs: int = 300
    patience: int = 20
    hidden: int = 512
    # The repr identifies results. These fields are not in it, so that results of earlier versions
    # stay valid; `Training.newer` adds them if they are not the defaults.
    optimizer: str = field(default="adam", repr=False)
    schedule: str = field(default="constant", repr=False)
    warmup_epochs: float = field(default=0.0, repr=False)
    standardise: bool = field(default=True, repr=False)

    def newer(self) -> list[object]:
        """Return the values of the fields outside the repr; empty if all are the defaults."""
        values = [self.optimizer, self.schedule, self.warmup_epochs, self.standardise]
        return [] if values == ["adam", "constant", 0.0, True] else values

    def check(self) -> None:
        """Check the values of optimizer, schedule and warm-up.

        Raises:
            ConfigError: for an unknown optimizer or schedule, or a warm-up as long as the training.
        """
        check_choice("--training.optimizer", self.optimizer, OPTIMIZERS)
        check_choice("--training.schedule", self.schedule, SCHEDULES)
        if not 0 <= self.warmup_epochs < self.max_epochs:
            raise ConfigError(
                "--training.warmup_epochs must be at least 0 and less than --training.max_epochs "
                f"{self.max_epochs}, got {self.warmup_epochs:g}."
            )


@dataclass(frozen=True)
class FineTuning:
    """Settings of fine-tuning.

    Attributes:
        lr: learning rate of the head.
        encoder_rate: learning rate of the last block of the encoder, divided by ``lr``.
        decay: learning rate of each earlier block, divided by that of the next block.
        weight_decay: weight decay.
        batch_size: clips per step.
        max_epochs: maximum number of epochs.
        patience: epochs without a better validation loss before training stops. The weights of the
            best epoch are kept.
        init_from: source of initial weights for the encoder, as in ``pretrain --model.init_from``:
            a run, checkpoint or exported folder, ``SYSTEM:FILE`` (SYSTEM is clmr, semisupcon,
            mtslvr or panns), ``timm:FILE`` or ``timm``. None keeps the weights of the encoder.
            Untrained encoders ignore it.
        init_parts: submodules that get the initial weights; None for ``[encoder]``.
        init_strict: whether each tensor must be in the file with an equal shape; false loads the
            tensors that match.
        freeze: submodules that are not trained and stay in eval mode, such as ``encoder.trunk.0``.
        head_epochs: number of epochs at the start in which only the head is trained.
        optimizer: "adam" or "adamw".
        schedule: schedule of all learning rates: "constant", or "cosine" (falls to 0 at
            ``max_epochs``).
        warmup_epochs: number of epochs at the start in which the learning rates rise linearly from
            0.
        augment: names of augmentations for the training segments, as in ``--data.aug_list``.
        severity: strength of the augmentations, as in ``--data.severity_modifier``.
        mixup: parameter of the Beta distribution of mixing shares (Zhang et al. 2018). Segments and
            targets are mixed with those of another clip; 0 for no mixing.
        class_weights: whether to balance the classes in the loss: multiclass by inverse frequency,
            multilabel and binary by the ratio of negatives to positives.
    """

    lr: float = 1e-3
    encoder_rate: float = 0.1
    decay: float = 0.8
    weight_decay: float = 1e-6
    batch_size: int = 32
    max_epochs: int = 50
    patience: int = 10
    # The repr identifies results. These fields are not in it, so that results of earlier versions
    # stay valid.
    init_from: str | None = field(default=None, repr=False)
    init_parts: list[str] | None = field(default=None, repr=False)
    init_strict: bool = field(default=True, repr=False)
    freeze: list[str] | None = field(default=None, repr=False)
    head_epochs: int = field(default=0, repr=False)
    optimizer: str = field(default="adam", repr=False)
    schedule: str = field(default="constant", repr=False)
    warmup_epochs: float = field(default=0.0, repr=False)
    augment: list[str] | None = field(default=None, repr=False)
    severity: float = field(default=2.0, repr=False)
    mixup: float = field(default=0.0, repr=False)
    class_weights: bool = field(default=False, repr=False)

    def newer(self) -> list[object]:
        """Return the values of the training fields outside the repr; empty if all are defaults."""
        names = [
            "optimizer",
            "schedule",
            "warmup_epochs",
            "augment",
            "severity",
            "mixup",
            "class_weights",
        ]
        values = [getattr(self, name) for name in names]
        return [] if values == [getattr(FineTuning(), name) for name in names] else values

    def check(self, kind: str) -> None:
        """Check the values of optimizer, schedule, warm-up and class weights for a label kind.

        Raises:
            ConfigError: for an unknown optimizer or schedule, a warm-up as long as the training, or
                class weights of a regression.
        """
        check_choice("--finetune.optimizer", self.optimizer, OPTIMIZERS)
        check_choice("--finetune.schedule", self.schedule, SCHEDULES[:2])
        if not 0 <= self.warmup_epochs < self.max_epochs:
            raise ConfigError(
                "--finetune.warmup_epochs must be at least 0 and less than --finetune.max_epochs "
                f"{self.max_epochs}, got {self.warmup_epochs:g}."
            )
        if self.class_weights and kind == "regression":
            raise ConfigError("--finetune.class_weights needs classes; a regression has none.")


@dataclass(frozen=True)
class Settings:
    """Settings of all methods.

    Attributes:
        aggregation: quantity that is averaged over the segments of a clip. "embedding": heads are
            trained and tested on mean embeddings. "logit", "probability" or "vote": heads are
            trained on segments, and their outputs are averaged. Few-shot episodes then train on
            one random segment of each clip.
        training: settings for the training of heads.
        distance: distance of kNN and prototypes, "cosine" or "euclidean".
        neighbours: candidates for the k of kNN. Cross-validation selects one.
        shares: shares of the training clips for prototypes.
        way: number of classes per few-shot episode.
        way_to: maximum number of classes. If given, the number of classes of each episode is drawn
            from ``way`` to ``way_to``.
        shot: number of training clips per class in an episode.
        shot_to: maximum number of training clips per class. If given, the number of each episode is
            drawn from ``shot`` to ``shot_to``.
        queries: number of test clips per class in an episode.
        episodes: number of few-shot episodes.
        hardness: "average" for random episodes; "easy" or "hard" for episodes whose training clips
            are chosen so that the test clips are easiest or hardest to classify.
        layers: input of linear and MLP heads: "last" for the embedding, "all" for each block of the
            encoder separately, "weighted" for a learned weighted mean of all blocks.
        standardise: whether to standardise few-shot embeddings with the mean and the standard
            deviation of the training clips. MT-SLVR does not standardise.
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
    way_to: int | None = None
    shot_to: int | None = None
    hardness: str = "average"
    layers: str = "last"

    def check(self, kind: str) -> None:
        """Check that the settings are valid for a label kind.

        Raises:
            ConfigError: for the first invalid setting.
        """
        if self.aggregation not in AGGREGATIONS:
            raise ConfigError(
                f"Unknown aggregation '{self.aggregation}'. Known aggregations: "
                f"{', '.join(AGGREGATIONS)}."
            )
        if self.aggregation in ("probability", "vote") and kind == "regression":
            raise ConfigError(
                f"A regression has no {self.aggregation} to average; give --aggregation embedding, "
                "or logit to average predicted values."
            )
        if self.distance not in ("cosine", "euclidean"):
            raise ConfigError(f"--distance takes cosine or euclidean, got '{self.distance}'.")
        check_choice("--hardness", self.hardness, HARDNESS)
        check_choice("--layers", self.layers, LAYERS)
        self.training.check()
        for name, low, high in (("way", self.way, self.way_to), ("shot", self.shot, self.shot_to)):
            if high is not None and high < low:
                raise ConfigError(f"--{name}_to must be at least --{name} {low}, got {high}.")
