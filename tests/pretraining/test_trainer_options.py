"""Options of the trainer, seeds and augmentations do what they say: what is asked is what runs."""

import csv
import os
import subprocess
import sys

import pytest
import torch
import yaml

from semisupcon.checkpoints import read_checkpoint
from semisupcon.encoders import SampleCNNSmall
from semisupcon.targets import Target
from semisupcon.training.keeping import KeepCheckpoints
from semisupcon.training.monitoring import mode_of
from tests.pretraining.runs import ROOT, TINY, pretrain, rows

STEPS = ("--trainer.max_steps", "2")


def loss_of(run):
    return [row["loss"] for row in rows(run) if row.get("loss")]


def config_of(run):
    return yaml.safe_load((run / "run_config.yaml").read_text())


# Counts and shares.


@pytest.mark.parametrize(("given", "steps"), [("1", 1), ("2", 2), ("1.0", 7), ("0.5", 3)])
def test_a_count_of_batches_is_no_share(digits, tmp_path, given, steps):
    options = (
        "--trainer.limit_train_batches",
        given,
        "--trainer.max_epochs",
        "1",
        "--trainer.limit_val_batches",
        "0",
        "--monitor",
        "null",
    )
    assert pretrain(digits, tmp_path, "--run_name", "r", *options) == 0
    assert read_checkpoint(tmp_path / "r" / "last.ckpt")["global_step"] == steps


@pytest.mark.parametrize(
    "option", ["limit_train_batches", "limit_val_batches", "overfit_batches", "val_check_interval"]
)
def test_counts_stay_counts_in_yaml_too(digits, tmp_path, option):
    (tmp_path / "more.yaml").write_text(f"trainer: {{{option}: 1}}\n")
    more = ("--config", str(tmp_path / "more.yaml"), "--trainer.check_val_every_n_epoch", "null")
    assert pretrain(digits, tmp_path, "--run_name", "r", *STEPS, *more) == 0
    value = config_of(tmp_path / "r")["trainer"][option]
    assert (value, type(value)) == (1, int)


# Loggers, callbacks, plugins.


def test_a_logger_by_class_path_is_honoured_beside_metrics_csv(digits, tmp_path):
    logger = (
        "--trainer.logger",
        "pytorch_lightning.loggers.CSVLogger",
        "--trainer.logger.save_dir",
        str(tmp_path / "extra"),
    )
    assert pretrain(digits, tmp_path / "runs", "--run_name", "r", *STEPS, *logger) == 0
    (other,) = (tmp_path / "extra").rglob("metrics.csv")
    assert any(row.get("loss") for row in csv.DictReader(other.open(newline="")))
    assert loss_of(tmp_path / "runs" / "r")


def test_several_loggers(digits, tmp_path):
    one = {
        "class_path": "pytorch_lightning.loggers.CSVLogger",
        "init_args": {"save_dir": str(tmp_path / "a")},
    }
    two = {
        "class_path": "pytorch_lightning.loggers.TensorBoardLogger",
        "init_args": {"save_dir": str(tmp_path / "b")},
    }
    (tmp_path / "more.yaml").write_text(yaml.safe_dump({"trainer": {"logger": [one, two]}}))
    assert (
        pretrain(
            digits,
            tmp_path / "runs",
            "--run_name",
            "r",
            *STEPS,
            "--config",
            str(tmp_path / "more.yaml"),
        )
        == 0
    )
    assert list((tmp_path / "a").rglob("metrics.csv"))
    assert list((tmp_path / "b").rglob("events.*"))


@pytest.mark.parametrize("form", ["command line", "mapping", "list"])
def test_one_callback_in_place_of_a_list(digits, tmp_path, form):
    callback = {"class_path": "LearningRateMonitor", "init_args": {"logging_interval": "step"}}
    (tmp_path / "more.yaml").write_text(
        yaml.safe_dump({"trainer": {"callbacks": callback if form == "mapping" else [callback]}})
    )
    options = (
        ("--trainer.callbacks", "LearningRateMonitor")
        if form == "command line"
        else ("--config", str(tmp_path / "more.yaml"))
    )
    assert pretrain(digits, tmp_path, "--run_name", "r", *STEPS, *options) == 0
    assert any(name.startswith("lr-") for name in rows(tmp_path / "r")[0])


def test_options_without_effect_are_refused(digits, tmp_path, capsys):
    for option in (
        ("--trainer.default_root_dir", str(tmp_path / "x")),
        ("--trainer.barebones", "true"),
    ):
        assert pretrain(digits, tmp_path / "runs", *STEPS, *option) == 2
        assert option[0] in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_fast_dev_run_writes_nothing(digits, tmp_path):
    assert (
        pretrain(digits, tmp_path / "runs", "--run_name", "r", "--trainer.fast_dev_run", "true")
        == 0
    )
    assert not (tmp_path / "runs").exists()
    assert pretrain(digits, tmp_path / "runs", "--run_name", "r", *STEPS) == 0


# Seeds.


def test_seeds_follow_seed_everything_unless_given(digits, tmp_path):
    runs = {
        "a": ("--seed_everything", "7"),
        "b": ("--seed_everything", "7", "--data.seed", "123", "--model.seed", "123"),
        "c": ("--seed_everything", "123"),
    }
    for name, options in runs.items():
        assert pretrain(digits, tmp_path, "--run_name", name, *STEPS, *options) == 0
    config = {name: config_of(tmp_path / name) for name in runs}
    assert [(c["model"]["seed"], c["data"]["init_args"]["seed"]) for c in config.values()] == [
        (7, 7),
        (123, 123),
        (123, 123),
    ]
    assert loss_of(tmp_path / "a") != loss_of(tmp_path / "c")


# The direction of a monitor.


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [
        ("val_loss", "min"),
        ("val_top1", "max"),
        ("val_knn", "max"),
        ("val_contrastive_loss", "min"),
        ("val_auc", "max"),
        ("other", "max"),
    ],
)
def test_the_name_of_a_monitor_tells_its_direction(monitor, mode):
    assert mode_of(monitor, None) == mode == mode_of(monitor, mode)


def test_best_is_the_lowest_loss(digits, tmp_path):
    val = (
        "--trainer.val_check_interval",
        "1",
        "--trainer.check_val_every_n_epoch",
        "null",
        "--monitor",
        "val_loss",
    )
    assert pretrain(digits, tmp_path, "--run_name", "r", "--trainer.max_steps", "4", *val) == 0
    losses = {
        int(row["step"]): float(row["val_loss"])
        for row in rows(tmp_path / "r")
        if row.get("val_loss")
    }
    best = min(losses, key=losses.get)
    assert read_checkpoint(tmp_path / "r" / "best.ckpt")["global_step"] == best + 1


CONTRADICTION = ("--monitor", "val_loss", "--monitor_mode", "max")


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--monitor_mode", "maximum"), "monitor_mode"), (CONTRADICTION, "lower is better")],
)
def test_a_direction_that_cannot_be_is_refused(digits, tmp_path, capsys, options, said):
    try:
        status = pretrain(digits, tmp_path / "runs", *STEPS, *options)
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_nan_never_wins(tmp_path):
    keep = KeepCheckpoints(tmp_path, "val_loss", "min")
    assert not keep.improves(float("nan"))
    assert keep.improves(3.0)
    keep.load_state_dict({"best": float("nan"), "monitor": "val_loss", "mode": "min"})
    assert keep.best is None
    keep.load_state_dict({"best": 3.0, "monitor": "val_loss", "mode": "max"})
    assert keep.best is None


# Augmentations by class path.

FORMS = ("semisupcon.augmentations.reverb.Reverb", "Reverb")


@pytest.mark.parametrize("path", FORMS)
def test_an_augmentation_by_class_path_gets_the_rate_of_the_data(digits, tmp_path, path):
    entry = f"[{{class_path: {path}, init_args: {{max_room_size: 50.0}}}}]"
    assert pretrain(digits, tmp_path, "--run_name", "r", *STEPS, "--data.aug_list", entry) == 0
    assert config_of(tmp_path / "r")["data"]["init_args"]["aug_list"] == yaml.safe_load(entry)


@pytest.mark.parametrize(
    "entry",
    ["gain", "[gain]", "{class_path: Gain}", "[{class_path: MTSLVRChain}]", "[mtslvr]", "null"],
)
def test_every_form_of_an_entry(digits, tmp_path, entry):
    assert pretrain(digits, tmp_path, "--run_name", "r", *STEPS, "--data.aug_list", entry) == 0


def test_whole_chains_by_full_path_get_the_rate_too(digits, tmp_path, monkeypatch):
    from semisupcon.augmentations import published

    rates = []
    init = published.MTSLVRChain.__init__
    monkeypatch.setattr(
        published.MTSLVRChain,
        "__init__",
        lambda self, sample_rate=16000, **k: (
            rates.append(sample_rate),
            init(self, sample_rate, **k),
        )[1],
    )
    entry = "[{class_path: semisupcon.augmentations.published.MTSLVRChain}]"
    assert pretrain(digits, tmp_path, "--run_name", "r", *STEPS, "--data.aug_list", entry) == 0
    assert rates == [8000]


# Processes that know nothing of each other.


@pytest.mark.slow
def test_torchrun_with_one_device_is_refused(digits, tmp_path):
    config = str(ROOT / "config" / "pretraining" / "pretrain_ssl.yaml")
    tiny = [part for name, value in TINY.items() for part in (f"--{name}", str(value))]
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        "--master_port",
        "29511",
        str(ROOT / "pretrain.py"),
    ]
    done = subprocess.run(
        [
            *command,
            "--config",
            config,
            *tiny,
            "--data.data_dir",
            str(digits),
            "--ckpt_path",
            str(tmp_path / "runs"),
            *STEPS,
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode != 0
    assert "torchrun started 2 processes" in done.stderr
    assert (
        'Traceback (most recent call last):\n  File "' + str(ROOT / "pretrain.py")
        not in done.stderr
    )
    assert not list((tmp_path / "runs").rglob("*.ckpt"))


# A loss that is not finite.


class Spoils(SampleCNNSmall):
    """Embeds the batches from the third on as NaN; batch norm sees them."""

    batches = 0

    def features(self, x, length=None, task=None):
        if self.training:
            Spoils.batches += 1
            if Spoils.batches in (
                3,
                4,
            ):  # the two views of one batch, or two batches of both views together
                x = x * float("nan")
        return super().features(x, length, task)


@pytest.fixture
def spoilt():
    Spoils.batches = 0
    encoder = (
        "--model.encoder",
        f"{__name__}.Spoils",
        "--model.encoder.widths",
        "[8,8,16]",
        "--model.encoder.stem",
        "9",
    )
    return (
        *encoder,
        "--model.encoder.sample_rate",
        "8000",
        "--trainer.max_steps",
        "6",
        "--save_every",
        "1",
    )


def test_a_loss_that_is_nan_stops_the_run_and_keeps_the_last_good_checkpoint(
    digits, tmp_path, capsys, spoilt
):
    assert pretrain(digits, tmp_path, "--run_name", "r", *spoilt) == 2
    said = capsys.readouterr().err
    assert "The loss of batch 2 (step 2) is not finite" in said
    assert ".wav" in said
    assert len(said.strip().splitlines()) <= 3
    last = read_checkpoint(tmp_path / "r" / "last.ckpt")
    assert last["global_step"] == 2
    assert all(v.isfinite().all() for v in last["state_dict"].values() if v.is_floating_point())


@pytest.mark.parametrize("accumulate", ["1", "2"])
def test_batches_whose_loss_is_nan_can_be_skipped(digits, tmp_path, spoilt, accumulate):
    options = (*spoilt, "--model.on_nan", "skip", "--trainer.accumulate_grad_batches", accumulate)
    assert pretrain(digits, tmp_path, "--run_name", "r", *options) == 0
    last = read_checkpoint(tmp_path / "r" / "last.ckpt")
    assert last["global_step"] == 6
    assert all(v.isfinite().all() for v in last["state_dict"].values() if v.is_floating_point())
    assert (
        max(
            float(row["skipped_batches"])
            for row in rows(tmp_path / "r")
            if row.get("skipped_batches")
        )
        >= 1
    )


def test_skipping_changes_nothing_where_every_loss_is_finite(digits, tmp_path):
    for name, more in (("a", ()), ("b", ("--model.on_nan", "skip"))):
        assert (
            pretrain(digits, tmp_path, "--run_name", name, "--trainer.max_steps", "4", *more) == 0
        )
    ours, theirs = (
        read_checkpoint(tmp_path / name / "last.ckpt")["state_dict"] for name in ("a", "b")
    )
    assert all(torch.equal(ours[k], theirs[k]) for k in theirs)
    assert loss_of(tmp_path / "a") == loss_of(tmp_path / "b")


# Negatives.


@pytest.mark.parametrize("criterion", ["SemiSupCon", "SimCLR", "COLA", "MTSLVR"])
def test_a_contrastive_batch_of_one_clip_is_refused(digits, tmp_path, capsys, criterion):
    one = (
        "--data.batch_size",
        "1",
        "--data.intrabatch_supervised_p",
        "0",
        "--model.criterion",
        criterion,
    )
    assert pretrain(digits, tmp_path / "runs", *STEPS, *one) == 2
    assert "--data.batch_size 1 has none" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_batch_without_negatives_is_told(digits, tmp_path, caplog):
    """All clips of a batch share the one label, so that nothing repels."""
    target = (
        "--model.criterion.target",
        f"{__name__}.Everything",
        "--data.intrabatch_supervised_p",
        "1",
    )
    with caplog.at_level("WARNING"):
        pretrain(digits, tmp_path, *STEPS, *target)
    assert caplog.text.count("The batch has no negative pairs") == 1


class Everything(Target):
    """Everything is near everything."""

    def forward(self, labels_rows, clips_rows, labels_columns, clips_columns):
        return torch.ones(len(labels_rows), len(labels_columns))


def test_accumulation_is_told_to_add_no_negatives(digits, tmp_path, caplog):
    with caplog.at_level("INFO"):
        assert pretrain(digits, tmp_path, *STEPS, "--trainer.accumulate_grad_batches", "2") == 0
    assert "adds no negatives" in caplog.text
    assert "--model.chunk_size" in caplog.text
