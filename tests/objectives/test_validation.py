"""The two measures of validation that need no label: retrieval, and the effective rank of the
embeddings."""

import pytest
import torch

from semisupcon.training.measures import effective_rank, retrieval_accuracy


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_retrieval_counts_the_queries_that_find_their_own_row():
    gallery = torch.eye(4)
    queries = torch.tensor([[5.0, 1, 0, 0], [0, 0.1, 0, 0], [0, 0, 1, 2], [0, 0, 0, 3]])
    assert retrieval_accuracy(queries, gallery) == 0.75


def test_retrieval_is_the_same_in_blocks():
    queries, gallery = draw(50, 3), draw(50, 3, seed=1)
    assert retrieval_accuracy(queries, gallery, rows=7) == retrieval_accuracy(queries, gallery)


def test_rank_of_directions_of_equal_weight_is_their_number():
    rows = torch.cat([torch.eye(6), -torch.eye(6)])
    assert effective_rank(rows) == pytest.approx(6, rel=1e-5)
    assert effective_rank(rows + 100) == pytest.approx(6, rel=1e-4), "the mean does not count"
    assert effective_rank(rows * 1e-3) == pytest.approx(6, rel=1e-5), "nor does the scale"


def test_rank_of_unequal_directions_is_the_exponential_of_their_entropy():
    rows = torch.tensor([[3.0, 0], [-3, 0], [0, 1], [0, -1]])
    p = torch.tensor([0.75, 0.25])
    assert effective_rank(rows) == pytest.approx(float(torch.exp(-(p * p.log()).sum())), rel=1e-6)


def test_rank_of_collapsed_embeddings_is_one():
    assert effective_rank(draw(40, 1) @ draw(1, 16, seed=1) + 5) == pytest.approx(1, abs=1e-3)
    assert effective_rank(torch.ones(10, 4)) == 1
    assert effective_rank(torch.ones(1, 4)) == 1


def test_rank_of_a_run_that_has_diverged_is_nan_and_no_error():
    assert effective_rank(torch.tensor([[1.0, 2], [float("inf"), 0]])).isnan()


def test_rank_takes_the_first_rows_of_many():
    rows = torch.cat([torch.eye(4), -torch.eye(4), 100 * draw(100, 1) * torch.ones(1, 4)])
    assert effective_rank(rows, most=8) == pytest.approx(4, rel=1e-5)
