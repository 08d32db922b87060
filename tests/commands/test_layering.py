"""``--config`` files of `pretrain` are layered as jsonargparse layers them, and the command line
wins."""

from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentParser

from semisupcon.commands.pretrain import configured
from semisupcon.commands.pretrain_cli import PretrainCLI
from tests.pretraining.runs import ROOT, SOME_RECIPES

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")
CONFIGS = Path(ROOT) / "config"


@pytest.fixture(scope="module")
def parser():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretrainCLI, "instantiate_classes", lambda self: None)
        return configured(["--model.encoder", "SampleCNN", "--model.criterion", "SimCLR"]).parser


def values(parser, parsed):
    return yaml.safe_load(parser.dump(parsed, skip_none=False))


def given(*files):
    return [word for file in files for word in ("--config", str(file))]


def stack(file):
    """The files that a file builds on, and itself."""
    names = yaml.safe_load(file.read_text()).get("builds_on", [])
    return [*(below for name in names for below in stack(file.parent / name)), file]


def equal(parser, files, *words, folder):
    """Ours, which equals what jsonargparse makes of the same files one after the other."""
    ours = values(parser, parser.parse_args([*given(*files), *words]))
    plain = []
    for number, file in enumerate(one for top in files for one in stack(top)):
        plain.append(folder / f"plain{number}.yaml")
        plain[-1].write_text(
            yaml.safe_dump(
                {k: v for k, v in yaml.safe_load(file.read_text()).items() if k != "builds_on"}
            )
        )
    assert ours == values(parser, ArgumentParser.parse_args(parser, [*given(*plain), *words]))
    return ours


@pytest.mark.parametrize("recipe", SOME_RECIPES)
def test_every_recipe_and_its_overlay_give_what_jsonargparse_gives(parser, recipe, tmp_path):
    files = [
        CONFIGS / "pretraining" / f"{recipe}.yaml",
        CONFIGS / "overlays" / "small" / f"{recipe}.yaml",
    ]
    equal(parser, [*files, CONFIGS / "overlays" / "ema.yaml"], folder=tmp_path)


def test_options_that_the_new_class_has_are_kept(parser, tmp_path):
    (tmp_path / "a.yaml").write_text(
        "model: {encoder: {class_path: ResNet2d, init_args: {depth: 18, sample_rate: 8000, pool: "
        "MaxPool}}}"
    )
    (tmp_path / "b.yaml").write_text("model: {encoder: SampleCNNSmall}")
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    encoder = equal(parser, files, "--model.criterion", "SimCLR", folder=tmp_path)["model"][
        "encoder"
    ]
    assert encoder["class_path"] == "semisupcon.encoders.SampleCNNSmall"
    assert encoder["init_args"]["sample_rate"] == 8000
    assert encoder["init_args"]["pool"]["class_path"] == "semisupcon.encoders.MaxPool"
    assert "depth" not in encoder["init_args"]


def test_lists_replace_or_append(parser, tmp_path):
    (tmp_path / "a.yaml").write_text(
        "trainer: {callbacks+: [{class_path: EarlyStopping, init_args: {monitor: x}}]}"
    )
    recipe = CONFIGS / "pretraining" / "clmr.yaml"
    both = equal(
        parser, [recipe, CONFIGS / "overlays" / "ema.yaml", tmp_path / "a.yaml"], folder=tmp_path
    )
    assert [c["class_path"].rpartition(".")[2] for c in both["trainer"]["callbacks"]] == [
        "EMAWeightAveraging",
        "EarlyStopping",
    ]


def test_a_class_in_a_file_of_its_own_is_found_beside_the_file_that_names_it(parser, tmp_path):
    (tmp_path / "encoder.yaml").write_text("{class_path: SampleCNNSmall, init_args: {stem: 3}}")
    (tmp_path / "a.yaml").write_text("model: {encoder: encoder.yaml}")
    words = [*given(tmp_path / "a.yaml"), "--model.criterion", "SimCLR"]
    assert values(parser, parser.parse_args(words))["model"]["encoder"]["init_args"]["stem"] == 3


def test_the_command_line_wins_wherever_it_stands_and_null_clears(parser, tmp_path):
    (tmp_path / "a.yaml").write_text(
        "data: {batch_size: 5, sl_kwargs: {a: 1}}\nmonitor: null\ntrainer: {max_steps: 3}"
    )
    (tmp_path / "b.yaml").write_text("data: {init_args: {sl_kwargs: {b: 2}}}\ntrainer: null")
    words = [
        "--data.batch_size",
        "7",
        *given(CONFIGS / "pretraining" / "clmr.yaml", tmp_path / "a.yaml", tmp_path / "b.yaml"),
    ]
    found = values(parser, parser.parse_args(words))
    assert found["data"]["init_args"]["batch_size"] == 7
    assert found["data"]["init_args"]["sl_kwargs"] == {"a": 1, "b": 2}
    assert found["monitor"] is None
    assert found["trainer"]["max_steps"] == -1
