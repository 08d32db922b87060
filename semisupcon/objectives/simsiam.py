"""SimSiam: predict one view from the other, without negatives (Chen and He 2021).

MT-SLVR uses it as a contrastive criterion (Heggan et al. 2023, section 2).
"""

from typing import Any

from torch import Tensor, nn

from semisupcon.batch import Batch
from semisupcon.distributed import share
from semisupcon.heads import Head, Predictor, SimSiamProjector
from semisupcon.losses import negative_cosine
from semisupcon.objectives.views import ViewCriterion, each_view, spread


class SimSiam(ViewCriterion):
    """Negative cosine similarity of the prediction from one view and the projection of the other.

    Args:
        projector: head that maps embeddings ``[N, D]`` to projections ``[N, P]``. None is the head
            of the paper, three layers of width 2048 with batch norm.
        predictor: head with a bottleneck that maps projections ``[N, P]`` to predictions
            ``[N, P]``. None has a bottleneck of width 512, as in the paper. Without a predictor,
            projections collapse.
        together: whether both views pass through encoder and heads in one batch. False passes them
            separately, as in the paper.

    Logged:
        ``spread`` of the projections, 1 if they are uniform on the sphere and 0 if they have
        collapsed.
    """

    views = most_views = 2

    def __init__(
        self, projector: Head | None = None, predictor: Head | None = None, together: bool = False
    ):
        super().__init__()
        self.projector = projector if projector is not None else SimSiamProjector()
        self.predictor = predictor if predictor is not None else Predictor()
        self.together = together

    def fit(self, width: int) -> None:
        projected = self.projector.complete(width)
        self.predictor.complete(projected, projected)

    def representations(self) -> dict[str, nn.Module]:
        return {"projection": self.projector}

    def losses_of(self, embeddings: Tensor, batch: Batch) -> dict[str, Any]:
        z = each_view(self.projector, embeddings, self.together)
        p = each_view(self.predictor, z, self.together)
        z1, z2 = z.detach().unbind(dim=1)
        p1, p2 = p.unbind(dim=1)
        where = share(len(z), z.device)
        loss = where.mean((negative_cosine(p1, z2) + negative_cosine(p2, z1)) / 2)
        return {"loss": loss, "spread": spread(z1)} if self.logs else {"loss": loss}
