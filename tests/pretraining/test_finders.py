"""Finders of a learning rate and of a batch size: what they find is what runs, what is recorded,
and what a resumed run keeps."""

import pytest
import yaml

from semisupcon.checkpoints import read_checkpoint
from tests.pretraining.runs import assert_same, pretrain, rows

QUICK = ("--data.aug_list", "[gain]", "--trainer.limit_val_batches", "0", "--monitor", "null")
RATE = (
    "--trainer.callbacks+",
    "LearningRateFinder",
    "--trainer.callbacks.num_training_steps",
    "14",
)
SIZE = (
    "--trainer.callbacks+",
    "BatchSizeFinder",
    "--trainer.callbacks.max_trials",
    "2",
    "--trainer.callbacks.steps_per_trial",
    "1",
)
COSINE = ("--model.scheduler", "WarmupCosine", "--model.scheduler.warmup_steps", "2")
# State of its own, which a search moves; a length of the run that goes by the number of batches.
MOCO = (
    "--model.criterion",
    "MoCo",
    "--model.criterion.queue_size",
    "24",
    "--trainer.max_epochs",
    "1",
    "--model.on_nan",
    "skip",
)


def config_of(run, name="run_config.yaml"):
    return yaml.safe_load((run / name).read_text())


def found(run):
    config = config_of(run)
    return config["model"]["optimizer"]["init_args"]["lr"], config["data"]["init_args"][
        "batch_size"
    ]


def same_run(a, b):
    ours, theirs = (read_checkpoint(run / "last.ckpt") for run in (a, b))
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
        assert_same(ours[part], theirs[part], part)
    assert rows(a) == rows(b)


@pytest.mark.parametrize(
    ("finder", "rest"),
    [
        (RATE, ("--trainer.max_steps", "4", *COSINE)),
        pytest.param(SIZE, (*MOCO, *COSINE), marks=pytest.mark.slow),
    ],
    ids=["rate", "size"],
)
def test_a_run_with_a_finder_is_the_run_that_is_configured_with_what_it_found(
    digits, tmp_path, finder, rest, caplog
):
    with caplog.at_level("INFO"):
        assert pretrain(digits, tmp_path, "--run_name", "searched", *QUICK, *finder, *rest) == 0
    lr, size = found(tmp_path / "searched")
    assert (lr != 1e-4, size) == ((True, 8) if finder == RATE else (False, 4))
    assert f"is {lr if finder == RATE else size}." in caplog.text
    given = (*rest, "--model.optimizer.lr", repr(lr), "--data.batch_size", str(size))
    assert pretrain(digits, tmp_path, "--run_name", "given", *QUICK, *given) == 0
    same_run(tmp_path / "searched", tmp_path / "given")
    assert not list((tmp_path / "searched").glob(".*"))
    assert (
        read_checkpoint(tmp_path / "searched" / "last.ckpt")["semisupcon"]["config"]["model"][
            "optimizer"
        ]["init_args"]["lr"]
        == lr
    )


def test_a_resumed_run_keeps_what_was_found(digits, tmp_path, caplog):
    options = (*QUICK, *RATE)
    assert pretrain(digits, tmp_path, "--run_name", "r", *options, "--trainer.max_steps", "2") == 0
    lr = found(tmp_path / "r")[0]
    with caplog.at_level("INFO"):
        assert (
            pretrain(
                digits,
                tmp_path,
                "--resume_from_checkpoint",
                "last",
                *options,
                "--trainer.max_steps",
                "4",
            )
            == 0
        )
    assert "does not search in a resumed run" in caplog.text
    assert "changed against the checkpoint: model.optimizer" not in caplog.text
    group = read_checkpoint(tmp_path / "r" / "last.ckpt")["optimizer_states"][0]["param_groups"][0]
    assert (
        group["lr"]
        == lr
        == config_of(tmp_path / "r", "run_config.resumed-001.yaml")["model"]["optimizer"][
            "init_args"
        ]["lr"]
    )
    last = ("--trainer.max_steps", "5", "--model.optimizer.lr", "0.003")
    assert pretrain(digits, tmp_path, "--resume_from_checkpoint", "last", *options, *last) == 0
    assert (
        read_checkpoint(tmp_path / "r" / "last.ckpt")["optimizer_states"][0]["param_groups"][0][
            "lr"
        ]
        == 0.003
    )


def test_a_search_that_finds_nothing_leaves_the_rate_and_says_so(digits, tmp_path, caplog):
    with caplog.at_level("WARNING"):
        assert (
            pretrain(
                digits,
                tmp_path,
                "--run_name",
                "r",
                *QUICK,
                *RATE[:3],
                "5",
                "--trainer.max_steps",
                "1",
            )
            == 0
        )
    assert "LearningRateFinder found nothing; --model.optimizer.lr stays 0.0001." in caplog.text


CYCLE = (
    "--model.scheduler",
    "torch.optim.lr_scheduler.OneCycleLR",
    "--model.scheduler.max_lr",
    "0.1",
    "--trainer.max_steps",
    "3",
)
REFUSED = {
    "OneCycleLR sets the rate with its own options": (*RATE, *CYCLE),
    "two finders of the same value": (*RATE, "--trainer.callbacks+", "LearningRateFinder"),
    "attribute name for the learning rate was set to nothing": (
        *RATE,
        "--trainer.callbacks.attr_name",
        "nothing",
    ),
    "`mode` should be either of": (*RATE, "--trainer.callbacks.mode", "sideways"),
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_cannot_be_found_is_refused(digits, tmp_path, capsys, said):
    try:
        status = pretrain(digits, tmp_path / "runs", *QUICK, *REFUSED[said])
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
