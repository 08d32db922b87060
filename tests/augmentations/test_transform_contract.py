"""What every transform promises, for any batch."""

import pytest
import torch
from every_transform import EVERY
from hypothesis import example, given, settings
from hypothesis import strategies as st

from semisupcon.augmentations.transform import Transform
from semisupcon.errors import ConfigError
from semisupcon.random import make_keys
from semisupcon.spec import remake

names = st.sampled_from(sorted(EVERY))


def rows(n, seed=0):
    return make_keys(
        seed, torch.zeros(n, dtype=torch.int64), torch.arange(n) * 7919 + 11, 1
    ).flatten()


def audio(n, samples, channels=1, seed=0):
    return torch.randn(n, channels, samples, generator=torch.Generator().manual_seed(seed)) * 0.1


@settings(max_examples=120, deadline=None)
@given(
    name=names,
    n=st.integers(0, 4),
    samples=st.integers(1, 3000),
    channels=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_shape_type_and_finiteness_are_kept(name, n, samples, channels, seed):
    transform, x, key = EVERY[name](0.7), audio(n, samples, channels, seed), rows(n, seed)
    before = x.clone()
    y, applied, parameters = transform(x, key)
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    assert y.device == x.device
    assert y.isfinite().all()
    assert torch.equal(x, before)
    assert applied.shape == (n,)
    assert applied.dtype == torch.bool
    assert parameters.shape == (n, len(transform.parameter_names))
    assert torch.equal(y[~applied], x[~applied])
    assert parameters[~applied].isnan().all()
    assert not parameters[applied].isnan().any()


@settings(max_examples=80, deadline=None)
@given(name=names, samples=st.integers(1, 3000), seed=st.integers(0, 99))
@example(
    name="fade", samples=24, seed=25
)  # powers of two were rounded by their place in the tensor
def test_a_row_sounds_the_same_in_any_company(name, samples, seed):
    if name == "mix":
        return
    transform, x, key = EVERY[name](0.8), audio(5, samples, seed=seed), rows(5, seed)
    together = transform(x, key)
    order = torch.tensor([3, 1, 4])
    for indices in (order, order[:1]):
        for a, b in zip(transform(x[indices], key[indices]), together, strict=True):
            assert torch.equal(a.nan_to_num(-9), b[indices].nan_to_num(-9))


@pytest.mark.parametrize("name", sorted(EVERY))
def test_never_and_always(name):
    x, key = audio(6, 4000), rows(6)
    y, applied, _ = EVERY[name](0.0)(x, key)
    assert torch.equal(y, x)
    assert not applied.any()
    y, applied, _ = EVERY[name](1.0)(x, key)
    assert applied.all()
    assert ((y != x).flatten(1).any(1)).all()


@pytest.mark.parametrize("name", sorted(EVERY))
@pytest.mark.parametrize("kind", ["silence", "offset", "square", "one sample", "nan"])
def test_odd_input_has_a_defined_result(name, kind):
    x, key = audio(3, 1 if kind == "one sample" else 2500), rows(3)
    strange = {
        "silence": torch.zeros_like(x),
        "offset": torch.ones_like(x),
        "square": torch.where(torch.arange(x.shape[-1]) % 100 < 50, 1.0, -1.0).expand_as(x),
        "one sample": x,
        "nan": torch.where(torch.arange(x.shape[-1]) == 700, torch.nan, x),
    }[kind]
    x = x.clone()
    x[1] = strange[1]
    y, _, _ = EVERY[name](1.0)(x, key)
    assert y.shape == x.shape
    if kind != "nan":
        assert y.isfinite().all()
    elif name != "mix":  # a row that is not a number leaves its neighbours alone
        assert torch.equal(y[[0, 2]], EVERY[name](1.0)(audio(3, 2500), key)[0][[0, 2]])
        assert (
            name in ("mp3", "compression")
            or not y[1].isfinite().all()
            or name in ("time mask", "noise mask", "splice out")
        )
    if kind == "silence" and name != "mix":
        assert y[1].abs().max() < 1e-6


@pytest.mark.parametrize("name", sorted(EVERY))
def test_double_and_half_precision_are_kept(name):
    x, key = audio(2, 1200), rows(2)
    reference = EVERY[name](1.0)(x, key)[0]
    for dtype, tolerance in ((torch.float64, 1e-4), (torch.bfloat16, 0.05)):
        y = EVERY[name](1.0)(x.to(dtype), key)[0]
        assert y.dtype == dtype
        if name not in (
            "pitch shift",
            "continuous pitch shift",
            "bit crush",
            "mp3",
        ):  # those choose, and rounding can tip a choice
            torch.testing.assert_close(y.float(), reference, atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", sorted(EVERY))
def test_is_made_again_from_its_spec(name):
    transform, x, key = EVERY[name](0.6), audio(4, 1500), rows(4)
    again = remake(transform)
    assert torch.equal(again(x, key)[0], transform(x, key)[0])


def test_works_in_inference_mode_and_keeps_the_number_of_threads():
    x, key, threads = audio(9, 60000), rows(9), torch.get_num_threads()
    with torch.inference_mode():
        y, _, _ = EVERY["colored noise"](1.0)(x.clone(), key)
    assert torch.get_num_threads() == threads
    assert torch.equal(y, EVERY["colored noise"](1.0)(x, key)[0])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "name", ["pitch shift", "reverb", "time stretch", "low pass", "colored noise"]
)
def test_the_number_of_threads_changes_nothing(name, threads):
    x, key, before = audio(7, 9000), rows(7), torch.get_num_threads()
    reference = EVERY[name](0.9)(x, key)[0]
    try:
        torch.set_num_threads(threads)
        assert torch.equal(EVERY[name](0.9)(x, key)[0], reference)
    finally:
        torch.set_num_threads(before)


def test_the_probability_is_met():
    applied = EVERY["polarity"](0.3)(torch.ones(20000, 1, 1), rows(20000))[1]
    assert abs(applied.float().mean() - 0.3) < 0.015  # more than four standard errors


@pytest.mark.parametrize(
    "bad",
    [
        torch.zeros(2, 100),
        torch.zeros(2, 1, 0),
        torch.zeros(2, 1, 100, dtype=torch.int16),
        torch.zeros(3, 1, 100),
    ],
    ids=["two axes", "empty", "integers", "more rows than keys"],
)
def test_refuses_what_is_no_batch(bad):
    with pytest.raises(ValueError, match="augmentations take"):
        EVERY["gain"](1.0)(bad, rows(2))


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_refuses_what_is_no_probability(p):
    with pytest.raises(ConfigError, match="probability"):
        EVERY["gain"](p)


def test_a_transform_of_ones_own_needs_only_apply():
    class Halve(Transform):
        name = "halve"

        def apply(self, audio, parameters, key):
            return audio / 2

    x = audio(3, 50)
    assert torch.equal(Halve()(x, rows(3))[0], x / 2)
