"""Which option was probably meant."""

from pathlib import Path

import pytest

from semisupcon.commands import embed, hear
from semisupcon.commands.parsing import probe_options
from semisupcon.commands.parsing.parser import nearest_option, short
from semisupcon.commands.parsing.typed import take_configs
from semisupcon.commands.pretrain import configured
from semisupcon.commands.pretrain_cli import PretrainCLI
from semisupcon.errors import closest

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")
ROOT = Path(__file__).resolve().parents[2]
OPTIONS = [
    "config",
    "seed_everything",
    "log",
    "ckpt_path",
    "resume_from_checkpoint",
    "data",
    "data.batch_size",
    "data.seed",
    "model.encoder",
    "model.encoder.sample_rate",
    "model.encoder.widths",
    "model.criterion.temperature",
    *("model.optimizer", "model.optimizer.lr", "model.optimizer.weight_decay"),
    *("trainer.max_steps", "trainer.max_epochs", "trainer.min_epochs", "trainer.devices"),
]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("data.bach_size", "data.batch_size"),
        ("data.batch-size", "data.batch_size"),
        ("data.batchSize", "data.batch_size"),
        ("data.bs", "data.batch_size"),
        ("batch_size", "data.batch_size"),
        ("dta.bach_size", "data.batch_size"),
        ("model.lr", "model.optimizer.lr"),
        ("model.optimizer.learning_rate", "model.optimizer.lr"),
        ("optimizer.learning_rate", "model.optimizer.lr"),
        ("model.enc.sample_rate", "model.encoder.sample_rate"),
        ("encoder.widths", "model.encoder.widths"),
        ("model.temprature", "model.criterion.temperature"),
        ("epochs", "trainer.max_epochs"),
        ("checkpoint", "resume_from_checkpoint"),
        ("data.lr", None),
        ("data.max_steps", None),
        ("x.y.z", None),
        ("zzz", None),
    ],
)
def test_the_section_is_kept(written, meant):
    assert nearest_option(written, OPTIONS) == meant


@pytest.fixture(scope="module")
def parsers():
    found = {"embed": embed.parser(), "hear": hear.parser(), "probe": probe_options.parser()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretrainCLI, "instantiate_classes", lambda self: None)
        found["pretrain"] = configured(
            [
                "--config",
                str(ROOT / "config/pretraining/cola.yaml"),
                "--model.criterion.similarity",
                "Cosine",
            ]
        ).parser
    return found


@pytest.mark.parametrize("command", ["embed", "hear", "probe", "pretrain"])
def test_an_option_without_one_of_its_letters_is_found_or_another_that_exists(parsers, command):
    options = parsers[command].options()
    assert len(options) > 7
    right = []
    for option in (o for o in options if len(o.rpartition(".")[2]) > 3):
        section, _, last = option.rpartition(".")
        wrong = f"{section}." * bool(section) + last[: len(last) // 2] + last[len(last) // 2 + 1 :]
        meant = nearest_option(wrong, options)
        assert meant in options, wrong
        assert meant.startswith(section), wrong
        right.append(meant == option)
    assert sum(right) > 0.97 * len(right)


def test_options_of_the_chosen_classes_are_options(parsers):
    options = parsers["pretrain"].options()
    assert {
        "model.encoder.frontend",
        "model.criterion.similarity.temperature",
        "model.optimizer.lr",
        "data.views",
    } <= set(options)
    assert not any(option.endswith((".help", "+")) for option in options)


def test_the_closest_name():
    assert closest("Batch-Size", ["batch_size", "batch"]) == "batch_size"
    assert closest("sever", ["seven", "severity_modifier"]) == "severity_modifier"
    assert closest("lr", ["betas", "learning_rate"]) == "learning_rate"
    assert closest("abd", ["abc", "abe"]) == "abc"
    assert closest("zzz", ["abc"]) is None
    assert closest("abc", []) is None


def test_configs_are_taken_from_the_command_line():
    words = ["--config", "a.yaml", "--x", "1", "--config=b.yaml", "--config", "--y=2", "--config"]
    assert take_configs(words) == (
        ["a.yaml", "b.yaml"],
        ["--x", "1", "--config", "--y=2", "--config"],
    )


def test_a_message_has_three_lines():
    assert short("a\n\n  b   c\nd\ne") == "a\nb c\nd"
    assert len(short("x" * 5000)) < 700


@pytest.mark.parametrize(
    ("word", "empty"), [("--out=", True), ("--out= ", True), ("--out=a=", False), ("--x=", False)]
)
def test_an_empty_path_is_refused(word, empty, capsys):
    parser = embed.parser()
    parser.words = [word]
    if not empty:
        parser.refuse_empty()
        return
    with pytest.raises(SystemExit):
        parser.refuse_empty()
    assert "--out is empty. Give a path" in capsys.readouterr().err
