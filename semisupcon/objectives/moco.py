"""MoCo: match views of a clip, with a queue of other clips as negatives (He et al. 2020)."""

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from semisupcon.batch import Batch
from semisupcon.batch_norm import statistics_learned
from semisupcon.distributed import share
from semisupcon.encoders.base import Encoder
from semisupcon.errors import ConfigError
from semisupcon.heads import Head, ProjectionHead
from semisupcon.losses import at_least_float32
from semisupcon.objectives.base import Criterion, Encode
from semisupcon.objectives.momentum import follow, follower
from semisupcon.random import derive, normal


class MoCo(Criterion):
    """InfoNCE of queries (first views) and keys (second views encoded by a momentum copy).

    See eq. 1 and alg. 1 of the paper. Negatives are the keys in the queue. The queue has keys of
    all ranks and begins with random directions, as in the published code. Keys of the same clip as
    the query are masked: if the data set is not much larger than the queue, the queue may still
    have old keys of the clip.

    With batch norm, query and key would share batch statistics, which reveal the positive. The
    published code prevents this by shuffling clips across GPUs. In this implementation, the
    momentum copy normalises with the running statistics of earlier batches, on any number of
    devices. A second forward pass updates these statistics. (EMAN, Cai et al. 2021, uses a moving
    average of the encoder's statistics instead. They are inaccurate while the encoder changes
    fast.)

    Args:
        projector: head that maps embeddings ``[N, D]`` to projections ``[N, P]``; None is two
            layers of width 512 and 128 (MoCo v2 also uses an MLP).
        temperature: positive; 0.07 in the paper.
        queue_size: number of keys in the queue; 65,536 in the paper.
        momentum: momentum of the key encoder, in [0, 1); 0.999 in the paper.

    Logged:
        ``top1``, the fraction of queries whose nearest key is the positive; ``negatives``, the
        number of keys of other clips in the queue.
    """

    views = most_views = 2
    queue: Tensor
    clips: Tensor
    oldest: Tensor

    def __init__(
        self,
        projector: Head | None = None,
        temperature: float = 0.07,
        queue_size: int = 65536,
        momentum: float = 0.999,
    ):
        super().__init__()
        if temperature <= 0 or queue_size < 1 or not 0 <= momentum < 1:
            raise ConfigError(
                "MoCo needs a positive temperature, a queue of at least 1 and a momentum in [0, "
                f"1); got {temperature}, {queue_size}, {momentum}"
            )
        self.projector = projector if projector is not None else ProjectionHead([512, 128])
        self.temperature, self.queue_size, self.momentum = temperature, queue_size, momentum
        self._enter: list[tuple[Tensor, Tensor]] = []

    def connect(self, encoder: Encoder) -> None:
        width = self.projector.complete(encoder.embedding_dim)
        self.slow_encoder, self.slow_projector = (
            follower(encoder).eval(),
            follower(self.projector).eval(),
        )
        start = normal(derive(torch.arange(self.queue_size), "queue"), "start", width)
        self.register_buffer("queue", normalize(start, dim=-1))
        self.register_buffer("clips", torch.full((self.queue_size,), -1))
        self.register_buffer("oldest", torch.zeros((), dtype=torch.int64))

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode. Momentum copies remain in evaluation mode."""
        super().train(mode)
        for slow in (
            (self.slow_encoder, self.slow_projector) if hasattr(self, "slow_encoder") else ()
        ):
            slow.eval()
        return self

    def representations(self) -> dict[str, nn.Module]:
        return {"projection": self.projector}

    def losses(self, batch: Batch, encode: Encode) -> dict[str, Any]:
        first, second = batch["audio"].unbind(dim=1)
        length_first, length_second = batch["length"].unbind(dim=1)
        queries = self.projector(encode(first, length=length_first))
        with torch.no_grad():
            keys = self.slow_projector(self.slow_encoder(second, length=length_second))
            if self.training:
                with statistics_learned(self.slow_encoder, self.slow_projector):
                    self.slow_projector(self.slow_encoder(second, length=length_second))
        with torch.autocast(queries.device.type, enabled=False):
            queries, keys = (normalize(at_least_float32(x), dim=-1) for x in (queries, keys))
            positive = torch.linalg.vecdot(queries, keys)[:, None]
            own = batch["clip"][:, None] == self.clips
            negative = (queries @ self.queue.to(queries.dtype).T).masked_fill(own, -torch.inf)
            logits = torch.cat([positive, negative], dim=1) / self.temperature
            losses = cross_entropy(
                logits, logits.new_zeros(len(logits), dtype=torch.int64), reduction="none"
            )
        where = share(len(keys), keys.device)
        if self.training:
            self._enter.append((where.gather(keys), where.gather(batch["clip"])))
        if not self.logs:
            return {"loss": where.mean(losses)}
        hits = (logits.argmax(dim=1) == 0).float()
        return {
            "loss": where.mean(losses),
            "top1": where.mean(hits),
            "negatives": where.mean((~own).sum(dim=1).float()),
        }

    def pending(self) -> dict[str, Tensor]:
        if not self._enter:
            return {}
        keys, clips = (torch.cat(parts) for parts in zip(*self._enter, strict=True))
        return {"keys": keys, "clips": clips}

    def restore_pending(self, state: dict[str, Tensor]) -> None:
        self._enter = (
            [(state["keys"].to(self.queue.device), state["clips"].to(self.queue.device))]
            if state
            else []
        )

    @torch.no_grad()
    def after_step(self, encoder: Encoder) -> None:
        """Update the key encoder, and replace the oldest keys of the queue by new keys."""
        follow(self.slow_encoder, encoder, self.momentum)
        follow(self.slow_projector, self.projector, self.momentum)
        if self._enter:  # keys of all batches of the optimizer step
            keys, clips = (
                torch.cat(parts)[-self.queue_size :] for parts in zip(*self._enter, strict=True)
            )
            places = (
                self.oldest + torch.arange(len(keys), device=self.oldest.device)
            ) % self.queue_size
            self.queue[places], self.clips[places] = keys.to(self.queue.dtype), clips
            self.oldest.copy_((self.oldest + len(keys)) % self.queue_size)
            self._enter.clear()
