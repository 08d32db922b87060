"""One backbone, two tasks: what is shared runs once, what is not learns from its own task only
(MT-SLVR, sections 3.2 and 4)."""

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from semisupcon.encoders import AdapterResNet1d, AdapterResNet2d, ResNet1d, ResNet2d, SplitResNet2d
from semisupcon.frontends import ThreeChannelMel

X = torch.randn(3, 1, 4000, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("stages", [(2, 3, 4), (1, 2, 3, 4), (4,), ()])
@pytest.mark.parametrize("kind", ["bn", "series", "parallel"])
def test_each_norm_sees_each_view_once(kind, stages):
    encoder = AdapterResNet1d(kind, width=2, out_dim=8, task_stages=stages)
    for view in (X, X.flip(0)):
        encoder(view)
    norms = [m for m in encoder.modules() if isinstance(m, _BatchNorm)]
    assert {int(m.num_batches_tracked) for m in norms} == {2}


def test_a_shared_stage_after_a_specific_one_runs_once_per_task():
    encoder = AdapterResNet1d("bn", width=2, out_dim=8, task_stages=(2,))
    encoder(X)
    assert {
        int(m.num_batches_tracked)
        for m in encoder.trunk.stages[2].modules()
        if isinstance(m, _BatchNorm)
    } == {2}
    assert {
        int(m.num_batches_tracked)
        for m in encoder.trunk.stages[0].modules()
        if isinstance(m, _BatchNorm)
    } == {1}


@pytest.mark.parametrize(
    "make",
    [
        lambda: AdapterResNet2d("series", width=2, out_dim=8),
        lambda: AdapterResNet1d("parallel", width=2, out_dim=8, task_stages=(1, 2, 3, 4)),
        lambda: SplitResNet2d(width=2, out_dim=8),
    ],
)
def test_a_task_teaches_its_own_parameters_and_the_shared_ones(make):
    encoder = make()

    def reached(task):
        encoder.zero_grad()
        encoder(X, task=task).square().sum().backward()
        return {
            name for name, p in encoder.named_parameters() if p.grad is not None and p.grad.any()
        }

    contrastive, predictive = reached("contrastive"), reached("predictive")
    everything = {name for name, _ in encoder.named_parameters()}
    assert contrastive | predictive == everything
    assert len(contrastive - predictive) == len(predictive - contrastive) > 0
    assert all(
        name.startswith(("trunk.stem", "trunk.stage", "output"))
        for name in contrastive & predictive
    )


@pytest.mark.parametrize(
    ("kind", "per_task", "first_stage"),
    [("bn", 264_692, 512), ("series", 1_648_116, 17_408), ("parallel", 1_468_916, 16_896)],
)
def test_task_parameters_are_as_many_as_in_the_sheet(kind, per_task, first_stage):
    with torch.device("meta"):
        encoder = AdapterResNet2d(kind, frontend=ThreeChannelMel())
        shared = sum(
            p.numel()
            for name, p in encoder.named_parameters()
            if name.startswith("trunk.stem") or name.endswith("t.conv.weight")
        )
        shared += sum(
            p.numel()
            for name, p in encoder.named_parameters()
            if name.endswith("second.conv.weight")
        )
        total = sum(p.numel() for p in encoder.parameters())
        stage_1 = (
            sum(p.numel() for name, p in encoder.trunk.stages[0].named_parameters())
            - 4 * 64 * 64 * 9
        )
    assert stage_1 == first_stage
    assert total - stage_1 - 2 * per_task == 10_995_008 == shared


@pytest.mark.parametrize("num_splits", [1, 2])
@pytest.mark.parametrize(
    ("kind", "total"), [("bn", 11_524_904), ("series", 14_308_648), ("parallel", 13_949_736)]
)
def test_one_output_layer_or_two_count_the_same(kind, total, num_splits):
    with torch.device("meta"):
        encoder = AdapterResNet2d(kind, num_splits=num_splits, frontend=ThreeChannelMel())
    assert sum(p.numel() for p in encoder.parameters()) == total


def test_one_output_layer_can_serve_both_tasks():
    encoder = AdapterResNet2d("bn", width=2, out_dim=8, num_splits=1).eval()
    assert encoder.task_dims == {"contrastive": 8, "predictive": 8}
    assert encoder(X).shape == (3, 16)
    assert AdapterResNet2d("bn", width=2, out_dim=None)(X).shape == (3, 32)


def test_adapters_start_far_from_the_identity():
    encoder = AdapterResNet1d("series", width=16)
    conv = encoder.trunk.stages[3][1].second.series[0].conv.weight
    assert float(conv.detach().std()) == pytest.approx((2 / conv.shape[0]) ** 0.5, rel=0.05)


def sizes(encoder, features):
    """Output shapes of stem convolution, stem and stages."""
    shapes, parts = (
        [],
        [encoder.trunk.stem[0], encoder.trunk.stem, *list(encoder.trunk.children())[1:]],
    )
    for part in parts:
        part.register_forward_hook(lambda _, __, y: shapes.append(tuple(y.shape[1:])))
    encoder.from_features(features)
    return shapes


def test_feature_maps_have_the_published_sizes():
    with torch.device("meta"):
        two = ResNet2d(18, 1000, frontend=ThreeChannelMel()).eval()
        one = ResNet1d(18, 1000).eval()
        assert sizes(two, torch.empty(2, 3, 128, 157)) == [
            (64, 64, 79),
            (64, 32, 40),
            (64, 32, 40),
            (128, 16, 20),
            (256, 8, 10),
            (512, 4, 5),
        ]
        assert sizes(one, torch.empty(2, 1, 80_000)) == [
            (64, 39_979),
            (64, 19_987),
            (64, 19_987),
            (128, 9_994),
            (256, 4_997),
            (512, 2_499),
        ]
