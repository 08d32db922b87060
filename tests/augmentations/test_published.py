"""The chains of CLMR and of MT-SLVR."""

import pytest
import torch

from semisupcon.augmentations.level import Gain, PolarityInversion
from semisupcon.augmentations.published import CLMRChain, MTSLVRChain, RandomSubset
from semisupcon.errors import ConfigError

SEVEN = (
    "pitch_shift",
    "fade",
    "white_noise",
    "mixed_noise",
    "time_stretch",
    "time_mask",
    "time_shift",
)
DRAWS = 10_000


def shares(plan, operators):
    return torch.stack([(plan == k).any(1) for k in range(operators)], 1).float().mean(0)


def test_each_operator_of_mtslvr_is_present_in_four_sevenths(keys):
    chain = MTSLVRChain()
    assert chain.operators == SEVEN
    plan = chain.order(keys(DRAWS))
    assert (shares(plan, 7) - 4 / 7).abs().max() < 0.025  # five standard errors
    count = (plan >= 0).sum(1)
    assert (torch.bincount(count, minlength=8)[1:] / DRAWS - 1 / 7).abs().max() < 0.018
    assert all(len(set(row[row >= 0].tolist())) == (row >= 0).sum() for row in plan[:300])
    # Every order is as likely: each operator comes first as often.
    assert (torch.bincount(plan[:, 0], minlength=7) / DRAWS - 1 / 7).abs().max() < 0.018


def test_with_replacement_an_operator_is_rarer(keys):
    plan = MTSLVRChain(with_replacement=True).order(keys(DRAWS))
    expected = sum(1 - (6 / 7) ** k for k in range(1, 8)) / 7
    assert expected == pytest.approx(0.434, abs=1e-3)
    assert (shares(plan, 7) - expected).abs().max() < 0.025
    distinct = torch.tensor([len(set(row[row >= 0].tolist())) for row in plan[:3000]]).float()
    assert distinct.mean() == pytest.approx(3.04, abs=0.12)


def test_views_share_operators_and_order_but_not_parameters(keys):
    chain, key = MTSLVRChain(), keys(40, 2)
    plan = chain.order(key)
    assert torch.equal(plan[::2], plan[1::2])
    assert len({tuple(row) for row in plan[::2].tolist()}) > 15
    x = torch.randn(40, 1, 4000, generator=torch.Generator().manual_seed(0))
    _, applied, parameters = chain(x, key)
    assert torch.equal(applied[::2], applied[1::2])
    assert torch.equal(applied, torch.stack([(plan == k).any(1) for k in range(7)], 1))
    noise = parameters[:, 2, 0].view(-1, 2)
    assert not (noise[:, 0] == noise[:, 1]).any()
    assert torch.equal(parameters[:, 2, 0].isnan(), ~applied[:, 2])


def test_operators_run_in_the_order_of_the_plan(keys):
    """With operators that do not commute, the result tells the order."""
    chain = RandomSubset([Gain(20, 20), Square(), PolarityInversion()], min_steps=3)
    key = keys(64)
    y = chain(torch.full((64, 1, 1), 2.0), key)[0].flatten().tolist()
    for value, plan in zip(y, chain.order(key).tolist(), strict=True):
        expected = 2.0
        for operator in plan:
            expected = (expected * 10, expected**2, -expected)[operator]
        assert value == pytest.approx(expected)


@pytest.mark.parametrize("with_replacement", [False, True])
def test_a_row_sounds_the_same_whatever_its_neighbours_wait_for(with_replacement, keys):
    """Operators run when many rows need them, not step by step; alone, a row goes straight through
    its plan."""
    chain, key = MTSLVRChain(with_replacement=with_replacement), keys(24, 2)
    x = torch.randn(24, 1, 5000, generator=torch.Generator().manual_seed(0)) * 0.1
    together = chain(x, key)
    for row in range(0, 24, 3):
        for a, b in zip(chain(x[row : row + 1], key[row : row + 1]), together, strict=True):
            assert torch.equal(a[0].nan_to_num(-9), b[row].nan_to_num(-9))


def test_operators_run_on_many_rows_at_once(keys):
    chain, calls = MTSLVRChain(), []
    for k, transform in enumerate(chain.transforms):
        transform.modify = lambda audio, key, among, k=k, modify=transform.modify: (
            calls.append(k) or modify(audio, key, among)
        )
    chain(torch.zeros(64, 1, 64), keys(64))
    assert set(calls) == set(range(7))
    assert len(calls) < 35  # in step they would be 49


class Square(PolarityInversion):
    name = "square"

    def apply(self, audio, parameters, key):
        return audio.square()


def test_excluded_operators_are_gone():
    chain = MTSLVRChain(augs_to_exclude=["fade", "time_shift"])
    assert chain.operators == (
        "pitch_shift",
        "white_noise",
        "mixed_noise",
        "time_stretch",
        "time_mask",
    )
    assert chain.steps == (1, 5)
    with pytest.raises(ConfigError, match="Did you mean 'fade'"):
        MTSLVRChain(augs_to_exclude=["fades"])
    with pytest.raises(ConfigError, match="at least one transform"):
        MTSLVRChain(augs_to_exclude=list(SEVEN))


def test_a_probability_thins_the_subset(keys):
    x = torch.randn(600, 1, 8)
    chain = MTSLVRChain(p=0.5, augs_to_exclude=["pitch_shift", "time_stretch"])
    applied = chain(x, keys(600))[1]
    assert applied.float().mean() == pytest.approx(0.6 * 0.5, abs=0.03)


def test_clmr(keys):
    chain = CLMRChain(22050)
    assert chain.operators == (
        "polarity_inversion",
        "add_noise",
        "gain",
        "high_low_pass",
        "delay",
        "pitch_shift",
        "reverb",
    )
    for transform in chain.modules():
        if hasattr(transform, "apply") and hasattr(transform, "draw"):
            transform.apply = lambda audio, parameters, key: audio
    key = keys(DRAWS, 2)
    _, applied, parameters = chain(torch.zeros(DRAWS, 1, 1), key)
    for share, p in zip(applied.float().mean(0), (0.8, 0.01, 0.3, 0.8, 0.3, 0.6, 0.6), strict=True):
        assert share == pytest.approx(p, abs=5 * (p * (1 - p) / DRAWS) ** 0.5)
    ranges = {
        (1, 0): (0.0001, 0.01),
        (2, 0): (-20, -1),
        (3, 1): (200, 1200),
        (3, 2): (2200, 4000),
        (5, 0): (-7, 7),
        (6, 0): (0, 99),
    }
    for (operator, parameter), (low, high) in ranges.items():
        values = parameters[:, operator, parameter]
        values = values[~values.isnan()]
        assert low <= values.min() < low + 0.15 * (high - low)
        assert high - 0.15 * (high - low) < values.max() <= high
    cutoffs = parameters[:, 3, 1][~parameters[:, 3, 1].isnan()]
    assert cutoffs.mean() == pytest.approx(700, abs=25)  # uniform in Hz, as published
    # Views are independent, the kind of filter too.
    kinds = parameters[:, 3, 0].view(-1, 2)
    kinds = kinds[~kinds.isnan().any(1)]
    assert (kinds[:, 0] == kinds[:, 1]).float().mean() == pytest.approx(0.5, abs=0.05)


def test_an_operator_of_clmr_can_be_left_out():
    assert CLMRChain(22050, reverb=0, noise=0).operators == (
        "polarity_inversion",
        "gain",
        "high_low_pass",
        "delay",
        "pitch_shift",
    )


CLMR = [
    {"p": 0.8},
    {"p": 0.01, "ratio": (0.0001, 0.01)},
    {"p": 0.3, "min_db": -20, "max_db": -1},
    {"p": 0.8, "name": "high_low_pass"},
    {"p": 0.3, "delay_ms": (200, 450), "delay_interval_ms": 50, "choices": ((0.5,), (1,), (1.0,))},
    {"p": 0.6, "range": (-7, 7), "ratios": None},
    {"p": 0.6, "ranges": ((0, 99), (0, 99), (0, 99)), "wet_gain_db": 0.0},
]
MTSLVR = [
    {"range": (-15, 15)},
    {"longest": (0.5, 0.5)},
    {"snr": (3, 30), "decay": (-1, 0)},
    {"snr": (3, 30), "decay": (-2, 2)},
    {"range": (0.5, 1.5)},
    {"max_width": 0.125, "fill": "silence"},
    {"range": (-0.5, 0.5)},
]


@pytest.mark.parametrize(
    ("chain", "values"), [(CLMRChain(22050), CLMR), (MTSLVRChain(16000), MTSLVR)]
)
def test_the_values_are_the_published_ones(chain, values):
    assert len(chain.transforms) == len(values)
    for transform, of in zip(chain.transforms, values, strict=True):
        assert {name: getattr(transform, name) for name in of} == of
