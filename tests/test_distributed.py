"""Gathering over ranks keeps order and gradient, for parts of any size."""

import numpy as np
import pytest
import torch

from semisupcon import distributed
from semisupcon.distributed import Share, gathered, share

PARTS = {2: [(2, 2), (3, 1), (4, 0)], 3: [(2, 2, 2), (3, 2, 1), (0, 5, 1)]}
CASES = [(world, sizes) for world, all_sizes in PARTS.items() for sizes in all_sizes]


def gather_and_weigh(rank, world, sizes):
    """Each rank's loss is sum(weights * gathered * (rank + 1)), so the gradient of a row is its
    weight times the sum over ranks."""
    total = sum(sizes)
    rows = (
        torch.arange(total * 2, dtype=torch.float64)
        .view(total, 2)
        .split(sizes)[rank]
        .clone()
        .requires_grad_()
    )
    where = share(len(rows), rows.device)
    gathered = where.gather(rows)
    (gathered * torch.arange(total, dtype=torch.float64)[:, None] * (rank + 1)).sum().backward()
    flags = where.gather(torch.arange(total).split(sizes)[rank] % 2 == 0)
    selected = where.select(flags)
    return {
        "gathered": gathered.detach().numpy(),
        "grad": rows.grad.numpy(),
        "flags": flags.numpy(),
        "columns": where.columns(rows.device).numpy(),
        "mean": where.mean(rows[:, 0].detach()).item(),
        "selected": selected.sizes,
        "alone": share(len(rows), rows.device, over_ranks=False).sizes,
    }


@pytest.mark.parametrize(("world", "sizes"), CASES)
def test_gather(ranks, world, sizes):
    total = sum(sizes)
    rows = np.arange(total * 2.0).reshape(total, 2)
    starts = np.cumsum([0, *sizes])
    answers = ranks(world, gather_and_weigh, sizes)
    for rank, got in enumerate(answers):
        mine = slice(starts[rank], starts[rank + 1])
        np.testing.assert_array_equal(got["gathered"], rows)
        np.testing.assert_array_equal(got["columns"], np.arange(total)[mine])
        np.testing.assert_array_equal(got["flags"], np.arange(total) % 2 == 0)
        np.testing.assert_allclose(
            got["grad"],
            np.repeat(np.arange(total), 2).reshape(total, 2)[mine] * sum(range(1, world + 1)),
        )
        assert got["selected"] == tuple(
            sum(i % 2 == 0 for i in range(starts[r], starts[r + 1])) for r in range(world)
        )
        assert got["alone"] == (sizes[rank],)
    assert np.mean([got["mean"] for got in answers]) == pytest.approx(rows[:, 0].mean())


def test_one_process_pays_nothing():
    x = torch.ones(3, 2)
    where = share(3, x.device)
    assert where == Share((3,))
    assert where.gather(x) is x
    assert where.mean(x[:, 0]) == 1
    assert where.weight == 1
    assert distributed.world_size() == 1


def test_a_mean_over_nothing_is_zero():
    assert Share((0,)).mean(torch.zeros(0)) == 0
    assert Share((0, 4)).weight == 0


def deal(rank, world, rows):
    own = torch.arange(rows * 3.0).view(rows, 3)[rank::world]
    return distributed.gathered_in_turn(own, rows).numpy()


@pytest.mark.parametrize("rows", [1, 5, 6])
def test_rows_that_were_dealt_in_turn_come_back_in_order(ranks, rows):
    expected = np.arange(rows * 3.0).reshape(rows, 3)
    for world in (2, 3):
        for got in ranks(world, deal, rows):
            np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(deal(0, 1, rows), expected)


def gather_equal(rank, world):
    return gathered(torch.full((2, 3), float(rank))).numpy()


def test_tensors_of_equal_shape_are_stacked(ranks):
    for got in ranks(2, gather_equal):
        np.testing.assert_array_equal(got, np.stack([np.zeros((2, 3)), np.ones((2, 3))]))
    assert gathered(torch.ones(3)).shape == (1, 3)
