"""Supervised end-to-end training, a baseline for learned representations."""

from typing import Any

import torch
from torch import Tensor

from semisupcon.batch import Batch, DataFacts, Scored, labelled
from semisupcon.batch_norm import batch_norms
from semisupcon.distributed import share
from semisupcon.errors import ConfigError
from semisupcon.heads import Head, LinearHead
from semisupcon.kinds import KINDS, LabelKind
from semisupcon.objectives.views import ViewCriterion


class Supervised(ViewCriterion):
    """Supervised loss that depends on the label kind.

    The loss is the cross-entropy for multiclass labels, the binary cross-entropy for multilabel and
    binary labels, and the squared error for regression targets, which are standardised on the
    training clips. Unlabelled clips are ignored.

    Args:
        head: head that maps embeddings ``[N, D]`` to one output per class; None is a linear layer.
        views: number of views per clip; all views are used for training.
        together: whether all views are encoded in one batch, or each view separately.

    Logged:
        ``accuracy`` for multiclass and binary labels. In validation, over all clips:
        ``val_accuracy`` for multiclass and binary labels, ``val_roc_auc`` and ``val_map`` for
        multilabel and binary labels (means over labels with positive clips), ``val_r2`` for
        regression.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, head: Head | None = None, views: int = 1, together: bool = True):
        super().__init__()
        if views < 1:
            raise ConfigError(f"views must be at least 1, got {views}")
        self.head = head if head is not None else LinearHead()
        self.views, self.together = views, together
        self.kind: str | None = None

    def fit(self, width: int) -> None:
        self.head.connect(width)

    def prepare(self, facts: DataFacts) -> None:
        if not facts.classes:
            raise ConfigError(
                "supervised training needs labels; name a data set with data.sl_task."
            )
        if facts.train_targets is not None and len(facts.train_targets) == 0:
            raise ConfigError(
                "supervised training needs labels, but no training clip keeps one; raise "
                "data.supervised_data_p or data.intrabatch_supervised_p."
            )
        self.head.connect(out_dim=len(facts.classes))
        self.kind = facts.kind
        if self.kind == "regression":
            values = facts.values
            mean = values.mean(dim=0) if len(values) else torch.zeros(len(facts.classes))
            scale = (
                values.std(dim=0, correction=0) if len(values) else torch.ones(len(facts.classes))
            )
            device = next(self.head.parameters()).device
            self.register_buffer("mean", mean.to(device))
            self.register_buffer("scale", torch.where(scale > 0, scale, 1.0).to(device))

    def losses_of(self, embeddings: Tensor, batch: Batch) -> dict[str, Any]:
        # Unlabelled rows get weight 0. Selecting labelled rows with a mask would require a
        # synchronisation with the device.
        views, known = embeddings.shape[1], labelled(batch["targets"])
        outputs, chosen = self._outputs(embeddings, known), known.repeat_interleave(views)
        targets = torch.where(known[:, None], batch["targets"], 0.0).repeat_interleave(views, dim=0)
        where = share(len(outputs), outputs.device)
        logged: dict[str, Any] = {
            "loss": where.mean_of(self._errors(outputs, targets.to(outputs.dtype)), chosen)
        }
        if not self.training:
            logged["labels"] = self._scored(outputs.detach(), chosen, batch["targets"], views)
        elif self.logs and self._label.decisions is not None and "accuracy" in self._label.metrics:
            right = (self._label.decisions(outputs) == targets).all(dim=1)
            logged["accuracy"] = where.mean_of(right.float(), chosen)
        return logged

    def _outputs(self, embeddings: Tensor, known: Tensor) -> Tensor:
        """Return outputs ``[B * V, C]`` of the head for embeddings ``[B, V, D]``.

        ``known [B]`` is a mask of labelled clips. Outputs of other clips are undefined.
        """
        if not batch_norms(self.head):
            return self.head(embeddings.flatten(0, 1))
        # Batch-norm statistics must use only labelled clips. Selecting them requires a
        # synchronisation with the device.
        heard = self.head(embeddings[known].flatten(0, 1))
        outputs = heard.new_zeros(*embeddings.shape[:2], heard.shape[1])
        outputs[known] = heard.unflatten(0, (-1, embeddings.shape[1]))
        return outputs.flatten(0, 1)

    def _known_kind(self) -> str:
        assert self.kind is not None  # set by prepare()
        return self.kind

    @property
    def _label(self) -> LabelKind:
        return KINDS[self._known_kind()]

    def _scored(self, outputs: Tensor, chosen: Tensor, targets: Tensor, views: int) -> Scored:
        """Return the outputs of all views of a batch as `Scored`; NaN for unlabelled clips."""
        if self.kind == "regression":
            outputs = outputs * self.scale + self.mean
        scores = torch.where(chosen[:, None], outputs, torch.nan).unflatten(0, (-1, views))
        return Scored(scores, targets[:, None].expand(-1, views, -1), self._known_kind())

    def _errors(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each row, ``[N]``."""
        if self.kind == "regression":
            targets = (targets - self.mean) / self.scale
        return self._label.losses(outputs, targets)
