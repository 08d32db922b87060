"""Training objectives. Each file defines one criterion."""

from semisupcon.objectives.augmentation_prediction import AugmentationPrediction
from semisupcon.objectives.base import Criterion, Encode
from semisupcon.objectives.byol import BYOL
from semisupcon.objectives.cola import COLA, Bilinear, Cosine
from semisupcon.objectives.cpc import CPC, EmbeddingCPC
from semisupcon.objectives.mfcl import MFCL
from semisupcon.objectives.moco import MoCo
from semisupcon.objectives.mtslvr import MTSLVR
from semisupcon.objectives.semisupcon import SemiSupCon
from semisupcon.objectives.simclr import SimCLR
from semisupcon.objectives.simsiam import SimSiam
from semisupcon.objectives.supervised import Supervised

__all__ = [
    "BYOL",
    "COLA",
    "CPC",
    "MFCL",
    "MTSLVR",
    "AugmentationPrediction",
    "Bilinear",
    "Cosine",
    "Criterion",
    "EmbeddingCPC",
    "Encode",
    "MoCo",
    "SemiSupCon",
    "SimCLR",
    "SimSiam",
    "Supervised",
]
