"""Heads: counts of the fact sheets, widths learned or checked, and specs that build them again."""

import pytest
import torch

from semisupcon.errors import ConfigError
from semisupcon.heads import (
    AugmentationPredictor,
    COLAHead,
    LinearHead,
    MLPHead,
    Predictor,
    ProjectionHead,
    SimCLRHead,
    SimSiamProjector,
)
from semisupcon.spec import build, spec_of

COUNTS = [
    (ProjectionHead(), 512, None, 327_680),
    (ProjectionHead([512, 64]), 512, None, 294_912),
    (SimCLRHead(), 1000, None, 1_257_256),
    (SimCLRHead(), 500, None, 378_756),
    (SimSiamProjector(), 1000, None, 10_455_040),
    (SimSiamProjector(), 500, None, 9_431_040),
    (Predictor(), 2048, None, 2_100_736),
    (COLAHead(), 1280, None, 656_896),
    (COLAHead(bias=False), 1280, None, 656_384),
    (AugmentationPredictor(), 1000, 7, 274_535),
    (AugmentationPredictor(), 500, 7, 146_535),
    (LinearHead(), 512, 50, 25_650),
    (LinearHead(bias=False), 512, 50, 25_600),
    (MLPHead(bias=False), 512, 50, 287_744),
]


@pytest.mark.parametrize(
    ("head", "in_dim", "out_dim", "count"),
    COUNTS,
    ids=lambda v: type(v).__name__ if isinstance(v, torch.nn.Module) else None,
)
def test_counts_and_specs(head, in_dim, out_dim, count):
    with pytest.raises(ConfigError, match="has no layers yet"):
        head(torch.zeros(2, in_dim))
    head.connect(in_dim, out_dim)
    assert sum(p.numel() for p in head.parameters()) == count
    again = build(spec_of(head)).eval()
    again.load_state_dict(head.state_dict())
    x = torch.randn(2, in_dim)
    assert torch.equal(again(x), head.eval()(x))
    assert again(x).shape == (2, head.out_dim)
    # Connecting again to the same is nothing, to anything else an error of one sentence.
    weights = list(head.parameters())
    head.connect(in_dim, out_dim)
    assert all(a is b for a, b in zip(weights, head.parameters(), strict=True))
    with pytest.raises(
        ConfigError,
        match=rf"has inputs of width {in_dim}, but the embedding is {in_dim + 1} wide; leave in_dim out",
    ) as caught:
        head.connect(in_dim + 1)
    assert "\n" not in str(caught.value)


def test_what_must_be_complete_knows_its_outputs():
    head, given = LinearHead(), LinearHead(10)
    with pytest.raises(ConfigError, match="LinearHead needs out_dim: ") as caught:
        head.complete(8)
    assert "\n" not in str(caught.value)
    for ready, arguments in ((given, [8]), (LinearHead(), [8, 10]), (Predictor(4), [10, 10])):
        ready.complete(*arguments)
        assert ready(torch.zeros(2, arguments[0])).shape == (2, 10)
    with pytest.raises(ConfigError, match="has inputs of width 8, but the embedding is 9 wide"):
        given.complete(9)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ProjectionHead([]), "at least the width"),
        (lambda: ProjectionHead([512, 0]), "widths of at least 1, got hidden .512., out_dim 0"),
        (lambda: ProjectionHead([-4, 64]), "got hidden .-4., out_dim 64"),
        (lambda: AugmentationPredictor([16, 0]), "got hidden .16, 0."),
        (lambda: Predictor(0), "got hidden .0."),
        (lambda: MLPHead(10, hidden=0), "got hidden .0., out_dim 10"),
        (lambda: LinearHead(-1), "got out_dim -1"),
        (lambda: COLAHead(0, in_dim=4), "got in_dim 4, out_dim 0"),
        (lambda: SimSiamProjector(layers=0), "at least 1 layer, got 0"),
    ],
)
def test_layers_without_width_are_refused(make, says):
    with pytest.raises(ConfigError, match=says):
        make()


def test_outputs_are_checked_too():
    head = LinearHead(10)
    head.connect(8)
    with pytest.raises(ConfigError, match="has 10 outputs, but 12 are needed"):
        head.connect(out_dim=12)


def test_cola_head_is_a_bounded_layer_norm():
    head = COLAHead(out_dim=16, in_dim=8)
    x = torch.randn(4, 8)
    linear, norm, _ = head.net
    z = linear(x)
    expected = (
        (z - z.mean(1, keepdim=True)) / (z.var(1, correction=0, keepdim=True) + 1e-3).sqrt()
    ).tanh()
    torch.testing.assert_close(head(x), expected)
    assert norm.eps == 1e-3
