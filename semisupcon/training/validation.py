"""Validate an `Objective`: log the losses of each batch, then measures over all clips."""

from typing import Any

from torch import Tensor

from semisupcon.batch import Batch, Scored
from semisupcon.objectives.base import checked_losses
from semisupcon.training import measures


class Validation:
    """Collect the embeddings and scores of all batches of a validation, and compute measures.

    Attributes:
        embedded: for each batch, the clips ``[B]`` and the embeddings ``[B, 2, D]`` of two views.
        scored: for each batch, the `Scored` values of the criterion.
    """

    def __init__(self) -> None:
        self.embedded: list[tuple[Tensor, Tensor]] = []
        self.scored: list[list[Scored]] = []

    def step(self, module: Any, batch: Batch) -> None:
        """Log the losses of a batch as ``val_*``, and keep the embeddings of two views per clip."""
        criterion, shown = module.criterion, batch
        augment = getattr(getattr(module.trainer, "datamodule", None), "augmented", None)
        if criterion.predicts_augmentation and augment is not None:
            shown = augment(batch)
        shown = measures.first_views(shown, criterion.views)
        criterion.log_values(True)
        losses = checked_losses(criterion, shown, module.encode)
        losses.pop("top1", None)  # value of one batch; `end` logs the value over all clips
        self.scored.append(measures.take_scored(losses))
        values = {f"val_{name}": value for name, value in losses.items()}
        module.log_dict(values, on_epoch=True, sync_dist=True, batch_size=len(batch["clip"]))
        two = measures.first_views(batch, 2)
        embeddings = module.encoder(two["audio"].flatten(0, 1), length=two["length"].flatten())
        self.embedded.append((batch["clip"], embeddings.unflatten(0, two["key"].shape).float()))

    def end(self, module: Any) -> None:
        """Log label-free measures of the embedding, and the metrics of the criterion.

        - ``val_top1``: share of clips whose first view is nearer (cosine) to their second view than
          to the second view of any other clip.
        - ``val_rank``: `effective_rank` of the first views. Low: dimensional collapse.
        - ``val_alignment``: `alignment` of the two views; lower is better.
        - ``val_uniformity``: `uniformity` of the first views; lower is better.
        """
        clips = measures.of_all_ranks(module, (c for c, _ in self.embedded)).flatten()
        # Several ranks may have the same clip; count each clip once.
        once = sorted({clip: i for i, clip in reversed(list(enumerate(clips.tolist())))}.values())
        gathered = measures.of_all_ranks(module, (e for _, e in self.embedded))
        views = gathered.view(len(clips), 2, -1)[once]
        self.embedded.clear()
        module.log("val_top1", measures.retrieval_accuracy(views[:, 0], views[:, 1]), prog_bar=True)
        module.log("val_rank", measures.effective_rank(views[:, 0]))
        module.log("val_alignment", measures.alignment(views[:, 0], views[:, 1]))
        module.log("val_uniformity", measures.uniformity(views[:, 0]))
        # Compute metrics over all clips at once: a mean over batches would be another value.
        for parts in zip(*self.scored, strict=True):
            found = measures.metrics_of_all(module, parts, len(clips), once)
            module.log_dict({f"val_{name}": value for name, value in found.items()})
        self.scored.clear()
