"""Transforms of torchaudio-augmentations and torch-audiomentations, at work here."""

import importlib.util
import math
import random
import sys

import numpy as np
import pytest
import torch

from semisupcon.augmentations import build_chain, torchaudio_augmentations
from semisupcon.augmentations.foreign import Foreign
from semisupcon.errors import ConfigError

for needed in ("torchaudio_augmentations", "torch_audiomentations"):
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"needs the package {needed}", allow_module_level=True)

SAMPLES = 22050
CLASSES = {
    "RandomResizedCrop": {"n_samples": 20000},
    "PolarityInversion": {},
    "Noise": {"min_snr": 0.1, "max_snr": 0.5},
    "Gain": {},
    "HighPassFilter": {"sample_rate": 22050},
    "LowPassFilter": {"sample_rate": 22050},
    "HighLowPass": {"sample_rate": 22050},
    "Delay": {"sample_rate": 22050},
    "PitchShift": {"n_samples": SAMPLES, "sample_rate": 22050},
    "Reverb": {"sample_rate": 22050},
    "Reverse": {},
}


@pytest.fixture(autouse=True)
def seeded():
    """These packages draw from the global generators: unseeded, one run in thirty drew the same
    pitch twice."""
    random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def package():
    return torchaudio_augmentations.load()


@pytest.fixture
def clip():
    return torch.randn(1, SAMPLES, generator=torch.Generator().manual_seed(0)) * 0.1


def test_imports_without_sox_and_leaves_no_stand_in(package):
    assert importlib.import_module("torchaudio_augmentations") is package
    assert torchaudio_augmentations.load() is package
    assert "augment" not in sys.modules or hasattr(sys.modules["augment"], "EffectChain")


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_class_runs_and_keeps_its_shape(name, channels, package, clip):
    x = clip.expand(channels, -1).clone()
    y = getattr(package, name)(**CLASSES[name])(x)
    assert y.shape == (channels, CLASSES[name].get("n_samples", SAMPLES))
    assert y.isfinite().all()


def test_the_chain_of_clmr_as_it_was_written(package, clip):
    chain = package.ComposeMany(
        [
            package.RandomResizedCrop(n_samples=20000),
            package.RandomApply([package.PolarityInversion()], p=0.8),
            package.RandomApply([package.Noise()], p=0.01),
            package.RandomApply([package.Gain()], p=0.3),
            package.RandomApply([package.HighLowPass(sample_rate=22050)], p=0.8),
            package.RandomApply([package.Delay(sample_rate=22050)], p=0.3),
            package.RandomApply([package.PitchShift(n_samples=20000, sample_rate=22050)], p=0.6),
            package.RandomApply([package.Reverb(sample_rate=22050)], p=0.6),
        ],
        num_augmented_samples=4,
    )
    views = chain(clip)
    assert views.shape == (4, 1, 20000)
    assert len({tuple(v.flatten()[:50].tolist()) for v in views}) == 4


def test_pitch_shift_is_in_tune_per_clip_and_leaves_its_input(package):
    t = torch.arange(40000) / 22050
    x = torch.sin(2 * math.pi * 440 * t).repeat(3, 1, 1)
    before = x.clone()
    y = package.PitchShift(40000, 22050, 4.0, 5.0)(x)
    assert torch.equal(x, before)
    spectrum = torch.fft.rfft(y[:, 0, 5000:35000] * torch.hann_window(30000), n=1 << 19).abs()
    hz = spectrum.argmax(1) * 22050 / (1 << 19)
    assert ((hz > 440 * 2 ** (4 / 12) - 3) & (hz < 440 * 2 ** (5 / 12) + 3)).all()
    assert len(hz.unique()) == 3
    assert package.PitchShift(40000, 22050)(x[0, 0]).shape == (40000,)


def test_reverb_takes_batches_and_single_signals(package, clip):
    reverb = package.Reverb(22050, 50, 51, 50, 51, 50, 51)
    one = reverb(clip)
    torch.testing.assert_close(reverb(clip[0]), one[0])
    torch.testing.assert_close(reverb(clip[None].repeat(2, 1, 1)), one.repeat(2, 1, 1))


def test_a_list_of_class_paths_is_stateless_and_leaves_the_generators_alone(keys):
    nested = {
        "class_path": "torchaudio_augmentations.RandomApply",
        "init_args": {
            "transforms": [
                {
                    "class_path": "torchaudio_augmentations.Noise",
                    "init_args": {"min_snr": 0.1, "max_snr": 0.5},
                }
            ],
            "p": 0.5,
        },
    }
    colored = {"class_path": "torch_audiomentations.AddColoredNoise", "init_args": {"p": 0.6}}
    chain = build_chain(
        [nested, {"class_path": "torchaudio_augmentations.Delay"}, colored, "gain"], 2, 16000, p=1.0
    )
    assert chain.operators == ("random_apply", "delay", "add_colored_noise", "gain")
    x = torch.randn(24, 1, 9000, generator=torch.Generator().manual_seed(0))
    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    expected = random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002
    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    y, applied, _ = chain(x, keys(24))
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected  # noqa: NPY002
    some = torch.tensor([3, 20, 4])
    assert torch.equal(chain(x[some], keys(24)[some])[0], y[some])
    assert 4 <= applied[:, 0].sum() <= 20
    assert applied[:, 1].all()
    assert 6 <= applied[:, 2].sum() <= 22


def test_applied_is_whether_it_changed(keys):
    transform = Foreign("torch_audiomentations.PolarityInversion", {"p": 0.5}, 16000)
    x = torch.ones(60, 1, 10)
    y, applied, parameters = transform(x, keys(60))
    assert torch.equal(applied, y[:, 0, 0] == -1)
    assert 15 < applied.sum() < 45
    assert parameters.shape == (60, 0)


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("os.system", {}, "come from"),
        ("torch_audiomentations.utils.example_target", {}, "come from"),
        ("torch_audiomentations.LowPasFilter", {}, "Did you mean 'LowPassFilter'"),
        ("torchaudio_augmentations.Gain", {"decibels": 3}, "does not take"),
    ],
)
def test_only_transforms_of_the_two_packages_are_made(path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        Foreign(path, arguments, 16000)


def test_a_change_of_length_is_refused(keys):
    with pytest.raises(ConfigError, match="changes the length"):
        Foreign("torchaudio_augmentations.RandomResizedCrop", {"n_samples": 5})(
            torch.ones(2, 1, 10), keys(2)
        )
