"""MT-SLVR: train an encoder to be invariant to augmentation and to predict augmentation.

See Heggan et al. 2023, section 2.
"""

from typing import Any

from torch import Tensor, nn

from semisupcon.batch import Batch, DataFacts, Scored
from semisupcon.encoders.base import Encoder
from semisupcon.errors import ConfigError
from semisupcon.objectives.augmentation_prediction import AugmentationPrediction
from semisupcon.objectives.base import Criterion, Encode
from semisupcon.objectives.simclr import SimCLR
from semisupcon.objectives.views import ViewCriterion, encode_views

TASKS = ("contrastive", "predictive")


class MTSLVR(Criterion):
    """Sum of a contrastive loss and a weighted predictive loss (MT-SLVR).

    Each loss uses the embedding of its task. The encoder has the tasks ``contrastive`` and
    ``predictive`` (a split or adapter ResNet). If it has no tasks, both losses use the same
    embedding (MT-Simple). Each view is encoded once for both tasks, and shared layers run once. The
    code of MT-SLVR runs shared layers twice, which updates shared batch norms four times per step
    instead of twice. Any two subclasses of `ViewCriterion` can be combined.

    Args:
        contrastive: contrastive criterion; None is `SimCLR`. MT-SLVR also uses `SimSiam`, and
            mentions `EmbeddingCPC`.
        predictive: predictive criterion; None is `AugmentationPrediction`.
        predictive_weight: weight of the predictive loss; 1 in the paper.
        together: whether all views are encoded in one batch. False encodes each view separately, as
            in the code of MT-SLVR.

    Logged:
        ``contrastive_loss``, ``predictive_loss``, and the values that both criteria log.
    """

    def __init__(
        self,
        contrastive: ViewCriterion | None = None,
        predictive: ViewCriterion | None = None,
        predictive_weight: float = 1.0,
        together: bool = False,
    ):
        super().__init__()
        self.contrastive = contrastive if contrastive is not None else SimCLR()
        self.predictive = predictive if predictive is not None else AugmentationPrediction(views=2)
        for name, part in zip(TASKS, (self.contrastive, self.predictive), strict=True):
            if not isinstance(part, ViewCriterion):
                raise ConfigError(
                    f"the {name} part of MT-SLVR must be a criterion on embeddings, which "
                    f"{type(part).__name__} is not."
                )
        if predictive_weight < 0:
            raise ConfigError(f"predictive_weight must not be negative, got {predictive_weight}")
        self.predictive_weight, self.together = predictive_weight, together
        self.views = max(self.contrastive.views, self.predictive.views)
        self.in_batch_negatives = self.contrastive.in_batch_negatives
        self.predicts_augmentation = (
            self.contrastive.predicts_augmentation or self.predictive.predicts_augmentation
        )
        self.most_views = min(
            (
                part.most_views
                for part in (self.contrastive, self.predictive)
                if part.most_views is not None
            ),
            default=None,
        )

    def connect(self, encoder: Encoder) -> None:
        if encoder.tasks and set(encoder.tasks) != set(TASKS):
            raise ConfigError(
                "MT-SLVR needs an encoder with the tasks contrastive and predictive, or with "
                f"none; {type(encoder).__name__} has {encoder.tasks}."
            )
        self.widths = dict(encoder.task_dims)
        self.contrastive.fit(self.widths.get("contrastive", encoder.embedding_dim))
        self.predictive.fit(self.widths.get("predictive", encoder.embedding_dim))

    def prepare(self, facts: DataFacts) -> None:
        self.contrastive.prepare(facts)
        self.predictive.prepare(facts)

    def after_step(self, encoder: Encoder) -> None:
        self.contrastive.after_step(encoder)
        self.predictive.after_step(encoder)

    def pending(self) -> dict[str, Tensor]:
        return {
            f"{i}.{k}": v for i, part in enumerate(self._both()) for k, v in part.pending().items()
        }

    def restore_pending(self, state: dict[str, Tensor]) -> None:
        for i, part in enumerate(self._both()):
            part.restore_pending(
                {k.removeprefix(f"{i}."): v for k, v in state.items() if k.startswith(f"{i}.")}
            )

    def _both(self) -> tuple[ViewCriterion, ViewCriterion]:
        return self.contrastive, self.predictive

    def representations(self) -> dict[str, nn.Module]:
        return self.contrastive.representations()

    def reads(self, head: str) -> str | None:
        return "contrastive" if self.widths else None

    def losses(self, batch: Batch, encode: Encode) -> dict[str, Any]:
        parts = self._parts(encode_views(batch, encode, self.together))
        contrastive = self.contrastive.losses_of(parts["contrastive"], batch)
        predictive = self.predictive.losses_of(parts["predictive"], batch)
        logged = {
            "contrastive_loss": contrastive.pop("loss"),
            "predictive_loss": predictive.pop("loss"),
        }
        loss = logged["contrastive_loss"] + self.predictive_weight * logged["predictive_loss"]
        return {"loss": loss} | {
            k: v if isinstance(v, Scored) else v.detach()
            for k, v in (logged | contrastive | predictive).items()
        }

    def _parts(self, embeddings: Tensor) -> dict[str, Tensor]:
        """Split embeddings into those of each task, ``[B, V, D]``."""
        if not self.widths:
            return dict.fromkeys(TASKS, embeddings)
        return dict(
            zip(self.widths, embeddings.split(list(self.widths.values()), dim=-1), strict=True)
        )
