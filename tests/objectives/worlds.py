"""A small world for objectives: batches of noise, encoders that cost nothing, and one example of
every criterion."""

import math

import torch
from torch import Tensor, nn

from semisupcon.batch import DataFacts
from semisupcon.encoders.base import Encoder
from semisupcon.encoders.multiformat import MultiFormat
from semisupcon.frontends.base import Frontend
from semisupcon.heads import (
    AugmentationPredictor,
    Head,
    LinearHead,
    Predictor,
    ProjectionHead,
    SimSiamProjector,
)
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
from semisupcon.random import uniform
from semisupcon.spec import Recorded
from semisupcon.targets import Dice, Kernel

SAMPLES = 32


def make_batch(
    clips: int,
    views: int,
    samples: int = SAMPLES,
    targets: Tensor | None = None,
    seed: int = 0,
    dtype=torch.float32,
) -> dict:
    """A batch whose clips are random but reproducible."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "audio": torch.randn(clips, views, 1, samples, generator=generator, dtype=torch.float64).to(
            dtype
        ),
        "length": torch.full((clips, views), samples),
        "targets": torch.zeros(clips, 0) if targets is None else targets.clone(),
        "clip": torch.arange(clips) + 1000,
        "key": (torch.arange(clips)[:, None] * 7919 + 12345 << 8) | torch.arange(views),
    }


class Given(Head):
    """Hands on what it is given."""

    def __init__(self, width: int):
        super().__init__(width, width)

    def make(self, in_dim, out_dim):
        return nn.Sequential(nn.Identity())


class Bands(Frontend):
    """Four bands from every four samples: a spectrogram of sorts."""

    bands = 4

    def forward(self, x):
        return x.unflatten(2, (-1, 4)).transpose(2, 3)

    def frame_count(self, samples):
        return samples // 4


class DimBands(Recorded):
    """A stand-in for SpecAugment that depends on the key."""

    def forward(self, features, key):
        return features * (
            0.5 + 0.5 * uniform(key, "bands", 4)[:, None, :, None].to(features.dtype)
        )


class TinyEncoder(Encoder):
    """One convolution over non-overlapping frames, with as many tasks as asked for."""

    def __init__(
        self,
        width: int = 6,
        norm: bool = False,
        tasks: list[str] | None = None,
        stride: int = 2,
        segment_samples: int = SAMPLES,
    ):
        trunk = nn.Sequential(
            nn.Conv1d(1, width, stride, stride),
            nn.BatchNorm1d(width) if norm else nn.Identity(),
            nn.Tanh(),
        )
        ends = nn.ModuleDict({task: nn.Linear(width, width) for task in tasks}) if tasks else None
        dims = dict.fromkeys(tasks, width) if tasks else width
        super().__init__(
            trunk,
            width=width,
            dims=dims,
            sample_rate=8000,
            segment_samples=segment_samples,
            min_samples=stride,
            output=ends,
        )


class TinySpectrogramEncoder(Encoder):
    """One convolution over all bands of a frame."""

    def __init__(self, width: int = 6):
        trunk = nn.Sequential(nn.Conv2d(1, width, (4, 1)), nn.Tanh())
        super().__init__(
            trunk,
            width=width,
            dims=width,
            sample_rate=8000,
            segment_samples=SAMPLES,
            frontend=Bands(),
        )


OPERATORS = ("gain", "delay", "noise")
PARAMETERS = (("decibels",), ("milliseconds", "level"), ())
FACTS = {
    "multilabel": DataFacts(("a", "b", "c"), "multilabel", OPERATORS, PARAMETERS),
    "multiclass": DataFacts(("a", "b", "c"), "multiclass", OPERATORS, PARAMETERS),
    "regression": DataFacts(
        ("x", "y", "z"),
        "regression",
        OPERATORS,
        PARAMETERS,
        torch.tensor([[0.0, 2, 1], [1, 5, 1], [4, 3, 1]]).numpy(),
    ),
}


def head() -> Head:
    return ProjectionHead([5, 4], bias=True)


def siamese() -> dict[str, Head]:
    return {"projector": SimSiamProjector(5, layers=2), "predictor": Predictor(3)}


ZOO: dict[str, tuple] = {
    "SemiSupCon, tags": (TinyEncoder, lambda: SemiSupCon(head()), "multilabel"),
    "SemiSupCon, overlap, 3 views": (
        TinyEncoder,
        lambda: SemiSupCon(head(), Dice(), views=3),
        "multilabel",
    ),
    "SemiSupCon, values": (TinyEncoder, lambda: SemiSupCon(head(), Kernel()), "regression"),
    "SimCLR": (TinyEncoder, lambda: SimCLR(head()), "multilabel"),
    "SimSiam": (TinyEncoder, lambda: SimSiam(**siamese()), "multilabel"),
    "MoCo": (TinyEncoder, lambda: MoCo(head(), queue_size=8, momentum=0.9), "multilabel"),
    "BYOL": (TinyEncoder, lambda: BYOL(**siamese(), momentum_steps=10), "multilabel"),
    "CPC": (TinyEncoder, lambda: CPC(3, hidden=4), "multilabel"),
    "CPC on embeddings": (
        TinyEncoder,
        lambda: EmbeddingCPC(2, 4, negatives=3, window=3),
        "multilabel",
    ),
    "COLA": (
        TinySpectrogramEncoder,
        lambda: COLA(head(), Bilinear(4, 0.3), noise=0.1, spec_augment=DimBands()),
        "multilabel",
    ),
    "COLA, cosine, symmetric": (
        TinyEncoder,
        lambda: COLA(LinearHead(4), Cosine(), symmetric=True, together=False),
        "multilabel",
    ),
    "MFCL": (lambda: MultiFormat(TinyEncoder(), TinySpectrogramEncoder()), MFCL, "multilabel"),
    "MFCL, masked": (
        lambda: MultiFormat(TinyEncoder(), TinySpectrogramEncoder(5)),
        lambda: MFCL(0.2, head(), head(), DimBands()),
        "multilabel",
    ),
    "augmentation prediction": (
        TinyEncoder,
        lambda: AugmentationPrediction(
            AugmentationPredictor([4]), AugmentationPredictor([4]), views=2
        ),
        "multilabel",
    ),
    "MTSLVR, SimCLR": (
        lambda: TinyEncoder(tasks=["contrastive", "predictive"]),
        lambda: MTSLVR(
            SimCLR(head(), 0.07), AugmentationPrediction(AugmentationPredictor([4]), views=2), 0.7
        ),
        "multilabel",
    ),
    "MTSLVR, SimSiam": (
        TinyEncoder,
        lambda: MTSLVR(
            SimSiam(**siamese()), AugmentationPrediction(AugmentationPredictor([4]), views=2)
        ),
        "multilabel",
    ),
    "supervised classes": (TinyEncoder, Supervised, "multiclass"),
    "supervised tags": (TinyEncoder, lambda: Supervised(views=2), "multilabel"),
    "supervised values": (TinyEncoder, Supervised, "regression"),
}


def labels(kind: str, clips: int) -> Tensor:
    """Targets ``[clips, 3]``; every third clip is unlabelled."""
    generator = torch.Generator().manual_seed(7)
    if kind == "multiclass":
        targets = torch.eye(3)[torch.randint(3, (clips,), generator=generator)]
    elif kind == "multilabel":
        targets = (torch.rand(clips, 3, generator=generator) < 0.5).float()
    else:
        targets = torch.randn(clips, 3, generator=generator)
    targets[2::3] = float("nan")
    return targets


def example(name: str, clips: int = 6, dtype=torch.float64) -> tuple[Encoder, Criterion, dict]:
    """An encoder, a criterion fitted to it, both in training but with batch statistics frozen, and
    a batch."""
    make_encoder, make_criterion, kind = ZOO[name]
    torch.manual_seed(0)
    encoder, criterion = make_encoder(), make_criterion()
    criterion.connect(encoder)
    criterion.prepare(FACTS[kind])
    encoder.to(dtype)
    criterion.to(dtype)
    for module in (*encoder.modules(), *criterion.modules()):
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
            nn.init.normal_(module.running_mean, std=0.1)
    batch = make_batch(clips, criterion.views, targets=labels(kind, clips), dtype=dtype)
    shape = (clips, criterion.views, len(OPERATORS))
    generator = torch.Generator().manual_seed(9)
    batch["applied"] = torch.rand(shape, generator=generator) < 0.6
    batch["parameters"] = (5 + 3 * torch.randn(*shape, 2, generator=generator)).masked_fill(
        ~batch["applied"][..., None], float("nan")
    )
    batch["parameters"][..., 0, 1] = batch["parameters"][..., 2, :] = float("nan")
    return encoder, criterion, batch


def losses_of(name: str, clips: int = 6) -> tuple[dict, Encoder, Criterion, dict]:
    """What an example's criterion says of its batch, and the example."""
    encoder, criterion, batch = example(name, clips)
    return criterion.losses(batch, Encode(encoder)), encoder, criterion, batch


def info_nce(scores: list[float], answer: int) -> float:
    """Minus the log-probability of one answer among scores, in plain Python."""
    top = max(scores)
    return math.log(sum(math.exp(s - top) for s in scores)) + top - scores[answer]
