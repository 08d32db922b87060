"""Every pool leaves padding out, and is what its name says."""

import pytest
import torch

from semisupcon.encoders.pooling import AttentionPool, AveragePool, MaxPlusMeanPool, MaxPool, Pool

POOLS = [AveragePool, MaxPool, MaxPlusMeanPool, AttentionPool]


def pool_of(kind) -> Pool:
    torch.manual_seed(0)
    pool = kind()
    pool.connect(5)
    return pool


def test_all_pools_are_tried():
    assert set(POOLS) == set(Pool.__subclasses__())


@pytest.mark.parametrize("bands", [None, 3])
@pytest.mark.parametrize("kind", POOLS)
def test_padding_is_left_out(kind, bands):
    pool = pool_of(kind)
    maps = torch.randn(2, 5, 7) if bands is None else torch.randn(2, 5, bands, 7)
    valid = torch.tensor([4, 7])
    mask = torch.arange(7) < valid[:, None]
    pooled = pool(maps, mask)
    assert pooled.shape == (2, 5)
    torch.testing.assert_close(pooled[0], pool(maps[:1, ..., :4])[0])
    torch.testing.assert_close(pooled[1], pool(maps)[1])
    for value in (100.0, -100.0):
        other = maps.clone()
        other[0, ..., 4:] = value
        assert torch.equal(pool(other, mask), pooled)
        assert value < 0 or not torch.allclose(pool(other)[0], pooled[0])


@pytest.mark.parametrize("bands", [None, 3])
def test_pools_by_their_formulas(bands):
    maps = torch.randn(2, 5, 7) if bands is None else torch.randn(2, 5, bands, 7)
    frames = maps if bands is None else maps.mean(dim=2)
    torch.testing.assert_close(pool_of(AveragePool)(maps), frames.mean(dim=2))
    torch.testing.assert_close(pool_of(MaxPool)(maps), maps.flatten(2).amax(dim=2))
    torch.testing.assert_close(
        pool_of(MaxPlusMeanPool)(maps), frames.mean(dim=2) + frames.amax(dim=2)
    )
    attention = pool_of(AttentionPool)
    weights = attention.score(frames)[:, 0].softmax(dim=-1)
    torch.testing.assert_close(attention(maps), (frames * weights[:, None]).sum(dim=-1))
