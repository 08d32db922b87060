"""Weights averaged by Lightning's own callback, with heads and statistics that only the data
tell."""

import signal

import pytest
import torch

from semisupcon import load_encoder
from semisupcon.checkpoints import read_checkpoint
from semisupcon.commands.pretrain import main
from tests.marks import mostly_slow
from tests.pretraining.runs import ROOT, assert_same, small, stopping

EMA = (
    "--config",
    str(ROOT / "config" / "overlays" / "ema.yaml"),
    "--trainer.callbacks.decay",
    "0.9",
)


def train(clips, runs, recipe, name, steps, *more):
    assert (
        main(
            [
                *small(recipe, clips, runs, *EMA),
                "--run_name",
                name,
                "--trainer.max_steps",
                str(steps),
                *more,
            ]
        )
        == 0
    )
    return read_checkpoint(runs / name / "last.ckpt")


@pytest.mark.parametrize(
    "recipe", mostly_slow(["supervised", "mtslvr/bn_simclr", "moco"], ("moco",))
)
def test_a_checkpoint_holds_the_average_and_resumes_from_the_weights(clips, tmp_path, recipe):
    args = small(recipe, clips, tmp_path, *EMA, "--trainer.max_steps", "3")
    assert main([*args, "--run_name", "stopped", *stopping(2, signal.SIGTERM)]) == 143
    assert main([*args, "--resume_from_checkpoint", "last"]) == 0
    whole = train(clips, tmp_path, recipe, "whole", 3)
    stopped = read_checkpoint(tmp_path / "stopped" / "last.ckpt")
    for part in ("state_dict", "current_model_state", "optimizer_states", "global_step"):
        assert_same(stopped[part], whole[part], part)
    averaged, current = whole["state_dict"], whole["current_model_state"]
    trained = [
        name for name in averaged if name.startswith("encoder.trunk") and name.endswith("weight")
    ]
    assert any(not torch.equal(averaged[name], current[name]) for name in trained)
    for name, value in averaged.items():
        if not value.is_floating_point() or name.startswith("criterion.queue"):
            assert torch.equal(value, current[name]), name
    encoder = load_encoder(tmp_path / "whole")
    assert encoder(torch.randn(2, 1, encoder.segment_samples)).isfinite().all()


def test_the_average_is_the_exponential_one(clips, tmp_path):
    more = ("--model.scheduler", "null")
    first = train(clips, tmp_path, "clmr", "one", 1, *more)["current_model_state"]
    second = train(clips, tmp_path, "clmr", "two", 2, *more)
    for name, value in second["current_model_state"].items():
        if name.endswith("weight"):
            torch.testing.assert_close(second["state_dict"][name], 0.9 * first[name] + 0.1 * value)
