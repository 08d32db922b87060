"""The sweeps under config/ work with the script: a stub in the place of wandb's agent fills in the
command and runs it."""

import random

import pytest
import yaml

from semisupcon.__main__ import main
from tests.pretraining.runs import ROOT, TINY

SWEEPS = sorted((ROOT / "config" / "sweeps").glob("*.yaml"))


def drawn(parameter: dict, draw: random.Random):
    """A value as wandb's agent draws it."""
    return (
        draw.choice(parameter["values"])
        if "values" in parameter
        else draw.uniform(parameter["min"], parameter["max"])
    )


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_a_sweep_trains_with_the_values_of_its_agent(digits, tmp_path, monkeypatch, file):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    sweep, draw = yaml.safe_load(file.read_text()), random.Random(0)
    values = {name: drawn(parameter, draw) for name, parameter in sweep["parameters"].items()}
    words = [f"--{name}={value}" for name, value in values.items()]
    command = [
        word for part in sweep["command"] for word in (words if part == "${args}" else [part])
    ]
    assert command[:3] == ["${env}", "python", "${program}"]
    assert sweep["program"] == "pretrain.py"
    tiny = [part for name, value in TINY.items() for part in (f"--{name}", str(value))]
    where = [
        "--data.data_dir",
        str(digits),
        "--ckpt_path",
        str(tmp_path),
        "--run_name",
        "r",
        "--trainer.max_steps",
        "1",
    ]
    assert main(["pretrain", *command[3:], *tiny, *where]) == 0
    config = yaml.safe_load((tmp_path / "r" / "run_config.yaml").read_text())
    assert config["model"]["optimizer"]["init_args"]["lr"] == pytest.approx(
        values["model.optimizer.lr"]
    )
    assert (
        config["model"]["criterion"]["init_args"]["temperature"]
        == values["model.criterion.temperature"]
    )
