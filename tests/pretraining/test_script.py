"""`pretrain.py` as a process: on two ranks, stopped by its scheduler, and in mixed precision."""

import math
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from semisupcon.checkpoints import read_checkpoint
from semisupcon.commands.pretrain import main
from tests.marks import mostly_slow
from tests.pretraining.runs import (
    EACH_OBJECTIVE,
    ROOT,
    TINY,
    WithoutBatchNorm,
    rows,
    small,
)


def arguments(digits, runs, *more):
    """Those of the semi-supervised recipe, on a tiny encoder without batch norm, by plain gradient
    descent in float64."""
    tiny = TINY | {"model.encoder": f"{WithoutBatchNorm.__module__}.WithoutBatchNorm"}
    parts = ["--config", str(ROOT / "config" / "pretraining" / "pretrain_smsl.yaml")]
    parts += [part for name, value in tiny.items() for part in (f"--{name}", str(value))]
    parts += [
        "--model.optimizer",
        "torch.optim.SGD",
        "--model.optimizer.lr",
        "0.1",
        "--trainer.precision",
        "64-true",
    ]
    parts += ["--trainer.limit_val_batches", "0", "--monitor", "null"]
    return [
        *parts,
        "--data.sl_task",
        "fsdd_digit",
        "--data.data_dir",
        str(digits),
        "--ckpt_path",
        str(runs),
        *more,
    ]


def start(*arguments, program=(sys.executable,), environment=None):
    """A process group of its own, with one thread a process."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | (environment or {})
    return subprocess.Popen(
        [*program, *arguments],
        cwd=ROOT,
        env=environment,
        start_new_session=True,
        stderr=subprocess.PIPE,
    )


def ended(process):
    """Its exit status and what it said, when all processes of its group have gone."""
    _, said = process.communicate(timeout=300)
    for _ in range(200):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return process.returncode, said.decode()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    raise AssertionError("processes were left behind")


@pytest.mark.slow
def test_two_ranks_are_stopped_resumed_and_equal_one_process(digits, tmp_path):
    two = ("--trainer.devices", "2", "--run_name", "two", "--trainer.max_steps")
    process = start("pretrain.py", *arguments(digits, tmp_path, *two, "100000"))
    metrics = tmp_path / "two" / "metrics.csv"
    while process.poll() is None and (not metrics.exists() or metrics.read_text().count("\n") < 4):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    status, said = ended(process)
    assert status == 143, said
    assert "Traceback" not in said
    done = read_checkpoint(tmp_path / "two" / "last.ckpt")["global_step"]
    assert done % 10 == 0  # where the ranks agree
    steps = str(done + 3)
    status, said = ended(
        start(
            "pretrain.py",
            *arguments(
                digits, tmp_path, *two[:2], "--resume_from_checkpoint", "last", *two[4:], steps
            ),
        )
    )
    assert status == 0, said
    assert [p.name for p in tmp_path.iterdir()] == ["two"]
    assert [int(r["step"]) for r in rows(tmp_path / "two")] == list(range(done + 3))
    one = arguments(
        digits,
        tmp_path,
        "--data.batch_size",
        "16",
        "--run_name",
        "one",
        "--trainer.max_steps",
        steps,
    )
    assert main(one) == 0
    ours, theirs = (
        read_checkpoint(tmp_path / name / "last.ckpt")["state_dict"] for name in ("two", "one")
    )
    for name, value in theirs.items():
        torch.testing.assert_close(
            ours[name], value, rtol=1e-6, atol=1e-7, msg=lambda m, name=name: f"{name}: {m}"
        )


@pytest.mark.parametrize(
    "recipes",
    [
        pytest.param(EACH_OBJECTIVE, id="all", marks=pytest.mark.slow),
    ],
)
def test_every_objective_trains_on_two_ranks_of_torchrun(clips, tmp_path, recipes):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    status, said = ended(
        start(
            *launcher,
            "-m",
            "tests.pretraining.on_ranks",
            str(clips),
            str(tmp_path),
            *recipes,
        )
    )
    assert status == 0, said[-3000:]
    assert {p.name for p in tmp_path.iterdir()} == {name.replace("/", "-") for name in recipes}
    for run in tmp_path.iterdir():
        assert_trained(run, 2)


@pytest.mark.slow
def test_the_script_for_slurm_trains_on_two_tasks(clips, tmp_path):
    """`srun` is played by a shell that starts two tasks on this machine."""
    tools, runs = tmp_path / "tools", tmp_path / "runs"
    tools.mkdir()
    (tools / "srun").write_text(
        "#!/bin/bash\n"
        'while case "$1" in --*) true ;; *) false ;; esac do shift; done\n'
        'for task in 0 1; do SLURM_PROCID=$task SLURM_LOCALID=$task "$@" & done\n'
        "status=0; for task in 1 2; do wait -n || status=$?; done; exit $status\n"
    )
    (tools / "srun").chmod(0o755)
    facts = {
        "JOB_ID": "4711",
        "JOB_NAME": "pretrain",
        "STEP_ID": "0",
        "NTASKS": "2",
        "NNODES": "1",
        "NTASKS_PER_NODE": "2",
        "NODEID": "0",
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        facts = {f"SLURM_{k}": v for k, v in facts.items()} | {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free.getsockname()[1]),
        }
    path = os.pathsep.join((str(tools), str(Path(sys.executable).parent), os.environ["PATH"]))
    more = small(
        "pretrain_ssl", clips, runs, "--trainer.accelerator", "cpu", "--trainer.max_steps", "2"
    )
    process = start(
        *more,
        program=("bash", str(ROOT / "docs" / "pretrain.sbatch")),
        environment=facts | {"PATH": path},
    )
    status, said = ended(process)
    assert status == 0, said[-3000:]
    (run,) = runs.iterdir()
    assert run.name.endswith("-4711-0")
    assert_trained(run, 2)


@pytest.mark.parametrize(
    "recipe", mostly_slow(EACH_OBJECTIVE, ("pretrain_smsl", "mtslvr/split_simclr"))
)
def test_every_objective_trains_in_mixed_precision(clips, tmp_path, recipe):
    more = ("--trainer.max_steps", "2", "--trainer.precision", "bf16-mixed", "--run_name", "a")
    assert main(small(recipe, clips, tmp_path, *more)) == 0
    assert_trained(tmp_path / "a", 2)


def assert_trained(run, steps):
    """As many steps as asked for, finite losses and weights."""
    content = read_checkpoint(run / "last.ckpt")
    assert content["global_step"] == steps
    assert all(value.isfinite().all() for value in content["state_dict"].values()), run.name
    losses = [float(r["loss"]) for r in rows(run) if r["loss"]]
    assert len(losses) == steps
    assert all(map(math.isfinite, losses)), run.name
