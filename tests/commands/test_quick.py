"""Help and spelling mistakes of pretrain come from a table that equals the live parser, without
importing torch."""

import json
import subprocess
import sys

import pytest

from semisupcon.__main__ import main
from semisupcon.commands.parsing.option_table import live_parser, rows
from semisupcon.commands.quick import misspelt, quick, read_table

TABLE = {row["name"]: row for row in read_table()}


def test_the_table_is_that_of_the_live_parser():
    """After a change of options: python -m semisupcon.commands.parsing.option_table"""
    assert read_table() == json.loads(json.dumps(rows()))


def test_help_shows_the_options_of_run_data_and_model_first(capsys):
    assert main(["pretrain", "--help"]) == 0
    said = capsys.readouterr().out
    assert (
        0
        < said.index("--ckpt_path")
        < said.index("--data.batch_size")
        < said.index("--model.encoder ")
        < said.index("--help_all")
    )
    assert "--trainer.accumulate_grad_batches" not in said
    assert main(["pretrain", "--help_all"]) == 0
    everything = capsys.readouterr().out
    assert [
        name
        for name in TABLE
        if f"--{name} " not in f"{everything} " and f"--{name}\n" not in everything
    ] == []


@pytest.mark.parametrize(
    "args", [["--help"], ["--data.bach_size", "3"], ["--trainer.max_step=3"], ["--ckpt_pth", "x"]]
)
def test_answers_come_before_torch_and_lightning_are_imported(args):
    heavy = ("torch", "numpy", "pytorch_lightning", "jsonargparse")
    code = f"import sys; from semisupcon.__main__ import main; main(['pretrain', *{args!r}]); print(sorted(set({heavy!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--data.bach_size", "data.batch_size"),
        ("--trainer.max_step", "trainer.max_steps"),
        ("--ckpt_pth", "ckpt_path"),
        ("--data.batch_size", None),
        ("--data.init_args.batch_size", None),
        ("--model.encoder.width", None),
        ("--trainer.callbacks+", None),
        ("--trainer.callbacks.monitor", None),
        ("--data.help", None),
        ("--data", None),
        ("--model", None),
        ("--data.target_sr", None),
        ("--use_test_set", None),
    ],
)
def test_a_misspelt_option(word, meant):
    assert misspelt(word, TABLE, [word, "1"]) == meant


def test_another_data_module_is_left_to_the_parser(tmp_path):
    (tmp_path / "stream.yaml").write_text(
        "data:\n  class_path: semisupcon.data.streamed.StreamedDataModule\n"
    )
    for other in (
        ["--data", "StreamedDataModule"],
        ["--data.class_path=StreamedDataModule"],
        ["--config", str(tmp_path / "stream.yaml")],
    ):
        assert quick([*other, "--data.streem", "x"]) is None
    assert quick(["--config", "config/pretraining/moco.yaml", "--data.packd", "x"]) == 2


def test_every_suggestion_exists():
    options = {name for name, _ in live_parser()._walk_options()}
    assert set(TABLE) <= options
