"""The contrastive loss equals its definition, written out in float64 one pair at a time, for any
tiling."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semisupcon.losses import contrastive, contrastive_loss, cross_entropy_of_products


def by_definition(z, targets, temperature):
    """Khosla et al. 2020, eq. 2, in plain Python."""
    z = [[x / math.sqrt(sum(v * v for v in row)) for x in row] for row in z.double().tolist()]
    similarity = [
        [sum(a * b for a, b in zip(u, v, strict=True)) / temperature for v in z] for u in z
    ]
    total = 0.0
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        denominator = sum(math.exp(similarity[i][j]) for j in others)
        mass = sum(targets[i][j] for j in others)
        if mass:
            total -= (
                sum(targets[i][j] * (similarity[i][j] - math.log(denominator)) for j in others)
                / mass
            )
    return total / len(z)


def by_softmax(z, targets, temperature):
    """The same with the whole matrix at once, so that autograd gives its gradient."""
    z = torch.nn.functional.normalize(z, dim=-1)
    itself = torch.eye(len(z), dtype=bool)
    weights = targets.to(z.dtype).masked_fill(itself, 0)
    log_prob = (
        (z @ z.T / temperature)
        .masked_fill(itself, float("-inf"))
        .log_softmax(dim=1)
        .masked_fill(itself, 0)
    )
    return -((weights * log_prob).sum(1) / weights.sum(1).where(weights.sum(1) > 0, 1)).mean()


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=[1, 20, 1 << 20], ids=["a row a tile", "uneven tiles", "one tile"])
def tiles(request, monkeypatch):
    monkeypatch.setitem(contrastive.TILE_ELEMENTS, "cpu", request.param)


@pytest.mark.parametrize("temperature", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("kind", ["same track", "shared labels", "weighted", "one anchor alone"])
def test_equals_its_definition(kind, temperature, tiles):
    z = draw(8, 5).float()
    same_track = torch.eye(4).repeat_interleave(2, 0).repeat_interleave(2, 1)
    labels = torch.tensor([[1, 0], [1, 1], [0, 1], [0, 0]]).repeat_interleave(2, 0)
    targets = {
        "same track": same_track,
        "shared labels": torch.maximum(same_track, (labels @ labels.T >= 1).float()),
        "weighted": draw(8, 8, seed=1).sigmoid(),
        "one anchor alone": same_track * (torch.arange(8) != 3)[:, None],
    }[kind]
    loss = contrastive_loss(z, z, targets, torch.arange(8), temperature).loss
    assert loss.item() == pytest.approx(by_definition(z, targets.tolist(), temperature), rel=1e-5)


def test_gradient_is_exact(tiles):
    z, targets = draw(6, 4).requires_grad_(), draw(6, 6, seed=1).sigmoid()
    targets[2] = 0
    assert torch.autograd.gradcheck(
        lambda z: contrastive_loss(z, z, targets, torch.arange(6), 0.5).loss, z
    )
    ours, theirs = (
        torch.autograd.grad(f, z)[0]
        for f in (
            contrastive_loss(z, z, targets, torch.arange(6), 0.1).loss,
            by_softmax(z, targets, 0.1),
        )
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 9),
    dim=st.integers(1, 5),
    temperature=st.floats(0.02, 2),
    seed=st.integers(0, 10**6),
    tile=st.integers(1, 100),
)
def test_tiles_never_change_loss_or_gradient(n, dim, temperature, seed, tile):
    z, targets = (
        draw(n, dim, seed=seed).requires_grad_(),
        (draw(n, n, seed=seed + 1) > 0.3).double(),
    )
    before = contrastive.TILE_ELEMENTS["cpu"]
    contrastive.TILE_ELEMENTS["cpu"] = tile
    try:
        ours = contrastive_loss(z, z, lambda rows: targets[rows], torch.arange(n), temperature)
    finally:
        contrastive.TILE_ELEMENTS["cpu"] = before
    reference = by_softmax(z, targets, temperature)
    if n > 1:
        torch.testing.assert_close(ours.loss, reference, rtol=1e-9, atol=1e-9)
        for a, b in zip(
            torch.autograd.grad(ours.loss, z), torch.autograd.grad(reference, z), strict=True
        ):
            torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)
    else:
        assert ours.loss == 0


def test_rows_may_be_fewer_than_columns_and_order_does_not_matter():
    z, targets = draw(9, 4), draw(9, 9, seed=1).sigmoid()
    whole = contrastive_loss(z, z, targets, torch.arange(9)).loss
    parts = [
        contrastive_loss(z[rows], z, targets[rows], rows).loss for rows in torch.arange(9).split(3)
    ]
    torch.testing.assert_close(torch.stack(parts).mean(), whole)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        contrastive_loss(z[order], z[order], targets[order][:, order], torch.arange(9)).loss, whole
    )


def test_tells_mass_and_nearest():
    z = torch.tensor([[1.0, 0], [0.9, 0.1], [0, 1]])
    targets = torch.tensor([[1, 0.5, 0.2], [0, 1, 0], [1, 0.25, 1]])
    seen = contrastive_loss(z, z, targets, torch.arange(3))
    torch.testing.assert_close(seen.mass, torch.tensor([0.7, 0.0, 1.25]))
    torch.testing.assert_close(seen.nearest, torch.tensor([0.5, 0.0, 0.25]))


def test_survives_a_temperature_at_which_exp_overflows():
    z = draw(6, 4).float().requires_grad_()
    contrastive_loss(z, z, torch.ones(6, 6), torch.arange(6), temperature=0.005).loss.backward()
    assert torch.isfinite(z.grad).all()


def test_is_float32_under_autocast_and_learns_from_half_precision():
    z = draw(16, 32).float()
    exact = contrastive_loss(z, z, torch.eye(16), torch.arange(16)).loss
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(contrastive_loss(z, z, torch.eye(16), torch.arange(16)).loss, exact)
    half = z.bfloat16().requires_grad_()
    targets = torch.eye(8).repeat(2, 2)
    loss = contrastive_loss(half, half, targets, torch.arange(16)).loss
    loss.backward()
    assert loss.dtype == torch.float32
    assert half.grad.dtype == torch.bfloat16
    assert half.grad.float().norm() > 0


def test_no_anchors_cost_nothing():
    nobody = torch.zeros(0, 4, requires_grad=True)
    loss = contrastive_loss(nobody, nobody, torch.zeros(0, 0), torch.arange(0)).loss
    loss.backward()
    assert loss == 0


def test_products_need_no_norm_and_no_self():
    q, k = draw(5, 3).requires_grad_(), draw(7, 3, seed=1).requires_grad_()
    targets = torch.eye(5, 7, dtype=torch.float64)
    ours = cross_entropy_of_products(q, k, targets).loss
    reference = torch.nn.functional.cross_entropy(q @ k.T, torch.arange(5))
    torch.testing.assert_close(ours, reference)
    for a, b in zip(
        torch.autograd.grad(ours, (q, k)), torch.autograd.grad(reference, (q, k)), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_the_whole_matrix_never_exists():
    shapes = []

    def rows_of(rows):
        shapes.append(rows.stop - rows.start)
        return torch.zeros(shapes[-1], 3000)

    z = torch.ones(3000, 2)
    contrastive_loss(z, z, rows_of, torch.arange(3000))
    assert sum(shapes) == 3000
    assert max(shapes) * 3000 <= contrastive.TILE_ELEMENTS["cpu"]


def test_refuses_a_temperature_of_zero():
    with pytest.raises(ValueError, match="temperature must be positive"):
        contrastive_loss(
            torch.ones(2, 2), torch.ones(2, 2), torch.eye(2), torch.arange(2), temperature=0
        )


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_the_column_of_the_one_positive_is_a_matrix_of_zeros_and_ones(rows, monkeypatch):
    monkeypatch.setitem(contrastive.TILE_ELEMENTS, "cpu", rows * 30)
    answers = torch.randint(30, (20,), generator=torch.Generator().manual_seed(1))
    both = []
    for targets in (answers, answers[:, None] == torch.arange(30)):
        generator = torch.Generator().manual_seed(0)
        queries, keys = (
            torch.randn(n, 5, generator=generator, requires_grad=True) for n in (20, 30)
        )
        found = cross_entropy_of_products(queries, keys, targets)
        found.loss.backward()
        both.append([*found, queries.grad, keys.grad])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*both, strict=True))
