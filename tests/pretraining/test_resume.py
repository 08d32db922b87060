"""A run that is stopped and resumed is the run that was not: the same numbers, bit for bit, in the
same folder."""

import os
import re
import signal
import subprocess
import sys

import pytest
import torch

from semisupcon.checkpoints import read_checkpoint
from tests.pretraining.runs import assert_same, pretrain, rows, stopping
from tests.pretraining.wandb_server import Server

STEPS = (
    9  # of epochs of 7 batches: the stops lie amid the first epoch, at its end, and in the second
)
OPTIONS = (
    "--trainer.max_steps",
    str(STEPS),
    "--data.aug_list",
    "[gain, polarity_inversion, add_colored_noise]",
    "--save_every",
    "0",
)
SCHEDULE = (
    "--model.scheduler semisupcon.training.optimization.WarmupCosine "
    "--model.scheduler.warmup_steps 3 "
    f"--model.scheduler.total_steps {STEPS} --model.optimizer.lr 0.01"
).split()


@pytest.fixture(scope="module")
def uninterrupted(digits, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    assert pretrain(digits, runs, "--run_name", "whole", *OPTIONS, *SCHEDULE) == 0
    return runs / "whole"


@pytest.mark.parametrize(
    ("number", "status", "step", "workers"),
    [(signal.SIGTERM, 143, 8, 0), (signal.SIGINT, 130, 4, 0), (signal.SIGTERM, 143, 7, 2)],
)
def test_a_stopped_and_resumed_run_equals_the_uninterrupted_one(
    digits, tmp_path, uninterrupted, number, status, step, workers
):
    assert (
        pretrain(
            digits, tmp_path, "--run_name", "whole", *OPTIONS, *SCHEDULE, *stopping(step, number)
        )
        == status
    )
    assert read_checkpoint(tmp_path / "whole" / "last.ckpt")["global_step"] == step
    again = ("--resume_from_checkpoint", "last", "--data.num_workers", str(workers))
    assert pretrain(digits, tmp_path, *OPTIONS, *SCHEDULE, *again) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["whole"]
    ours, theirs = (
        read_checkpoint(run / "last.ckpt") for run in (tmp_path / "whole", uninterrupted)
    )
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch"):
        assert_same(ours[part], theirs[part], part)
    assert rows(tmp_path / "whole") == rows(uninterrupted)


def test_two_epochs_and_the_next_after_them(digits, tmp_path, uninterrupted):
    """Stopped by its own end of steps and then prolonged, a run goes on as if it had been longer
    from the start."""
    shorter = [
        str(5) if o == str(STEPS) and OPTIONS[i - 1] == "--trainer.max_steps" else o
        for i, o in enumerate(OPTIONS)
    ]
    assert pretrain(digits, tmp_path, "--run_name", "whole", *shorter, *SCHEDULE) == 0
    assert (
        pretrain(
            digits,
            tmp_path,
            "--resume_from_checkpoint",
            str(tmp_path / "whole"),
            *OPTIONS,
            *SCHEDULE,
        )
        == 0
    )
    ours, theirs = (
        read_checkpoint(run / "last.ckpt") for run in (tmp_path / "whole", uninterrupted)
    )
    assert_same(ours["state_dict"], theirs["state_dict"])


@pytest.mark.slow
def test_the_wandb_run_continues(digits, tmp_path, monkeypatch, caplog):
    """Offline, a resumed run has two folders of one id; the command that the run prints sends both,
    the second behind the first."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    options = ("--log", "wandb", "--trainer.max_steps")
    assert pretrain(digits, tmp_path, "--run_name", "w", *options, "2") == 0
    state = (tmp_path / "w" / "run.json").read_text()
    with caplog.at_level("INFO"):
        assert pretrain(digits, tmp_path, "--resume_from_checkpoint", "last", *options, "4") == 0
    assert (tmp_path / "w" / "run.json").read_text() == state
    assert (
        len(list((tmp_path / "w" / "wandb").glob("offline-run-*"))) == 2
    )  # two stretches of one run
    assert [int(r["step"]) for r in rows(tmp_path / "w") if r["loss"]] == [0, 1, 2, 3]
    (command,) = re.findall(r"wandb sync \S+", caplog.text)
    with Server() as server:
        environment = os.environ | {
            "WANDB_BASE_URL": server.address,
            "WANDB_API_KEY": "a" * 40,
            "HOME": str(tmp_path / "home"),
        }
        environment.pop("WANDB_MODE")
        done = subprocess.run(
            [sys.executable, "-m", *command.split()],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert [line["trainer/global_step"] for line in server.lines if "loss" in line] == [0, 1, 2, 3]


def test_a_resume_reads_its_checkpoint_once(digits, tmp_path, monkeypatch):
    assert pretrain(digits, tmp_path, "--run_name", "r", "--trainer.max_steps", "1") == 0
    load, reads = torch.load, []
    monkeypatch.setattr(
        torch, "load", lambda path, *a, **k: (reads.append(str(path)), load(path, *a, **k))[1]
    )
    assert (
        pretrain(digits, tmp_path, "--resume_from_checkpoint", "last", "--trainer.max_steps", "2")
        == 0
    )
    assert reads == [str(tmp_path / "r" / "last.ckpt")]
