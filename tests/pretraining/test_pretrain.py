"""`pretrain.py` as a person uses it: the recipes run, leave what they promise, and answer mistakes
in a sentence."""

import json

import pytest
import torch
import yaml

from semisupcon import load_encoder
from semisupcon.checkpoints import load_parts
from tests.pretraining.runs import ROOT, pretrain, rows


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    more = (
        "--run_name",
        "a",
        "--trainer.max_steps",
        "6",
        "--trainer.val_check_interval",
        "3",
        "--draw_every",
        "4",
    )
    assert pretrain(digits, runs, *more, "--trainer.check_val_every_n_epoch", "null") == 0
    return runs / "a"


def test_a_run_leaves_checkpoints_metrics_configuration_and_pictures(run):
    assert {"best.ckpt", "last.ckpt", "metrics.csv", "run.json", "run_config.yaml", "figures"} <= {
        p.name for p in run.iterdir()
    }
    assert len(list((run / "figures").glob("*.png"))) >= 2
    config = yaml.safe_load((run / "run_config.yaml").read_text())
    assert config["data"]["init_args"]["batch_size"] == 8
    assert config["model"]["optimizer"]["init_args"]["lr"] == 1e-4
    assert "commit" in json.loads((run / "run.json").read_text())["code"]


def test_the_metrics_are_those_of_the_papers(run):
    logged = rows(run)
    training = [r for r in logged if r["semisl_loss"]]
    validation = [r for r in logged if r["val_top1"]]
    assert [int(r["step"]) for r in training] == [0, 1, 2, 3, 4, 5]
    assert [int(r["step"]) for r in validation] == [2, 5]
    for name in ("semisl_loss", "sl_loss", "ssl_loss", "sparsity_semisl", "sparsity_sl", "top1"):
        assert all(0 <= float(r[name]) < 20 for r in training if r[name]), name


def test_the_encoder_loads_without_its_run(run):
    encoder = load_encoder(run)
    assert encoder(torch.randn(2, 1, 1600)).shape == (2, encoder.embedding_dim)
    same, criterion = load_parts(run / "last.ckpt")
    assert criterion.representations()["projection"](same(torch.randn(2, 1, 1600))).shape == (
        2,
        128,
    )


@pytest.mark.parametrize("recipe", ["pretrain_ssl", "pretrain_sl"])
def test_the_other_recipes_run_too(digits, tmp_path, recipe):
    assert (
        pretrain(digits, tmp_path, "--trainer.max_steps", "2", "--run_name", "b", recipe=recipe)
        == 0
    )
    columns = rows(tmp_path / "b")[0]
    assert bool(columns.get("ssl_loss")) == (recipe == "pretrain_ssl")
    assert bool(columns.get("sl_loss")) == (recipe == "pretrain_sl")


def test_a_run_is_not_overwritten(digits, tmp_path, capsys):
    assert pretrain(digits, tmp_path, "--trainer.max_steps", "1", "--run_name", "b") == 0
    assert pretrain(digits, tmp_path, "--trainer.max_steps", "1", "--run_name", "b") == 2
    assert "already has a run" in capsys.readouterr().err


# A run with wandb is also in test_resume.py.
@pytest.mark.parametrize(
    "kind", ["tensorboard", pytest.param("wandb", marks=pytest.mark.slow), "false"]
)
def test_loggers(digits, tmp_path, kind, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    more = ("--log", kind, "--run_name", "c", "--trainer.max_steps", "2", "--draw_every", "1")
    assert pretrain(digits, tmp_path, *more) == 0
    run = tmp_path / "c"
    assert len(rows(run)) >= 2
    assert (
        any((run / "tensorboard").glob("events*"))
        if kind == "tensorboard"
        else not (run / "tensorboard").exists()
    )
    if kind == "wandb":
        identity = json.loads((run / "run.json").read_text())["wandb_id"]
        assert list((run / "wandb").glob(f"offline-run-*-{identity}"))
        assert not (run / "wandb" / "run_config.yaml").exists()


MISTAKES = {
    "unknown task": (["--data.sl_task", "fsdd_digits"], "Did you mean 'fsdd_digit'"),
    "misspelt option": (["--data.batchsize", "3"], "batch_size"),
    "misspelt trainer option": (["--trainer.max_step", "3"], "--trainer.max_steps"),
    "misspelt class": (["--model.encoder.class_path", "SampleCNNSmal"], "'SampleCNNSmall'"),
    "old spelling of resume": (["--resume_from_ckpt", "last"], "--resume_from_checkpoint"),
    "old spelling of severity": (["--data.aug_severity", "2"], "--data.severity_modifier"),
    "old spelling of rate": (["--data.target_sr", "8000"], "--data.target_sample_rate"),
    "the test set": (["--data.use_test_set", "true"], "never used for training"),
    "old spelling of length": (["--data.target_len", "2"], "--data.target_length"),
    "old spelling of views": (["--data.n_augmentations", "3"], "--data.views"),
    "old place of temperature": (["--model.temperature", "0.1"], "--model.criterion.temperature"),
    "old spelling of threshold": (
        ["--model.pos_thresh", "2"],
        "--model.criterion.target.threshold",
    ),
    "missing folder": (["--data.data_dir", "nowhere"], "nowhere"),
    "share of labels": (["--data.supervised_data_p", "1.5"], "supervised_data_p"),
    "missing configuration": (["--config", "nowhere.yaml"], "nowhere.yaml"),
    "nothing to resume": (["--resume_from_checkpoint", "last"], "Nothing to resume"),
    "short clips": (["--data.short_clips", "refuse", "--data.target_length", "0.5"], ".wav"),
    "another rate": (["--data.target_sample_rate", "16000"], "data.target_sample_rate"),
    "value of the wrong type": (["--data.batch_size", "many"], "batch_size"),
    "unknown logger": (["--log", "neptune"], "neptune"),
    "unknown monitor": (["--monitor", "val_acc", "--trainer.val_check_interval", "1"], "val_acc"),
    "unknown augmentation": (["--data.aug_list", "[gian]"], "gain"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_answered_in_three_lines(digits, tmp_path, capsys, mistake):
    arguments, expected = MISTAKES[mistake]
    try:
        status = pretrain(digits, tmp_path, "--trainer.max_steps", "1", *arguments)
    except SystemExit as stop:
        status = stop.code
    message = capsys.readouterr().err
    said = message[message.index("error:") :].strip()
    assert status == 2
    assert expected in said
    assert len(said.splitlines()) <= 3
    assert "Traceback" not in message


def test_a_checkpoint_of_another_encoder_is_refused(digits, run, tmp_path, capsys):
    more = ("--model.encoder.widths", "[8,8,8]", "--resume_from_checkpoint", str(run / "last.ckpt"))
    assert pretrain(digits, tmp_path, *more) == 2
    assert "another encoder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["pretrain_ssl", "pretrain_smsl", "pretrain_sl"])
def test_every_recipe_has_an_overlay(name):
    assert (ROOT / "config" / "overlays" / "small" / f"{name}.yaml").is_file()
