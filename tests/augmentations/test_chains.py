"""What a list of augmentations means."""

from importlib.util import find_spec

import pytest
import torch

from semisupcon.augmentations import Chain, OneOf, build_chain
from semisupcon.augmentations.level import Gain, PolarityInversion
from semisupcon.augmentations.severity import TIERS
from semisupcon.errors import ConfigError
from semisupcon.spec import remake

SIX = ["gain", "polarity_inversion", "add_colored_noise", "filtering", "pitch_shift", "delay"]
CORRUPTIONS = [
    "time_stretch",
    "splice_out",
    "reverb",
    "chorus",
    "distortion",
    "compression",
    "reverse",
    "bit_crush",
    "mp3",
]
needs_pedalboard = pytest.mark.skipif(
    find_spec("pedalboard") is None, reason="needs the optional package pedalboard"
)


def test_nothing_to_do_is_no_chain():
    assert build_chain([], 2, 22050) is None
    assert build_chain(None, 2, 22050) is None
    assert build_chain(SIX, 0, 22050) is None


def test_order_is_that_of_the_list():
    assert build_chain(["delay", "gain"], 2, 22050).operators == ("delay", "gain")
    assert build_chain(["gain", "delay", "gain"], 2, 22050).operators == ("gain", "delay", "gain_2")


@needs_pedalboard
def test_every_corruption_works(keys):
    x = torch.randn(3, 1, 8000, generator=torch.Generator().manual_seed(0)) * 0.1
    for name in CORRUPTIONS:
        chain = build_chain([name], 2, 22050, p=1.0)
        y, applied, _ = chain(x, keys(3))
        assert applied.all(), name
        assert (y != x).flatten(1).any(1).all(), name


@needs_pedalboard
def test_tiers_are_cumulative():
    expected = [
        ["time_stretch"],
        ["splice_out"],
        ["reverb", "chorus"],
        ["distortion"],
        ["compression", "reverse"],
        ["bit_crush", "mp3"],
    ]
    names = list(SIX)
    for tier, added in zip(range(5, 11), expected, strict=True):
        names += added
        assert TIERS[f"tier_{tier}"] == tuple(names)
    assert len(build_chain(["tier_10"], 2, 22050).transforms) == 15


def test_class_paths_of_ours_and_of_ones_own(keys):
    chain = build_chain(
        [
            {
                "class_path": "semisupcon.augmentations.filters.LowPass",
                "init_args": {"min_cutoff_hz": 500},
            },
            {
                "class_path": "semisupcon.augmentations.OneOf",
                "init_args": {"transforms": ["gain", {"class_path": f"{__name__}.Louder"}]},
            },
            {"class_path": f"{__name__}.Louder"},
        ],
        2,
        16000,
        p=1.0,
    )
    assert chain.transforms[0].sample_rate == 16000
    assert isinstance(chain.transforms[1], OneOf)
    y = build_chain([{"class_path": f"{__name__}.Louder"}], 2, 16000, p=1.0)(
        torch.ones(2, 1, 4), keys(2)
    )[0]
    assert torch.equal(y, torch.full((2, 1, 4), 10.0))


class Louder(Gain):
    def __init__(self):
        super().__init__(20, 20)


def test_whole_chains_stand_alone():
    assert build_chain(["clmr"], 2, 22050).operators[0] == "polarity_inversion"
    own = {
        "class_path": "semisupcon.augmentations.published.MTSLVRChain",
        "init_args": {"augs_to_exclude": ["fade"]},
    }
    chain = build_chain([own], 2, 16000)
    assert len(chain.operators) == 6
    assert build_chain([chain], 2, 16000) is chain
    with pytest.raises(ConfigError, match="must be the only entry"):
        build_chain(["mtslvr", "gain"], 2, 16000)


@pytest.mark.parametrize(
    ("bare", "path"),
    [("PitchShift", "pitch.PitchShift"), ("Mix", "mixing.Mix"), ("OneOf", "base.OneOf")],
)
def test_a_bare_class_name_is_the_class_path(bare, path):
    init = {"transforms": ["gain", "delay"]} if bare == "OneOf" else {}
    chains = (
        build_chain([{"class_path": p, "init_args": init}], 2, 16000)
        for p in (bare, f"semisupcon.augmentations.{path}")
    )
    short, long = (chain.transforms[0] for chain in chains)
    assert type(short) is type(long)
    assert type(short).__name__ == bare


@pytest.mark.parametrize(
    ("aug_list", "message"),
    [
        (["gian"], "no augmentation 'gian'. Did you mean 'gain'"),
        ([{"class_path": "semisupcon.errors.UserError"}], "not a subclass"),
        ([{"class_path": "not.there.At"}], "cannot be imported"),
        (
            [{"class_path": "PitchShfit"}],
            "no augmentation class 'PitchShfit'. Did you mean 'PitchShift'",
        ),
        (
            [{"class_path": "semisupcon.augmentations.level.Gain", "init_args": {"db": 3}}],
            "does not take these arguments",
        ),
        ([{"name": "gain"}], "is a name or"),
        ([3], "no augmentation 3"),
    ],
)
def test_a_mistake_is_named(aug_list, message):
    with pytest.raises(ConfigError, match=message):
        build_chain(aug_list, 2, 22050)


@pytest.mark.parametrize("severity", [-1, 5.1, float("nan")])
def test_severity_has_its_range(severity):
    with pytest.raises(ConfigError, match="severity_modifier lies between 0"):
        build_chain(SIX, severity, 22050)


def test_a_chain_is_the_same_for_any_neighbours_and_again_from_its_spec(keys):
    chain, key = build_chain(SIX, 3, 22050, shared_choices=False), keys(10, 2)
    x = torch.randn(10, 1, 6000, generator=torch.Generator().manual_seed(0)) * 0.1
    y, applied, parameters = chain(x, key)
    some = torch.tensor([7, 2, 3])
    for other in (chain, remake(chain)):
        for a, b in zip(other(x[some], key[some]), (y, applied, parameters), strict=True):
            assert torch.equal(a.float().nan_to_num(-9), b[some].float().nan_to_num(-9))
    assert parameters.shape == (10, 6, 7)
    assert [len(names) for names in chain.parameter_names] == [1, 0, 2, 7, 1, 4]
    assert torch.equal(
        x, torch.randn(10, 1, 6000, generator=torch.Generator().manual_seed(0)) * 0.1
    )


def test_the_same_operator_twice_draws_twice(keys):
    _, _, parameters = Chain([Gain(), Gain()])(torch.ones(20, 1, 2), keys(20))
    assert not (parameters[:, 0] == parameters[:, 1]).any()


def test_the_numbers_are_pinned(keys):
    """Runs are compared by their numbers, on every machine and in every version: a change here
    changes all of them."""
    _, applied, parameters = build_chain(SIX, 2, 22050)(torch.ones(4, 1, 64), keys(4))
    assert applied.int().tolist() == [
        [1, 0, 1, 0, 0, 0],
        [1, 0, 0, 0, 1, 0],
        [0, 0, 1, 0, 1, 1],
        [0, 1, 0, 1, 1, 1],
    ]
    gains = torch.tensor([-5.02468, -7.44225, torch.nan, torch.nan])
    torch.testing.assert_close(parameters[:, 0, 0], gains, equal_nan=True)


def test_one_of_needs_something_and_polarity_alone_is_enough(keys):
    with pytest.raises(ConfigError, match="at least one"):
        OneOf([])
    y, applied, parameters = OneOf([PolarityInversion()])(torch.ones(2, 1, 3), keys(2))
    assert torch.equal(y, -torch.ones(2, 1, 3))
    assert applied.all()
    assert parameters.tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize(
    "aug_list", [SIX, ["clmr"], ["mtslvr"]], ids=["semisupcon", "clmr", "mtslvr"]
)
def test_stereo_at_44_100_hz(aug_list, keys):
    x = torch.randn(6, 2, 22050, generator=torch.Generator().manual_seed(0)) * 0.1
    chain = build_chain(aug_list, 5, 44100)
    y, applied, _ = chain(x, keys(6, 2))
    assert y.shape == x.shape
    assert y.isfinite().all()
    assert torch.equal((y != x).flatten(1).any(1), applied.any(1))
    # Channels are treated alike: two equal ones stay equal.
    same = chain(x[:, :1].expand(-1, 2, -1), keys(6, 2))[0]
    assert torch.equal(same[:, 0], same[:, 1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    "aug_list", [SIX, ["clmr"], ["mtslvr"]], ids=["semisupcon", "clmr", "mtslvr"]
)
def test_a_gpu_draws_the_same_and_sounds_the_same(aug_list, keys):
    x = torch.randn(32, 1, 16000, generator=torch.Generator().manual_seed(0)) * 0.1
    chain, key = build_chain(aug_list, 3, 16000), keys(32, 2)
    y, applied, parameters = chain(x, key)
    y_gpu, applied_gpu, parameters_gpu = (t.cpu() for t in chain.cuda()(x.cuda(), key.cuda()))
    assert torch.equal(applied, applied_gpu)
    torch.testing.assert_close(parameters, parameters_gpu, equal_nan=True, rtol=1e-5, atol=1e-5)
    close = (y - y_gpu).abs().flatten(1).amax(1) < 1e-3
    assert (
        close.float().mean() > 0.9
    )  # where two places for a piece are equally good, rounding may choose between them
