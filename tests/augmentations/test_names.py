"""One name for a transform: class, operator and ``aug_list`` agree, and older names are
accepted."""

import importlib
import logging
import pkgutil

import pytest
import torch

from semisupcon import augmentations
from semisupcon.augmentations import Transform, build_chain
from semisupcon.augmentations.base import OneOf
from semisupcon.augmentations.filters import OneFilterOf
from semisupcon.augmentations.foreign import Foreign
from semisupcon.augmentations.level import Gain
from semisupcon.augmentations.names import OLD_NAMES, current_name, snake_case
from semisupcon.augmentations.published import CLMRChain, MTSLVRChain
from semisupcon.augmentations.severity import CORRUPTIONS, PARAMETRIC, TIERS
from semisupcon.errors import ConfigError
from semisupcon.probing.studies.robustness import corruptions

PEDALS = {"Compression": "pedalboard", "MP3": "pedalboard"}


def below(cls):
    for child in cls.__subclasses__():
        yield child
        yield from below(child)


for module in pkgutil.iter_modules(augmentations.__path__):
    importlib.import_module(f"semisupcon.augmentations.{module.name}")
EVERY = [cls for cls in below(Transform) if cls.__module__.startswith("semisupcon.") and cls.name]
SINGLE = [
    cls for cls in EVERY if cls not in (OneOf, OneFilterOf, Foreign)
]  # Those have no defaults.


def needs(cls):
    if cls.__name__ in PEDALS:
        pytest.importorskip(PEDALS[cls.__name__])


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
def test_an_operator_is_called_like_its_class(cls):
    assert cls.name == snake_case(cls.__name__)


@pytest.mark.parametrize("cls", SINGLE, ids=lambda cls: cls.__name__)
def test_aug_list_takes_both_names(cls):
    needs(cls)
    for name in (cls.name, cls.__name__):
        chain = build_chain([name], 2, 16000)
        assert type(chain.transforms[0]) is cls
        assert chain.operators == (cls.name,)


def test_the_transforms_are_all_there():
    assert len(SINGLE) == 24
    assert {"SpliceOut", "TimeStretch", "BitCrush", "TimeMask", "AddNoise", "MP3"} <= {
        cls.__name__ for cls in SINGLE
    }


@pytest.mark.parametrize("name", [*PARAMETRIC, *CORRUPTIONS])
def test_published_settings_are_called_like_their_operator(name):
    if name in ("compression", "mp3"):
        pytest.importorskip("pedalboard")
    chain = build_chain([name], 2, 16000)
    assert chain.operators == (name,)
    assert (
        type(chain.transforms[0]).__name__ == "OneFilterOf"
        if name == "filtering"
        else snake_case(type(chain.transforms[0]).__name__) == name
    )


def test_a_name_has_the_published_setting_and_a_class_its_defaults():
    published, plain = (build_chain([name], 2, 16000).transforms[0] for name in ("gain", "Gain"))
    assert published.p == 0.4
    assert plain.p == Gain().p == 1.0
    assert type(build_chain(["CLMRChain"], 2, 22050)) is CLMRChain


@pytest.mark.parametrize(("old", "new"), OLD_NAMES.items())
def test_an_old_name_is_the_new_one_with_a_note(old, new, caplog, keys):
    current_name.cache_clear()
    with caplog.at_level(logging.WARNING, "semisupcon"):
        chains = [build_chain([name], 2, 16000, p=1.0) for name in (old, new, old)]
    assert [record.getMessage() for record in caplog.records] == [
        f"The augmentation {old} is now called {new}. The old name still works in this version."
    ]
    x = torch.randn(4, 1, 4000, generator=torch.Generator().manual_seed(0)) * 0.1
    before, now = (chain(x, keys(4))[0] for chain in chains[:2])
    assert torch.equal(before, now)
    assert chains[0].operators == chains[1].operators == (new,)


def test_old_names_are_accepted_wherever_operators_are_named():
    assert (
        MTSLVRChain(augs_to_exclude=["time_masking"]).operators
        == MTSLVRChain(augs_to_exclude=["time_mask"]).operators
    )
    assert not OLD_NAMES.keys() & {name for names in TIERS.values() for name in names}
    assert not OLD_NAMES.keys() & {
        name for point in corruptions(["only", "plus", "tiers"]) for name in point.operators
    }


def test_the_name_does_not_enter_a_draw(keys):
    class Louder(Gain):
        pass

    x = torch.ones(8, 1, 4)
    assert Louder.name == "louder"
    assert torch.equal(Louder(p=0.5)(x, keys(8))[0], Gain(p=0.5)(x, keys(8))[0])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("filter", "filtering"),
        ("SpliceOt", "splice_out"),
        ("fadde", "fade"),
        ("TimeMsk", "time_mask"),
    ],
)
def test_a_misspelt_name_is_answered(name, meant):
    with pytest.raises(
        ConfigError, match=f"There is no augmentation '{name}'. Did you mean '{meant}'"
    ):
        build_chain([name], 2, 16000)


@pytest.mark.parametrize("name", ["OneOf", "Foreign", "RandomSubset"])
def test_a_class_that_needs_arguments_says_so(name):
    with pytest.raises(ConfigError, match="' does not take these arguments"):
        build_chain([name], 2, 16000)


def test_names_in_snake_case():
    assert [snake_case(name) for name in ("MP3", "OneOf", "AddColoredNoise", "CLMRChain")] == [
        "mp3",
        "one_of",
        "add_colored_noise",
        "clmr_chain",
    ]
