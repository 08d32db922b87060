"""BYOL: predict the projection of the other view, computed by a momentum copy of the network.

See Grill et al. 2020, eq. 2, and Niizumi et al. 2021 for audio (BYOL-A).
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from semisupcon.batch import Batch
from semisupcon.distributed import share
from semisupcon.encoders.base import Encoder
from semisupcon.errors import ConfigError
from semisupcon.heads import Head, Predictor, SimSiamProjector
from semisupcon.losses import negative_cosine
from semisupcon.objectives.base import Criterion, Encode
from semisupcon.objectives.momentum import follow, follower
from semisupcon.objectives.views import spread


class BYOL(Criterion):
    """Squared distance between normalised predictions and target projections (BYOL).

    The squared distance of unit vectors is 2 - 2 cosine. The loss is the sum over both directions:
    each view is predicted from the other.

    Args:
        projector: head that maps embeddings ``[N, D]`` to projections ``[N, P]``; None is two
            layers of width 256 with batch norm.
        predictor: head that maps projections ``[N, P]`` to predictions ``[N, P]``; None has a
            hidden layer of width 4096, as in the paper.
        momentum: initial momentum of the target network, in [0, 1); 0.996 in the paper, 0.99 in
            BYOL-A.
        momentum_steps: number of optimizer steps in which the momentum rises to 1 along a cosine;
            the whole run in the paper. None keeps it constant.

    Logged:
        ``spread`` of the projections, 1 if they are uniform on the sphere and 0 if they have
        collapsed; ``momentum``.
    """

    views = most_views = 2
    steps: Tensor

    def __init__(
        self,
        projector: Head | None = None,
        predictor: Head | None = None,
        momentum: float = 0.99,
        momentum_steps: int | None = None,
    ):
        super().__init__()
        if not 0 <= momentum < 1:
            raise ConfigError(f"momentum must lie in [0, 1), got {momentum}")
        if momentum_steps is not None and momentum_steps < 1:
            raise ConfigError(f"momentum_steps must be at least 1, got {momentum_steps}")
        self.projector = projector if projector is not None else SimSiamProjector(256, layers=2)
        self.predictor = predictor if predictor is not None else Predictor(4096)
        self.start, self.momentum_steps = momentum, momentum_steps
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self._known: tuple[Tensor | None, int, int] = (None, -1, 0)

    def connect(self, encoder: Encoder) -> None:
        width = self.projector.complete(encoder.embedding_dim)
        self.predictor.complete(width, width)
        self.slow_encoder, self.slow_projector = follower(encoder), follower(self.projector)

    def representations(self) -> dict[str, nn.Module]:
        return {"projection": self.projector}

    def momentum(self) -> float:
        """Return the momentum of the next target-network update (Grill et al. 2020, sec. 3.2)."""
        if self.momentum_steps is None:
            return self.start
        return (
            1
            - (1 - self.start)
            * (math.cos(math.pi * min(self._made() / self.momentum_steps, 1)) + 1)
            / 2
        )

    def _made(self) -> int:
        """Return the number of optimizer steps, cached in CPU memory.

        The buffer ``steps`` is read from the device once, and again after other code has changed
        it, for example by loading a checkpoint.
        """
        buffer, version, count = self._known
        if buffer is not self.steps or version != self.steps._version:
            count = int(self.steps)
            self._known = (self.steps, self.steps._version, count)
        return count

    def losses(self, batch: Batch, encode: Encode) -> dict[str, Any]:
        views = list(zip(batch["audio"].unbind(dim=1), batch["length"].unbind(dim=1), strict=True))
        # Views are encoded separately, so each view has its own batch-norm statistics.
        p1, p2 = (self.predictor(self.projector(encode(x, length=n))) for x, n in views)
        with torch.no_grad():
            z1, z2 = (self.slow_projector(self.slow_encoder(x, length=n)) for x, n in views)
        where = share(len(z1), z1.device)
        losses = 4 + 2 * (negative_cosine(p1, z2) + negative_cosine(p2, z1))
        if not self.logs:
            return {"loss": where.mean(losses)}
        return {
            "loss": where.mean(losses),
            "spread": spread(z1),
            "momentum": losses.new_full((), self.momentum()),
        }

    def after_step(self, encoder: Encoder) -> None:
        """Update the target network as a moving average of the trained network."""
        momentum = self.momentum()
        follow(self.slow_encoder, encoder, momentum)
        follow(self.slow_projector, self.projector, momentum)
        made = self._made()
        self.steps += 1
        self._known = (self.steps, self.steps._version, made + 1)
