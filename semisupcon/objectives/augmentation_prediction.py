"""Augmentation prediction (MLAP in Heggan et al. 2023, section 2).

The objective predicts which augmentation operators were applied to a view (multilabel
classification). Optionally it also predicts their parameters (regression), which the paper mentions
but its code does not implement.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from semisupcon.batch import Batch, DataFacts, Scored
from semisupcon.distributed import Share, share
from semisupcon.errors import ConfigError
from semisupcon.heads import AugmentationPredictor, Head
from semisupcon.objectives.views import ViewCriterion


class AugmentationPrediction(ViewCriterion):
    """Predict the applied augmentation operators, and optionally their parameters.

    The loss is the binary cross-entropy per operator, plus the squared error per parameter of an
    applied operator. Parameters have different units, so they are standardised by their running
    mean and standard deviation (buffers that checkpoints store). In a batch without augmentation,
    no operator counts as applied. Validation views are augmented for this criterion.

    Args:
        predictor: head that maps embeddings ``[N, D]`` to one logit per operator; None is the head
            of the paper.
        regressor: head that maps embeddings ``[N, D]`` to one number per parameter of an operator;
            None predicts no parameters.
        parameter_weight: weight of the squared error in the loss.
        views: number of views per clip; 1 if used alone, 2 in MT-SLVR.
        together: whether all views are encoded in one batch. False encodes each view separately.
            The predictor always gets all views in one batch, as in the code of the paper.

    Logged:
        ``operator_loss``; ``parameter_loss`` if parameters are predicted; in validation
        ``val_operator_map`` and ``val_operator_roc_auc``, which are means over operators.
    """

    predicts_augmentation = True
    exist: Tensor
    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(
        self,
        predictor: Head | None = None,
        regressor: Head | None = None,
        parameter_weight: float = 1.0,
        views: int = 1,
        together: bool = False,
    ):
        super().__init__()
        if views < 1 or parameter_weight < 0:
            raise ConfigError(
                f"views must be at least 1 and parameter_weight at least 0, got {views} and "
                f"{parameter_weight}"
            )
        self.predictor = predictor if predictor is not None else AugmentationPredictor()
        self.regressor = regressor
        self.parameter_weight, self.views, self.together = parameter_weight, views, together

    def fit(self, width: int) -> None:
        self.predictor.connect(width)
        if self.regressor is not None:
            self.regressor.connect(width)

    def prepare(self, facts: DataFacts) -> None:
        if not facts.operators:
            raise ConfigError(
                "augmentation prediction needs augmentations to predict; name some in "
                "data.aug_list."
            )
        self.predictor.connect(out_dim=len(facts.operators))
        if self.regressor is not None:
            # Indices of existing parameters in the flattened [K, P] table, which is padded.
            widest = max(len(names) for names in facts.parameter_names)
            exist = [
                k * widest + i
                for k, names in enumerate(facts.parameter_names)
                for i in range(len(names))
            ]
            if not exist:
                raise ConfigError(
                    "the regressor predicts parameters, but no operator has one "
                    f"({', '.join(facts.operators)}); remove the regressor, "
                    f"or add an operator with parameters, such as gain, to data.aug_list."
                )
            self.regressor.connect(out_dim=len(exist))
            device = next(self.predictor.parameters()).device
            self.register_buffer("exist", torch.tensor(exist, device=device), persistent=False)
            for name in ("count", "mean", "squares"):
                if not hasattr(self, name):
                    self.register_buffer(name, torch.zeros(len(exist), device=device))

    def losses_of(self, embeddings: Tensor, batch: Batch) -> dict[str, Any]:
        rows = embeddings.flatten(0, 1)
        where = share(len(rows), rows.device)
        logits = self.predictor(rows)
        applied = (
            batch["applied"].flatten(0, 1)
            if "applied" in batch
            else torch.zeros_like(logits, dtype=torch.bool)
        )
        loss = where.mean(
            binary_cross_entropy_with_logits(
                logits, applied.to(logits.dtype), reduction="none"
            ).mean(dim=1)
        )
        logged: dict[str, Any] = {"operator_loss": loss.detach()}
        if not self.training and "applied" in batch:
            views = embeddings.shape[:2]
            scores, truth = (
                logits.detach().unflatten(0, views),
                applied.to(logits.dtype).unflatten(0, views),
            )
            logged["operators"] = Scored(scores, truth, "multilabel", "operator_")
        if self.regressor is not None:
            error = self._squared_error(self.regressor(rows), batch, where)
            loss, logged["parameter_loss"] = loss + self.parameter_weight * error, error.detach()
        return {"loss": loss} | logged

    def _squared_error(self, predicted: Tensor, batch: Batch, where: Share) -> Tensor:
        if "parameters" not in batch:
            return predicted.sum() * 0
        values = batch["parameters"].flatten(0, 1).flatten(1)[:, self.exist]
        known = ~values.isnan()
        if self.training:
            self._remember(where.gather(values))
        deviation = (self.squares / self.count.clamp(min=1)).sqrt()
        standardised = (values - self.mean) / torch.where(deviation > 0, deviation, 1.0)
        errors = (predicted - standardised.to(predicted.dtype).nan_to_num()) ** 2
        return where.mean_of(errors, known)

    @torch.no_grad()
    def _remember(self, values: Tensor) -> None:
        """Update means and sums of squared deviations with values ``[N, Q]`` (Chan et al. 1983).

        Values are NaN for operators that were not applied.
        """
        known = ~values.isnan()
        count = known.sum(dim=0)
        mean = values.nan_to_num().sum(dim=0) / count.clamp(min=1)
        squares = torch.where(known, (values - mean) ** 2, 0.0).sum(dim=0)
        total = (self.count + count).clamp(min=1)
        change = mean - self.mean
        self.squares += squares + change**2 * self.count * count / total
        self.mean += change * count / total
        self.count += count
