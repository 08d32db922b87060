"""SemiSupCon: one contrastive loss over labelled and unlabelled clips (Guinot et al. 2024, eq. 3).

The loss uses an exact log-softmax. The published code adds 1e-6 inside the logarithm, which limits
the loss and gradient of hard pairs.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from semisupcon.batch import Batch, DataFacts
from semisupcon.distributed import share
from semisupcon.errors import ConfigError
from semisupcon.heads import Head, ProjectionHead
from semisupcon.objectives.base import Encode, statistics_kept
from semisupcon.objectives.views import (
    Items,
    ViewCriterion,
    compare,
    each_view,
    encode_views,
    lay_out,
)
from semisupcon.targets import SameClip, SharedLabels, Target

CHECKED_ROWS = 64


def check_target(target: Target, facts: DataFacts) -> None:
    """Check that a target returns a valid matrix, after its method `prepare` was called.

    The check computes a small block from training labels and one unlabelled row.

    Raises:
        ConfigError: if the block is not ``[M, N]`` with finite numbers in [0, 1].
    """
    values = facts.values[: CHECKED_ROWS + 1].float()
    if len(values) < 2:
        return
    device = next(
        (tensor.device for tensor in (*target.parameters(), *target.buffers())), values.device
    )
    labels = torch.cat([values, torch.full_like(values[:1], torch.nan)]).to(device)
    clips = torch.arange(len(labels), device=device)
    with torch.no_grad():
        block = target(labels[1:], clips[1:], labels, clips)
    size, name = [len(labels) - 1, len(labels)], f"the target {type(target).__name__}"
    if not isinstance(block, Tensor) or list(block.shape) != size:
        got = list(block.shape) if isinstance(block, Tensor) else type(block).__name__
        raise ConfigError(
            f"{name} must return [M, N] for M rows and N columns: {size} here, got {got}."
        )
    if not block.isfinite().all():
        raise ConfigError(
            f"{name} has values that are not finite. Return 0 for unlabelled clips, whose labels "
            "are NaN."
        )
    if not block.is_floating_point() or block.min() < 0 or block.max() > 1 + 1e-4:
        raise ConfigError(
            f"{name} must return floating-point numbers in [0, 1], got {block.dtype} from "
            f"{block.min()} to {block.max()}."
        )


class SemiSupCon(ViewCriterion):
    """Contrastive loss with positives from views and labels (SemiSupCon).

    Positives are views of the same clip, and labelled clips with similar labels. All other pairs
    are negatives.

    Args:
        projector: head that maps embeddings ``[N, D]`` to projections ``[N, P]``. None is the head
            of the paper, two layers of width 512 and 128 without biases.
        target: target matrix for labelled items. None makes items with at least one shared label
            positives. `semisupcon.targets.SameClip` ignores labels.
        temperature: positive; 0.1 in the paper.
        views: number of views per clip, at least 2; adjacent crops in the paper.
        together: whether all views are encoded in one batch, as in the paper. False encodes each
            view separately.
        gather_negatives: whether candidates are from all ranks, or only from the rank of the
            anchor.

    Logged:
        ``semisl_loss``, the loss; ``sl_loss``, the loss among labelled items with positives by
        label; ``ssl_loss``, the loss among unlabelled items (both only if the batch has such
        items); ``sparsity_semisl`` and ``sparsity_sl``, 1 minus the mean of the target matrix with
        a zero diagonal; ``top1``, the target weight of the nearest item; ``negatives``, the sum of
        negative weights per anchor.
    """

    in_batch_negatives = True

    def __init__(
        self,
        projector: Head | None = None,
        target: Target | None = None,
        temperature: float = 0.1,
        views: int = 2,
        together: bool = True,
        gather_negatives: bool = True,
    ):
        super().__init__()
        if temperature <= 0:
            raise ConfigError(f"temperature must be positive, got {temperature}")
        if views < 2:
            raise ConfigError(
                f"SemiSupCon compares views of a clip, so it needs at least 2; got {views}"
            )
        self.projector = projector if projector is not None else ProjectionHead([512, 128])
        self.target = target if target is not None else SharedLabels()
        self.temperature, self.views, self.together, self.gather_negatives = (
            temperature,
            views,
            together,
            gather_negatives,
        )

    def fit(self, width: int) -> None:
        self.projector.complete(width)

    def prepare(self, facts: DataFacts) -> None:
        if facts.classes:
            self.target.prepare(facts)
            check_target(self.target, facts)

    def representations(self) -> dict[str, nn.Module]:
        return {"projection": self.projector}

    def losses_of(self, embeddings: Tensor, batch: Batch) -> dict[str, Any]:
        items = self._items(embeddings, batch)
        where = share(len(items), items.clips.device, self.gather_negatives)
        everyone = items.gather(where)
        contrast = compare(items, everyone, where, self.near, self.temperature)
        loss = contrast.loss * where.weight
        if not self.logs:  # the rest synchronises with the device
            return {"loss": loss}
        mass = where.mean(contrast.mass)
        logged = {"semisl_loss": loss.detach(), "sparsity_semisl": 1 - mass / len(everyone)}
        logged |= {"top1": where.mean(contrast.nearest), "negatives": len(everyone) - 1 - mass}
        with torch.no_grad():
            labelled = everyone.labelled
            for name, chosen, target in (
                ("sl", labelled, self.target),
                ("ssl", ~labelled, SameClip()),
            ):
                part = where.select(chosen)
                if (
                    share(part.sizes[part.rank], chosen.device).total == 0
                ):  # all ranks must log the same names
                    continue
                rows = chosen[where.columns(chosen.device)]
                among = compare(
                    items.select(rows), everyone.select(chosen), part, target, self.temperature
                )
                logged[f"{name}_loss"] = among.loss * part.weight
                if name == "sl":
                    logged["sparsity_sl"] = 1 - part.mean(among.mass) / max(part.total, 1)
        return {"loss": loss} | logged

    def near(
        self, labels_rows: Tensor, clips_rows: Tensor, labels_columns: Tensor, clips_columns: Tensor
    ) -> Tensor:
        """Return the semi-supervised target ``[M, N]``: 1 for pairs of the same clip, else the
        label target.

        This equals the sum of both targets, limited to 1.
        """
        same = clips_rows[:, None] == clips_columns
        if labels_rows.shape[1] == 0:
            return same.float()
        return self.target(labels_rows, clips_rows, labels_columns, clips_columns).masked_fill(
            same, 1.0
        )

    def _items(self, embeddings: Tensor, batch: Batch) -> Items:
        return lay_out(each_view(self.projector, embeddings, self.together), batch)

    def matrices(self, batch: Batch, encode: Encode) -> dict[str, Tensor]:
        """Return the target matrix of a batch and matrices of similarities (cosine / temperature).

        Similarities are those of all, of labelled and of unlabelled items. Diagonals are zero.
        """
        with torch.no_grad(), statistics_kept(encode.encoder), statistics_kept(self):
            items = self._items(encode_views(batch, encode, self.together), batch)
        directions = normalize(items.projections.float(), dim=-1)
        others = 1 - torch.eye(len(items), device=directions.device)
        similarity = directions @ directions.T / self.temperature * others
        near = self.near(items.labels, items.clips, items.labels, items.clips)
        pictures = {"target_contrastive_matrix": near * others, "semisl_sim": similarity}
        for name, chosen in (("sl_sim", items.labelled), ("ssl_sim", ~items.labelled)):
            if chosen.any():
                pictures[name] = similarity[chosen][:, chosen]
        return pictures
