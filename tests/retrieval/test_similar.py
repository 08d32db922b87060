"""Exact and approximate search, and near-identical pairs, against plain numpy."""

import numpy as np
import pytest

from semisupcon.retrieval import approximate, duplicates, exact
from semisupcon.retrieval.duplicates import near_identical
from semisupcon.retrieval.exact import most_similar
from semisupcon.retrieval.queries import mean_of, unit


def rows(count, dim=12, seed=0):
    return unit(np.random.default_rng(seed).standard_normal((count, dim)))


@pytest.mark.parametrize("count", [1, 7, 500, 20000])
def test_exact_search_is_a_sort(count, monkeypatch):
    monkeypatch.setattr(exact, "BLOCK_BYTES", 4 * 12 * 900)
    vectors, query = rows(count), rows(1, seed=1)[0]
    vectors[count // 2 :: 5] = vectors[0]  # equal similarities
    out = np.arange(3, count, 97)
    found, similarities = most_similar(vectors, query, 25, out)
    expected = vectors @ query
    kept = np.setdiff1d(np.arange(count), out)
    order = kept[np.lexsort((kept, -expected[kept]))][:25]
    assert np.allclose(similarities, expected[order], atol=1e-6)
    assert np.allclose(expected[found], expected[order], atol=1e-6)
    assert len(set(found.tolist())) == min(25, len(kept))
    assert not set(found) & set(out)


def test_equal_similarities_come_in_the_order_of_rows():
    found, _ = most_similar(np.tile(rows(1), (9000, 1)), rows(1)[0], 4)
    assert found.tolist() == [0, 1, 2, 3]


def test_pairs_are_those_of_the_whole_matrix(monkeypatch):
    monkeypatch.setattr(duplicates, "BLOCK", 64)
    monkeypatch.setattr(duplicates, "KEPT", 30)
    vectors = rows(300, 4)
    groups = np.arange(300) // 3
    gram = vectors @ vectors.T
    first, second = np.nonzero(np.triu(gram >= 0.9, 1) & (groups[:, None] != groups))
    order = np.argsort(-gram[first, second], kind="stable")
    for top in (5, 10_000):
        told = []
        pairs, total = near_identical(vectors, 0.9, top, groups, told.append)
        assert total == len(first) > 100
        assert sum(told) == 300
        best = {(int(first[i]), int(second[i])) for i in order[:top]}
        assert {(pair.first, pair.second) for pair in pairs} == best
        assert [p.similarity for p in pairs] == sorted((p.similarity for p in pairs), reverse=True)


def test_a_query_is_the_mean_of_directions():
    assert np.allclose(
        mean_of([np.array([5.0, 0]), np.array([[0, 0.1], [0, 7]])]), np.sqrt([0.5] * 2)
    )


def test_approximate_search_finds_most_and_its_similarities_are_exact(tmp_path):
    pytest.importorskip("faiss", reason="the approximate index is an extra: semisupcon[search]")
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((50, 16))
    vectors = unit(centres[rng.integers(0, 50, 4000)] + 0.4 * rng.standard_normal((4000, 16)))

    class Held:
        pass

    index = Held()
    index.vectors = vectors
    approximate.build(vectors, tmp_path / "a.faiss")
    approximate.build(vectors, tmp_path / "b.faiss")
    assert (tmp_path / "a.faiss").read_bytes() == (tmp_path / "b.faiss").read_bytes()
    graph = approximate.Graph(index, tmp_path / "a.faiss")
    hits = 0
    for query in vectors[::100]:
        found, similarities = graph.most_similar(query, 10, np.array([0]))
        assert np.allclose(similarities, vectors[found] @ query, atol=1e-6)
        assert 0 not in found
        hits += len(set(found) & set(most_similar(vectors, query, 10, np.array([0]))[0]))
    assert hits >= 0.95 * 10 * 40
