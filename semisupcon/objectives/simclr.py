"""SimCLR (Chen et al. 2020), as in CLMR (Spijkervet and Burgoyne 2021) and MT-SLVR."""

from typing import Any

from torch import Tensor, nn

from semisupcon.batch import Batch
from semisupcon.errors import ConfigError
from semisupcon.heads import Head, ProjectionHead
from semisupcon.objectives.views import ViewCriterion, each_view, nt_xent


class SimCLR(ViewCriterion):
    """NT-Xent loss of the projections of all views in a batch (SimCLR).

    Args:
        projector: head that maps embeddings ``[N, D]`` to projections ``[N, P]``. None is the head
            of CLMR, two layers of width 512 and 64 without biases. MT-SLVR uses `SimCLRHead`.
        temperature: positive; 0.5 in CLMR, 0.07 in MT-SLVR.
        views: number of views per clip, at least 2.
        together: whether all views are encoded in one batch. False encodes each view separately, as
            in CLMR and MT-SLVR.
        gather_negatives: whether negatives are from all ranks, or only from the rank of the anchor.

    Logged:
        ``top1``, the fraction of anchors whose nearest view is from the same clip; ``negatives``,
        the number of negatives per anchor.
    """

    in_batch_negatives = True

    def __init__(
        self,
        projector: Head | None = None,
        temperature: float = 0.5,
        views: int = 2,
        together: bool = False,
        gather_negatives: bool = True,
    ):
        super().__init__()
        if temperature <= 0:
            raise ConfigError(f"temperature must be positive, got {temperature}")
        if views < 2:
            raise ConfigError(
                f"SimCLR compares views of a clip, so it needs at least 2; got {views}"
            )
        self.projector = projector if projector is not None else ProjectionHead([512, 64])
        self.temperature, self.views, self.together, self.gather_negatives = (
            temperature,
            views,
            together,
            gather_negatives,
        )

    def fit(self, width: int) -> None:
        self.projector.complete(width)

    def representations(self) -> dict[str, nn.Module]:
        return {"projection": self.projector}

    def losses_of(self, embeddings: Tensor, batch: Batch) -> dict[str, Any]:
        return nt_xent(
            each_view(self.projector, embeddings, self.together),
            batch,
            self.temperature,
            self.gather_negatives,
            self.logs,
        )
