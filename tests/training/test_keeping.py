"""Which checkpoint is the best, what a checkpoint may hold, and what throughput counts."""

import os
from types import SimpleNamespace

import pytest
import torch

from semisupcon import load_encoder
from semisupcon.checkpoints import read_checkpoint
from semisupcon.errors import CheckpointError
from semisupcon.training.callbacks import Throughput
from semisupcon.training.keeping import KeepCheckpoints
from semisupcon.training.monitoring import mode_of
from semisupcon.training.writing import AtomicCheckpointIO
from tests.pretraining.runs import pretrain


class Command:
    def __reduce__(self):
        return (os.system, ("touch executed",))


def test_the_trainer_reads_checkpoints_without_executing_anything(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Command()}, tmp_path / "last.ckpt")
    for weights_only in (True, False, None):
        with pytest.raises(CheckpointError, match="no code was run"):
            AtomicCheckpointIO().load_checkpoint(tmp_path / "last.ckpt", weights_only=weights_only)
    assert not (tmp_path / "executed").exists()
    AtomicCheckpointIO().save_checkpoint({"a": torch.ones(2)}, tmp_path / "a.ckpt")
    assert AtomicCheckpointIO().load_checkpoint(tmp_path / "a.ckpt")["a"].tolist() == [1, 1]


@pytest.mark.parametrize(("mode", "better", "worse"), [("max", 2.1, 1.9), ("min", 1.9, 2.1)])
def test_the_mode_says_which_way_is_better(tmp_path, mode, better, worse):
    keep = KeepCheckpoints(tmp_path, "other", mode)
    assert keep.improves(worse)
    keep.best = 2.0
    assert keep.improves(better)
    assert not keep.improves(worse)
    assert not keep.improves(2.0)
    assert not keep.improves(float("inf" if mode == "max" else "-inf"))
    again = KeepCheckpoints(tmp_path, "other", mode)
    again.load_state_dict(keep.state_dict())
    assert again.best == 2.0


@pytest.mark.parametrize("changed", [{"monitor": "val_top1"}, {"mode": "min"}])
def test_the_best_value_of_another_quantity_is_forgotten(tmp_path, changed):
    keep = KeepCheckpoints(tmp_path, "val_rank", "max")
    keep.best = 2.0
    other = KeepCheckpoints(tmp_path, **{"monitor": "val_rank", "mode": "max"} | changed)
    other.load_state_dict(keep.state_dict())
    assert other.best is None


def test_a_direction_that_no_name_tells_is_the_one_given():
    assert mode_of("val_negatives", "min") == "min"
    assert (
        mode_of("val_negatives", "max")
        == mode_of("val_negatives", None)
        == mode_of(None, None)
        == "max"
    )


def test_a_run_remembers_the_length_of_its_views_and_the_direction_of_its_monitor(digits, tmp_path):
    options = (
        "--data.target_length",
        "0.3",
        "--monitor",
        "val_negatives",
        "--monitor_mode",
        "min",
        "--trainer.max_steps",
        "2",
    )
    val = ("--trainer.val_check_interval", "1", "--trainer.check_val_every_n_epoch", "null")
    assert pretrain(digits, tmp_path, "--run_name", "r", *options, *val) == 0
    assert load_encoder(tmp_path / "r").segment_samples == 2400
    (kept,) = (
        state
        for name, state in read_checkpoint(tmp_path / "r" / "last.ckpt")["callbacks"].items()
        if "KeepCheckpoints" in name
    )
    assert (kept["monitor"], kept["mode"]) == ("val_negatives", "min")


def throughput(world_size, monkeypatch, validated=False):
    """Clips per second that are logged after two steps of 8 clips in 4 seconds."""
    clock, logged = iter((10.0, 14.0)), []
    monkeypatch.setattr("semisupcon.training.callbacks.time.perf_counter", lambda: next(clock))
    callback, module = (
        Throughput(),
        SimpleNamespace(log=lambda name, value, **_: logged.append((name, value))),
    )
    if validated:  # what came before a validation does not count
        callback._clips, callback._since = 1000, 0.0
        callback.on_validation_start()
    for step in (1, 2):
        trainer = SimpleNamespace(world_size=world_size, global_step=step, log_every_n_steps=2)
        callback.on_train_batch_start()
        callback.on_train_batch_end(trainer, module, None, {"clip": torch.zeros(8)})
    assert (callback._clips, callback._since) == (0, None)
    return logged


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize(("world_size", "rate"), [(1, 4.0), (2, 8.0)])
def test_throughput_is_that_of_all_ranks(world_size, rate, validated, monkeypatch):
    assert throughput(world_size, monkeypatch, validated) == [("clips_per_second", rate)]
