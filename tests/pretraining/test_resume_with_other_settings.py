"""A resumed run goes by what its command line says; what cannot be changed is refused before
anything is written."""

import os
import re
import shutil
import signal

import pytest
import pytorch_lightning as L
import torch

from semisupcon.checkpoints import read_checkpoint
from tests.marks import mostly_slow
from tests.pretraining.runs import assert_same, pretrain, rows, stopping

ADAMW = ("--model.optimizer", "torch.optim.AdamW", "--model.optimizer.lr", "0.01")
COSINE = ("--model.scheduler", "WarmupCosine", "--model.scheduler.total_steps", "8")
QUICK = (
    "--data.aug_list",
    "[gain]",
    "--trainer.val_check_interval",
    "4",
    "--trainer.check_val_every_n_epoch",
    "null",
)


def start(digits, runs, *more, steps=4):
    assert (
        pretrain(
            digits,
            runs,
            "--run_name",
            "r",
            "--trainer.max_steps",
            str(steps),
            *QUICK,
            *ADAMW,
            *more,
        )
        == 0
    )
    return runs / "r"


def go_on(digits, run, *more, steps=6, base=ADAMW):
    return pretrain(
        digits,
        run.parent,
        "--resume_from_checkpoint",
        str(run),
        "--trainer.max_steps",
        str(steps),
        *QUICK,
        *base,
        *more,
    )


def group(run):
    return read_checkpoint(run / "last.ckpt")["optimizer_states"][0]["param_groups"][0]


@pytest.fixture(scope="module")
def started(digits, tmp_path_factory):
    return start(digits, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def on_a_cosine(digits, tmp_path_factory):
    return start(digits, tmp_path_factory.mktemp("runs"), *COSINE)


@pytest.fixture
def run_of(tmp_path):
    """A copy of a finished run, to be resumed."""

    def copy(run):
        return shutil.copytree(run, tmp_path / "copy" / run.name)

    return copy


# 1. What wins, and what is refused.

WINS = [
    ("lr", ("--model.optimizer.lr", "1e-5"), lambda g: g["lr"], 1e-5),
    ("weight decay", ("--model.optimizer.weight_decay", "0.3"), lambda g: g["weight_decay"], 0.3),
    ("betas", ("--model.optimizer.betas", "[0.5,0.6]"), lambda g: tuple(g["betas"]), (0.5, 0.6)),
    ("eps", ("--model.optimizer.eps", "1e-3"), lambda g: g["eps"], 1e-3),
    (
        "schedule",
        COSINE,
        lambda g: round(g["lr"], 12),
        round(0.01 * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * 6 / 8)).item()), 9),
    ),
]


@pytest.mark.parametrize(("name", "options", "read", "expected"), WINS, ids=[w[0] for w in WINS])
def test_a_changed_value_wins_and_is_told(
    digits, started, run_of, caplog, name, options, read, expected
):
    run = run_of(started)
    with caplog.at_level("INFO"):
        assert go_on(digits, run, *options) == 0
    assert read(group(run)) == pytest.approx(expected, rel=1e-6)
    assert "changed against the checkpoint: model." in caplog.text
    assert read_checkpoint(run / "last.ckpt")["global_step"] == 6


def test_what_has_no_effect_on_a_resume_is_told(digits, started, run_of, caplog):
    run = run_of(started)
    with caplog.at_level("WARNING"):
        assert go_on(digits, run, "--run_name", "other", steps=4) == 0
    assert "--run_name other has no effect" in caplog.text
    assert "Nothing is left to train: --trainer.max_steps is 4." in caplog.text
    assert [p.name for p in run.parent.iterdir()] == ["r"]


OTHER_WINS = {
    "batch size": ("--data.batch_size", "6"),
    "temperature": ("--model.criterion.temperature", "0.3"),
    "precision": ("--trainer.precision", "bf16-mixed"),
    "accumulation": ("--trainer.accumulate_grad_batches", "2"),
    "clipping": ("--trainer.gradient_clip_val", "0.5"),
    "share": ("--data.supervised_data_p", "0.5"),
}


@pytest.mark.parametrize("name", OTHER_WINS)
def test_other_changed_values_win(digits, started, run_of, caplog, name):
    run = run_of(started)
    with caplog.at_level("INFO"):
        assert go_on(digits, run, *OTHER_WINS[name]) == 0
    option = OTHER_WINS[name][0].removeprefix("--")
    assert re.search(
        rf"changed against the checkpoint: {option}: .* -> {OTHER_WINS[name][1]}", caplog.text
    )
    found = read_checkpoint(run / "last.ckpt")["semisupcon"]["config"]
    assert OTHER_WINS[name][1] in str(found)


REFUSED = {
    "optimizer class": (
        ("--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.01"),
        "--model.optimizer is SGD",
    ),
    "parameter groups": (
        (*ADAMW, "--model.decay_norm_and_bias", "false"),
        "--model.decay_norm_and_bias",
    ),
    "projector": (
        (
            *ADAMW,
            "--model.criterion.projector",
            "ProjectionHead",
            "--model.criterion.projector.widths",
            "[16,8]",
        ),
        "projector",
    ),
    "criterion": ((*ADAMW, "--model.criterion", "SimCLR"), "--model.criterion is SimCLR"),
    "encoder": (
        (*ADAMW, "--model.encoder.widths", "[8,8,8]"),
        "--model.encoder.widths: [8, 8, 16] -> [8, 8, 8]",
    ),
    "encoder class": (
        (*ADAMW, "--model.encoder", "DilatedCNN", "--model.encoder.sample_rate", "8000"),
        "--model.encoder is DilatedCNN",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_change_is_refused_before_anything_is_written(
    digits, started, run_of, capsys, name
):
    run = run_of(started)
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    options, said = REFUSED[name]
    assert go_on(digits, run, *options, base=()) == 2
    text = capsys.readouterr().err
    assert said in text
    assert len(text.strip().splitlines()) <= 3
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*")} == before


def test_a_finished_schedule_that_is_taken_away_leaves_the_learning_rate(
    digits, on_a_cosine, run_of
):
    """Version 0.1 trained on at a rate of 0."""
    run = run_of(on_a_cosine)
    assert go_on(digits, run, *COSINE, steps=8) == 0
    assert group(run)["lr"] == pytest.approx(0.0, abs=1e-9)
    assert go_on(digits, run, "--model.scheduler", "null", steps=10) == 0
    assert group(run)["lr"] == pytest.approx(0.01)


SCHEDULES = {
    "other peak": (*COSINE, "--model.optimizer.lr", "0.002"),
    "longer": ("--model.scheduler", "WarmupCosine", "--model.scheduler.total_steps", "20"),
    "warm-up": (*COSINE, "--model.scheduler.warmup_steps", "7"),
    "another class": (
        "--model.scheduler",
        "torch.optim.lr_scheduler.StepLR",
        "--model.scheduler.step_size",
        "2",
    ),
    "exponential": (
        "--model.scheduler",
        "torch.optim.lr_scheduler.ExponentialLR",
        "--model.scheduler.gamma",
        "0.8",
    ),
    "oscillating": ("--model.scheduler", "OscillatingCosine", "--model.scheduler.half_period", "5"),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_changed_schedule_goes_on_as_if_it_had_been_there_from_the_start(
    digits, on_a_cosine, run_of, tmp_path, name
):
    run = run_of(on_a_cosine)
    assert go_on(digits, run, *SCHEDULES[name]) == 0
    whole = start(digits, tmp_path / "whole", *SCHEDULES[name], steps=6)
    assert group(run)["lr"] == pytest.approx(group(whole)["lr"], rel=1e-9)
    ours, theirs = (read_checkpoint(r / "last.ckpt")["lr_schedulers"][0] for r in (run, whole))
    assert {k: v for k, v in ours.items() if k in ("last_epoch", "base_lrs")} == {
        k: v for k, v in theirs.items() if k in ("last_epoch", "base_lrs")
    }


def test_one_cycle_is_told_the_length_of_the_run(digits, tmp_path):
    cycle = (
        "--model.scheduler",
        "torch.optim.lr_scheduler.OneCycleLR",
        "--model.scheduler.max_lr",
        "0.1",
    )
    run = start(digits, tmp_path, *cycle, steps=4)
    assert read_checkpoint(run / "last.ckpt")["lr_schedulers"][0]["total_steps"] == 4


# 2. Bit for bit under accumulation.

ACCUMULATE = ("--trainer.accumulate_grad_batches", "3", "--save_every", "0")
CRITERIA = {
    "SemiSupCon": (),
    "MoCo": ("--model.criterion", "MoCo", "--model.criterion.queue_size", "24"),
    "BYOL": ("--model.criterion", "BYOL"),
    "MT-SLVR": ("--model.criterion", "MTSLVR"),
    "COLA": ("--model.criterion", "COLA"),
}


@pytest.mark.parametrize("criterion", mostly_slow(CRITERIA, ("MoCo", "MT-SLVR")))
def test_a_stop_within_accumulation_is_bit_for_bit(digits, tmp_path, criterion):
    options = (*ACCUMULATE, *CRITERIA[criterion])
    whole = start(digits, tmp_path / "whole", *options, steps=5)
    stop = (
        "--trainer.callbacks+",
        f"{__name__}.StopAfterBatch",
        "--trainer.callbacks.batches",
        "4",
    )
    arguments = ("--run_name", "r", "--trainer.max_steps", "5", *QUICK, *ADAMW, *options)
    assert pretrain(digits, tmp_path / "cut", *arguments, *stop) == 143
    cut = tmp_path / "cut" / "r"
    assert go_on(digits, cut, *options, steps=5) == 0
    ours, theirs = (read_checkpoint(r / "last.ckpt") for r in (cut, whole))
    for part in ("state_dict", "optimizer_states"):
        assert_same(ours[part], theirs[part], part)
    assert rows(cut) == rows(whole)


def test_a_checkpoint_of_a_validation_within_accumulation_is_bit_for_bit(digits, tmp_path):
    """Validation falls after batch 4, which is one batch into the second window."""
    whole = start(digits, tmp_path / "whole", *ACCUMULATE, *CRITERIA["MoCo"], steps=5)
    best = read_checkpoint(whole / "best.ckpt")
    assert best["pending"]["gradients"]
    run = tmp_path / "again" / "r"
    run.mkdir(parents=True)
    for name in ("best.ckpt", "run_config.yaml", "run.json", "metrics.csv"):
        (run / name).write_bytes((whole / name).read_bytes())
    arguments = ("--trainer.max_steps", "5", *QUICK, *ADAMW, *ACCUMULATE, *CRITERIA["MoCo"])
    assert (
        pretrain(digits, run.parent, "--resume_from_checkpoint", str(run / "best.ckpt"), *arguments)
        == 0
    )
    ours, theirs = (read_checkpoint(r / "last.ckpt") for r in (run, whole))
    for part in ("state_dict", "optimizer_states"):
        assert_same(ours[part], theirs[part], part)


class StopAfterBatch(L.Callback):
    """Sends this process SIGTERM when a batch is done, also within accumulation."""

    def __init__(self, batches: int):
        self.batches = batches

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.fit_loop.epoch_loop.total_batch_idx + 1 == self.batches:
            os.kill(os.getpid(), signal.SIGTERM)


AVERAGES = {
    "EMA": ("--trainer.callbacks+", "EMAWeightAveraging", "--trainer.callbacks.decay", "0.8"),
    "SWA": (
        "--trainer.callbacks+",
        "StochasticWeightAveraging",
        "--trainer.callbacks.swa_lrs",
        "0.02",
        *("--trainer.callbacks.swa_epoch_start", "1"),
    ),
}


@pytest.mark.parametrize(
    ("name", "criterion"),
    mostly_slow(
        [*(("EMA", c) for c in CRITERIA), ("SWA", "SemiSupCon"), ("SWA", "MoCo")],
        [("EMA", "MoCo")],
    ),
)
def test_averaging_resumes_bit_for_bit_under_accumulation(digits, tmp_path, name, criterion):
    options = (*ACCUMULATE, *AVERAGES[name], *CRITERIA[criterion])
    whole = start(digits, tmp_path / "whole", *options, steps=6)
    assert (
        pretrain(
            digits,
            tmp_path / "cut",
            "--run_name",
            "r",
            "--trainer.max_steps",
            "6",
            *QUICK,
            *ADAMW,
            *options,
            *stopping(4, signal.SIGTERM),
        )
        == 143
    )
    cut = tmp_path / "cut" / "r"
    assert go_on(digits, cut, *options, steps=6) == 0
    ours, theirs = (read_checkpoint(r / "last.ckpt") for r in (cut, whole))
    assert_same(ours["state_dict"], theirs["state_dict"])


def test_weights_averaged_at_the_end_are_in_a_file(digits, tmp_path):
    run = start(digits, tmp_path, *AVERAGES["SWA"], steps=9)
    averaged, last = (
        read_checkpoint(run / f"{name}.ckpt")["state_dict"] for name in ("averaged", "last")
    )
    assert any(not torch.equal(averaged[k], last[k]) for k in last)
