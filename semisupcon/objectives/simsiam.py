"""SimSiam: two views predict each other, with no negatives (Chen and He 2021; as in MT-SLVR, Heggan et al. 2023, section 2)."""

from typing import Any

from torch import Tensor, nn

from semisupcon.batch import Batch
from semisupcon.distributed import share
from semisupcon.heads import Head, Predictor, SimSiamProjector
from semisupcon.losses import negative_cosine
from semisupcon.objectives.views import ViewCriterion, each_view, spread


class SimSiam(ViewCriterion):
    """Learn an embedding whose prediction of one view of a clip points at the other view.

    Args:
        projector: embedding ``[N, D]`` to ``[N, P]``; None is the paper's, three layers of 2048 with batch norm.
        predictor: ``[N, P]`` to ``[N, P]`` through a bottleneck; None is the paper's, 512. Without it the objective collapses.
        together: whether both views pass encoder and heads at once, or each alone (as in the paper).

    Logged:
        ``spread``, 1 when the projections fill the sphere and 0 when they have collapsed.
    """

    views = most_views = 2

    def __init__(self, projector: Head | None = None, predictor: Head | None = None, together: bool = False):
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
