"""Every augmentation that docs/augmentations.md names trains through the command line."""

import re
import sys

import pytest
import yaml

from semisupcon.augmentations.chains import CORRUPTIONS, PARAMETRIC
from semisupcon.augmentations.severity import TIERS
from tests.pretraining.runs import ROOT, pretrain

TEXT = (ROOT / "docs" / "augmentations.md").read_text()
LISTS = [
    yaml.safe_load(block)["aug_list"]
    for block in re.findall(r"```yaml\n(aug_list:.*?)```", TEXT, re.DOTALL)
]
STEPS = ("--trainer.max_steps", "1")


def trains(digits, tmp_path, aug_list, **more):
    (tmp_path / "more.yaml").write_text(yaml.safe_dump({"data": {"aug_list": aug_list} | more}))
    return pretrain(digits, tmp_path / "runs", *STEPS, "--config", str(tmp_path / "more.yaml"))


@pytest.fixture(autouse=True)
def without_the_list_of_the_other_tests(monkeypatch):
    """The tiny settings of these tests name augmentations on the command line, which would win."""
    from tests.pretraining import runs

    monkeypatch.delitem(runs.TINY, "data.aug_list")


def test_the_page_has_examples():
    assert len(LISTS) >= 2


@pytest.mark.parametrize("aug_list", LISTS, ids=range(len(LISTS)))
def test_lists_of_the_page(digits, tmp_path, aug_list):
    assert trains(digits, tmp_path, aug_list) == 0


@pytest.mark.parametrize(
    "names", [[*PARAMETRIC, *CORRUPTIONS], [list(TIERS)[-1]], ["clmr"], ["mtslvr"]], ids=str
)
def test_names(digits, tmp_path, names):
    assert trains(digits, tmp_path, names, severity_modifier=5) == 0


def test_names_of_the_tables_are_known():
    table = set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE))
    assert table
    assert table <= {*PARAMETRIC, *CORRUPTIONS, "filtering"}


def test_a_transform_of_the_user_s_own(digits, tmp_path, monkeypatch):
    """The page's own class, in a module of the working folder."""
    (tmp_path / "my_effects.py").write_text(
        re.search(r"```python\n(import torch.*?)```", TEXT, re.DOTALL)[1]
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_effects", raising=False)
    assert (
        trains(
            digits,
            tmp_path,
            ["gain", {"class_path": "my_effects.Tremolo", "init_args": {"p": 0.5}}],
        )
        == 0
    )
    assert (
        pretrain(
            digits,
            tmp_path / "more",
            *STEPS,
            "--data.aug_list",
            "[{class_path: my_effects.Tremolo}]",
        )
        == 0
    )


@pytest.mark.parametrize("transform", ["SpecAugment", "BandShift"])
def test_spectrogram_augmentations_by_bare_name(digits, tmp_path, transform):
    encoder = "--model.encoder ResNet2d --model.encoder.width 4 --model.encoder.frontend LogMel --model.encoder.frontend.sample_rate 8000"
    more = f"--model.encoder.frontend.f_max 3900 --model.criterion COLA --model.criterion.spec_augment {transform} --data.target_length 0.5"
    clean = "--model.encoder.frontend.n_mels 32 --model.encoder.segment_samples 4000"
    options = f"{encoder} {more} {clean}".split()
    from tests.pretraining import runs

    tiny = {k: v for k, v in runs.TINY.items() if not k.startswith("model.encoder")}
    arguments = [part for name, value in tiny.items() for part in (f"--{name}", str(value))]
    from semisupcon.commands.pretrain import main

    config = str(ROOT / "config" / "pretraining" / "pretrain_ssl.yaml")
    assert (
        main(
            [
                "--config",
                config,
                *arguments,
                "--data.data_dir",
                str(digits),
                "--ckpt_path",
                str(tmp_path),
                *STEPS,
                *options,
            ]
        )
        == 0
    )
