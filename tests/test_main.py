"""`python -m semisupcon`: every command answers, and a mistake is answered in a sentence."""

import importlib

import pytest
import torch

from semisupcon import load_encoder
from semisupcon.__main__ import COMMANDS, main
from semisupcon.checkpoints import save_atomically
from semisupcon.encoders import SampleCNNSmall
from semisupcon.spec import spec_of


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(COMMANDS[command][0]).main(["--help"])
    assert stop.value.code == 0
    assert "usage" in capsys.readouterr().out.lower()


def test_a_misspelt_command_is_answered_with_the_nearest(capsys):
    assert main(["embbed"]) == 2
    assert "Did you mean 'embed'?" in capsys.readouterr().err
    assert main([]) == 2
    assert main(["--help"]) == 0


def test_export_writes_what_load_encoder_reads(tmp_path, capsys):
    encoder = SampleCNNSmall(widths=[4, 8], stem=3)
    weights = {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
    save_atomically(
        {"state_dict": weights, "semisupcon": {"encoder": spec_of(encoder)}},
        tmp_path / "run" / "last.ckpt",
    )
    assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "out")]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    x = torch.randn(1, 1, 100)
    assert torch.equal(load_encoder(tmp_path / "out")(x), encoder.eval()(x))
    assert main(["export", str(tmp_path / "nowhere"), "--out", str(tmp_path / "other")]) == 2
    assert "No checkpoint at" in capsys.readouterr().err
