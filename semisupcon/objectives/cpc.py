"""CPC: contrastive prediction of future frames (van den Oord et al. 2018, eq. 3 and 4)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from semisupcon.batch import Batch, DataFacts
from semisupcon.distributed import share
from semisupcon.encoders.base import Encoder
from semisupcon.errors import ConfigError
from semisupcon.frontends import NoNormalization
from semisupcon.losses import cross_entropy_of_products
from semisupcon.objectives.base import Criterion, Encode
from semisupcon.objectives.views import ViewCriterion
from semisupcon.random import integers, uniform


class CPC(Criterion):
    """Predict future frames of the encoder from the state of a recurrent network (CPC).

    The state at frame t predicts the frames t + 1 to t + steps, with one linear map per step.
    Candidates are all frames of all clips. The similarity is the inner product, without
    temperature.

    Args:
        steps: number of predicted frames; 12 in the paper, with frames of 10 ms. The encoder must
            output more frames than this.
        hidden: width of the recurrent state; 256 in the paper.
        gather_negatives: whether candidates are frames of all ranks, or only of the rank of the
            clip.

    Logged:
        ``top1``, the fraction of predictions whose most similar candidate is the true frame;
        ``negatives``, the number of other candidates.
    """

    views = 1

    def __init__(self, steps: int = 12, hidden: int = 256, gather_negatives: bool = True):
        super().__init__()
        if steps < 1 or hidden < 1:
            raise ConfigError(f"CPC needs steps and hidden of at least 1, got {steps} and {hidden}")
        self.steps, self.hidden, self.gather_negatives = steps, hidden, gather_negatives

    def connect(self, encoder: Encoder) -> None:
        if any(True for _ in encoder.pool.parameters()):
            raise ConfigError(
                f"CPC trains the frames before the pooling, so {type(encoder.pool).__name__} would "
                "keep its initial weights; "
                "use a pooling without parameters, such as AveragePool."
            )
        self.check(encoder)
        self.context = nn.GRU(encoder.embedding_dim, self.hidden, batch_first=True)
        self.predictors = nn.ModuleList(
            nn.Linear(self.hidden, encoder.embedding_dim, bias=False) for _ in range(self.steps)
        )

    def prepare(self, facts: DataFacts) -> None:
        if facts.padding:
            raise ConfigError(
                "CPC predicts every frame of a view, including padding; use data.short_clips "
                "circular and views of one length."
            )

    def check(self, encoder: Encoder) -> None:
        frames = _frames_of(encoder)
        if frames <= self.steps:
            raise ConfigError(
                f"CPC predicts {self.steps} frames ahead, but {type(encoder).__name__} gives "
                f"{frames} of {encoder.segment_samples:,} samples; "
                "use an encoder with more frames (a ResNet), longer segments, or fewer steps."
            )

    def losses(self, batch: Batch, encode: Encode) -> dict[str, Any]:
        z = encode.frames(batch["audio"].flatten(0, 1)).transpose(1, 2)
        rows, frames, _ = z.shape
        if frames <= self.steps:
            raise ConfigError(
                f"CPC predicts {self.steps} frames ahead, but these segments give {frames}; "
                "lengthen them or lower steps."
            )
        state, _ = self.context(z)
        where = share(rows, z.device, self.gather_negatives)
        everything = where.gather(z).flatten(0, 1)
        places = where.columns(z.device)[:, None] * frames + torch.arange(frames, device=z.device)
        contrasts = [
            cross_entropy_of_products(
                predict(state[:, :-k]).flatten(0, 1), everything, places[:, k:].flatten()
            )
            for k, predict in enumerate(self.predictors, start=1)
        ]
        losses = {"loss": torch.stack([c.loss for c in contrasts]).mean() * where.weight}
        if self.logs:
            top1 = torch.stack(
                [where.mean(c.nearest.view(rows, -1).mean(dim=1)) for c in contrasts]
            ).mean()
            losses |= {"top1": top1, "negatives": z.new_full((), len(everything) - 1)}
        return losses


def _frames_of(encoder: Encoder) -> int:
    """Return the number of frames of a training segment, determined by a forward pass."""
    training, normalize = encoder.training, encoder.normalize
    parameter = next(encoder.parameters())
    encoder.normalize = NoNormalization()  # data-set statistics may be unknown
    try:
        with torch.no_grad():
            silence = torch.zeros(
                1, 1, encoder.segment_samples, dtype=parameter.dtype, device=parameter.device
            )
            return encoder.eval().frames(silence).shape[-1]
    finally:
        encoder.normalize = normalize
        encoder.train(training)


class EmbeddingCPC(ViewCriterion):
    """CPC of MT-SLVR, which treats the pooled embedding as a sequence of D scalars.

    This follows the code of Heggan et al. 2023. Note that the sequence is not temporal. The
    recurrent state at each position predicts the next ``steps`` scalars. Negatives are scalars
    drawn from all embeddings and positions. The loss of a clip uses a random window of consecutive
    positions. Random draws depend on the keys of the batch. The loss is the mean over all views;
    the code of MT-SLVR divides by the number of clips instead, which doubles the loss for two
    views.

    Args:
        steps: number of predicted scalars per position; 12 in MT-SLVR.
        hidden: width of the recurrent state; 256 in MT-SLVR.
        negatives: number of negatives per position, which all its steps share; 10 in MT-SLVR.
        window: number of positions in the window; 128 in MT-SLVR.
        views: number of views per clip; 1 if used alone, 2 in MT-SLVR.
        together: whether all views are encoded in one batch, or each view separately.
        gather_negatives: whether negatives are drawn from all ranks, or only from the rank of the
            clip.

    Logged:
        ``top1``, the fraction of predictions for which the true scalar has the highest score.
    """

    def __init__(
        self,
        steps: int = 12,
        hidden: int = 256,
        negatives: int = 10,
        window: int = 128,
        views: int = 1,
        together: bool = False,
        gather_negatives: bool = True,
    ):
        super().__init__()
        if min(steps, negatives, window, views) < 1:
            raise ConfigError(
                f"steps, negatives, window and views must be at least 1, got {steps}, {negatives}, "
                f"{window} and {views}"
            )
        self.steps, self.negatives, self.window = steps, negatives, window
        self.views, self.together, self.gather_negatives = views, together, gather_negatives
        self.context = nn.GRU(1, hidden, batch_first=True)
        self.predict = nn.Linear(hidden, steps, bias=False)

    def fit(self, width: int) -> None:
        if width < self.window + self.steps:
            raise ConfigError(
                f"EmbeddingCPC needs {self.window} positions and {self.steps} ahead, but the "
                f"embedding is {width} wide; lower window or steps."
            )

    def losses_of(self, embeddings: Tensor, batch: Batch) -> dict[str, Any]:
        sequences, keys = embeddings.flatten(0, 1), batch["key"].flatten()
        width = sequences.shape[1]
        state, _ = self.context(sequences[:, :, None])
        where = share(len(sequences), sequences.device, self.gather_negatives)
        starts = integers(keys, "window", 0, width - self.window - self.steps)
        places = starts[:, None] + torch.arange(self.window, device=keys.device)
        predictions = self.predict(
            state.gather(1, places[:, :, None].expand(-1, -1, state.shape[-1]))
        )
        ahead = places[:, :, None] + torch.arange(1, self.steps + 1, device=keys.device)
        answers = sequences.gather(1, ahead.flatten(1)).view_as(predictions)
        pool = where.gather(sequences).flatten()
        drawn = (
            uniform(keys, "negatives", self.window * self.negatives).double() * len(pool)
        ).long()
        wrong = pool[drawn].view(len(keys), self.window, 1, self.negatives)
        scores = predictions[..., None] * torch.cat(
            [answers[..., None], wrong.expand(-1, -1, self.steps, -1)], dim=-1
        )
        flat = scores.flatten(0, 2)
        losses = (
            cross_entropy(flat, flat.new_zeros(len(flat), dtype=torch.int64), reduction="none")
            .view(len(keys), -1)
            .mean(dim=1)
        )
        if not self.logs:
            return {"loss": where.mean(losses)}
        hits = (scores.argmax(dim=-1) == 0).float().flatten(1).mean(dim=1)
        return {"loss": where.mean(losses), "top1": where.mean(hits)}
