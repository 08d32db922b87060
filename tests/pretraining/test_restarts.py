"""A job that its cluster starts again runs the same command and continues the same run: SLURM's
requeue, torchrun's restarts."""

import os
import shutil
import signal

import pytest
import torch

from semisupcon.checkpoints import read_checkpoint
from semisupcon.errors import CheckpointError, ConfigError
from semisupcon.training.runs import forget_name, open_run
from tests.pretraining.runs import assert_same, pretrain, rows, stopping

STEPS = ("--trainer.max_steps", "5", "--save_every", "0")
SLURM = {
    "JOB_ID": "77",
    "JOB_NAME": "train",
    "STEP_ID": "0",
    "NTASKS": "1",
    "PROCID": "0",
    "LOCALID": "0",
    "NODEID": "0",
    "NODELIST": "here",
}


@pytest.fixture(autouse=True)
def own_name(monkeypatch):
    """Each call is a process of its own, whose clock and parent say nothing about the others."""
    for name in [n for n in os.environ if n.startswith(("SLURM_", "TORCHELASTIC_"))]:
        monkeypatch.delenv(name)
    yield
    forget_name()


@pytest.fixture
def slurm(monkeypatch, tmp_path_factory):
    """The variables of a step of one task, and an ``scontrol`` that writes down what it is
    asked."""
    for name, value in SLURM.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    tools = tmp_path_factory.mktemp("tools")
    (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tools}/asked\n')
    (tools / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    return tools / "asked"


def test_a_requeued_job_continues_bit_for_bit(digits, tmp_path, slurm, monkeypatch):
    assert pretrain(digits, tmp_path, *STEPS, *stopping(3, signal.SIGUSR1)) == 128 + signal.SIGUSR1
    assert slurm.read_text() == "requeue 77\n"
    (run,) = tmp_path.iterdir()
    assert run.name.endswith("-77-0")
    assert {p.name for p in run.glob("*.ckpt")} == {"last.ckpt", "hpc_ckpt_1.ckpt"}
    for name in ("last.ckpt", "hpc_ckpt_1.ckpt"):
        assert read_checkpoint(run / name)["global_step"] == 3
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert pretrain(digits, tmp_path, *STEPS) == 0
    assert [p.name for p in run.glob("*.ckpt")] == [
        "last.ckpt"
    ]  # what the requeue had saved is older now
    monkeypatch.delenv("SLURM_RESTART_COUNT")
    assert pretrain(digits, tmp_path, *STEPS, "--run_name", "whole") == 0
    ours, theirs = (read_checkpoint(folder / "last.ckpt") for folder in (run, tmp_path / "whole"))
    for part in ("state_dict", "optimizer_states", "global_step"):
        assert_same(ours[part], theirs[part], part)
    assert rows(run) == rows(tmp_path / "whole")


def test_on_slurm_sigterm_saves_and_asks_for_nothing(digits, tmp_path, slurm):
    assert pretrain(digits, tmp_path, *STEPS, *stopping(2, signal.SIGTERM)) == 143
    assert not slurm.exists()
    (run,) = tmp_path.iterdir()
    assert read_checkpoint(run / "last.ckpt")["global_step"] == 2


def save(path, step, when):
    path.parent.mkdir(exist_ok=True)
    torch.save({"global_step": step}, path)
    os.utime(path, (when, when))


@pytest.mark.parametrize("variable", ["SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT"])
def test_a_restarted_job_continues_its_run_at_the_newest_whole_checkpoint(
    tmp_path, monkeypatch, variable
):
    monkeypatch.setenv(variable, "0")
    run = tmp_path / "a"
    save(run / "last.ckpt", 1, 10)
    with pytest.raises(ConfigError, match="already has a run"):
        open_run(tmp_path, "a", None, "x")
    monkeypatch.setenv(variable, "2")
    assert open_run(tmp_path, "a", None, "x").checkpoint == run / "last.ckpt"
    save(run / "hpc_ckpt_2.ckpt", 2, 20)
    assert open_run(tmp_path, "a", None, "x").checkpoint == run / "hpc_ckpt_2.ckpt"
    (run / "hpc_ckpt_3.ckpt").write_bytes((run / "hpc_ckpt_2.ckpt").read_bytes()[:300])  # cut off
    assert open_run(tmp_path, "a", None, "x").checkpoint == run / "hpc_ckpt_2.ckpt"
    save(run / "last.ckpt", 3, 30)
    assert open_run(tmp_path, "a", None, "x").checkpoint == run / "last.ckpt"
    # Killed before anything was saved: it begins, under the same name.
    assert open_run(tmp_path, "b", None, "x").checkpoint is None
    # What the command says was right for the first attempt only.
    save(run / "step.ckpt", 0, 5)
    assert open_run(tmp_path, None, str(run / "step.ckpt"), "x").checkpoint == run / "last.ckpt"
    monkeypatch.setenv(variable, "0")
    assert open_run(tmp_path, None, str(run / "step.ckpt"), "x").checkpoint == run / "step.ckpt"


def test_last_and_a_folder_find_what_a_requeue_saved(tmp_path):
    save(tmp_path / "a" / "last.ckpt", 1, 10)
    save(tmp_path / "b" / "hpc_ckpt_1.ckpt", 2, 20)
    assert open_run(tmp_path, None, "last", "x").folder == tmp_path / "b"
    assert (
        open_run(tmp_path, None, str(tmp_path / "b"), "x").checkpoint
        == tmp_path / "b" / "hpc_ckpt_1.ckpt"
    )
    shutil.rmtree(tmp_path / "b")
    assert open_run(tmp_path, None, "last", "x").folder == tmp_path / "a"
    with pytest.raises(CheckpointError, match="No checkpoint"):
        open_run(tmp_path, None, str(tmp_path / "b"), "x")


def test_all_processes_of_a_job_have_one_name(tmp_path, monkeypatch):
    def name_of(**variables):
        with monkeypatch.context() as context:
            for key, value in variables.items():
                context.setenv(key, value)
            forget_name()
            return open_run(tmp_path, None, None, "x").folder.name

    assert name_of(TORCHELASTIC_RUN_ID="j7", RANK="1") == "x-j7"
    assert name_of(SLURM_JOB_ID="9", SLURM_STEP_ID="1", SLURM_PROCID="3") == "x-9-1"
    assert (
        name_of(
            SLURM_JOB_ID="9", SLURM_STEP_ID="0", SLURM_ARRAY_JOB_ID="8", SLURM_ARRAY_TASK_ID="2"
        )
        == "x-8-2-0"
    )
    assert not name_of(SLURM_JOB_ID="9", SLURM_STEP_ID="0", SLURM_JOB_NAME="bash").startswith(
        "x-9-"
    )


def test_what_a_kill_left_half_written_is_swept_away(digits, tmp_path):
    assert pretrain(digits, tmp_path, "--trainer.max_steps", "1", "--run_name", "a") == 0
    (tmp_path / "a" / ".last.ckpt.99.partial").write_bytes(b"half")
    assert (
        pretrain(digits, tmp_path, "--trainer.max_steps", "2", "--resume_from_checkpoint", "last")
        == 0
    )
    assert not list((tmp_path / "a").glob(".*"))
