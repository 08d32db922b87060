"""MT-SLVR: the sum of two criteria, each on its own part of an embedding that is computed once."""

import pytest
import torch
from worlds import OPERATORS, ZOO, example, make_batch

from semisupcon.batch import DataFacts
from semisupcon.encoders import AdapterResNet2d, ResNet2d, SplitResNet2d
from semisupcon.errors import ConfigError
from semisupcon.frontends import LogMel, ThreeChannelMel
from semisupcon.heads import SimCLRHead
from semisupcon.objectives.base import Encode
from semisupcon.objectives.cpc import CPC
from semisupcon.objectives.mtslvr import MTSLVR
from semisupcon.objectives.simclr import SimCLR
from semisupcon.objectives.simsiam import SimSiam


@pytest.mark.parametrize("name", [name for name in ZOO if name.startswith("MTSLVR")])
def test_is_the_weighted_sum_of_its_parts(name):
    encoder, criterion, batch = example(name)
    losses = criterion.losses(batch, Encode(encoder))
    task = (lambda t: t) if encoder.tasks else (lambda t: None)
    embeddings = {
        t: torch.stack([encoder(x, task=task(t)) for x in batch["audio"].unbind(1)], dim=1)
        for t in ("contrastive", "predictive")
    }
    contrastive = criterion.contrastive.losses_of(embeddings["contrastive"], batch)["loss"]
    predictive = criterion.predictive.losses_of(embeddings["predictive"], batch)["loss"]
    torch.testing.assert_close(losses["contrastive_loss"], contrastive.detach())
    torch.testing.assert_close(losses["predictive_loss"], predictive.detach())
    torch.testing.assert_close(
        losses["loss"], contrastive + criterion.predictive_weight * predictive
    )


COUNTS = {  # with seven operators and three channels (section 4.4): SimCLR, SimSiam
    "None": (lambda: ResNet2d(18, 1000, frontend=ThreeChannelMel()), 13_221_303, 24_519_823),
    "split": (lambda: SplitResNet2d(frontend=ThreeChannelMel()), 12_214_803, 23_367_823),
    "bn": (lambda: AdapterResNet2d("bn", frontend=ThreeChannelMel()), 12_050_195, 23_203_215),
    "series": (
        lambda: AdapterResNet2d("series", frontend=ThreeChannelMel()),
        14_833_939,
        25_986_959,
    ),
    "parallel": (
        lambda: AdapterResNet2d("parallel", frontend=ThreeChannelMel()),
        14_475_027,
        25_628_047,
    ),
}


@pytest.mark.parametrize("name", COUNTS)
def test_the_whole_has_as_many_parameters_as_published(name):
    make, *counts = COUNTS[name]
    for contrastive, count in zip((lambda: SimCLR(SimCLRHead()), SimSiam), counts, strict=True):
        with torch.device("meta"):
            encoder, criterion = make(), MTSLVR(contrastive())
            criterion.connect(encoder)
            criterion.prepare(DataFacts(operators=tuple("abcdefg"), parameter_names=((),) * 7))
        assert (
            sum(p.numel() for module in (encoder, criterion) for p in module.parameters()) == count
        )


def test_a_tasks_own_layers_feel_only_its_loss():
    encoder, criterion, batch = example("MTSLVR, SimCLR")
    criterion.predictive_weight = 0.0
    criterion.losses(batch, Encode(encoder))["loss"].backward()
    assert encoder.output["contrastive"].weight.grad.norm() > 0
    assert encoder.output["predictive"].weight.grad.norm() == 0


@pytest.mark.parametrize("kind", ["bn", "series", "parallel"])
def test_every_batch_norm_sees_each_view_once(kind):
    frontend = LogMel(8000, n_fft=256, win_length=256, hop_length=128, n_mels=32, f_max=4000.0)
    encoder = AdapterResNet2d(
        kind=kind, width=4, out_dim=16, segment_samples=4096, frontend=frontend
    )
    criterion = MTSLVR()
    criterion.connect(encoder)
    criterion.prepare(DataFacts(operators=OPERATORS, parameter_names=((),) * 3))
    batch = make_batch(3, 2, samples=4096)
    batch["applied"] = torch.ones(3, 2, 3, dtype=torch.bool)
    criterion.losses(batch, Encode(encoder))["loss"].backward()
    norms = [m for m in encoder.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    assert len(norms) > 10
    assert {int(m.num_batches_tracked) for m in norms} == {2}


def test_parts_must_work_on_embeddings():
    with pytest.raises(
        ConfigError,
        match="contrastive part of MT-SLVR must be a criterion on embeddings, which CPC is not",
    ):
        MTSLVR(CPC())


def test_the_encoder_has_both_tasks_or_none():
    encoder, *_ = example("MFCL")
    with pytest.raises(
        ConfigError, match="needs an encoder with the tasks contrastive and predictive"
    ):
        MTSLVR(SimCLR()).connect(encoder)
